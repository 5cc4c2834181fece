"""Items of the output of OpenAI's Responses, as they grow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

ItemKind = Literal["message", "reasoning", "function_call"]


@dataclass(slots=True)
class OutputItem:
    """One item of the output, while it grows."""

    kind: ItemKind
    index: int
    id: str
    pieces: list[str] = field(default_factory=list)
    call: dict[str, Any] = field(default_factory=dict)
    status: str = "in_progress"
    sealed: str = ""
    """Of thoughts: what the provider wants back with the turn (`talks.sealed`)."""

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def part(self, text: str) -> dict[str, Any]:
        """Return the only part of its content."""
        if self.kind == "reasoning":
            return {"type": "reasoning_text", "text": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def json(self) -> dict[str, Any]:
        """Return it as far as it has come."""
        facts: dict[str, Any] = {"id": self.id, "type": self.kind, "status": self.status}
        if self.kind == "function_call":
            return {**facts, **self.call, "arguments": self.text}
        content = [self.part(self.text)] if self.pieces else []
        if self.kind == "reasoning":
            thoughts = {**facts, "summary": [], "content": content}
            is_told = self.sealed and self.status != "in_progress"
            return thoughts | ({"encrypted_content": self.sealed} if is_told else {})
        return {**facts, "role": "assistant", "content": content}
