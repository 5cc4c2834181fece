"""What one viewer sees of one answer, filled in while it reads."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Literal

End = Literal["complete", "said", "hung", "open"]
"""
How it ended for the viewer: the client takes the answer for complete; it raises an error or says
that the answer is not whole; nothing came within the limit; it has not ended, or the viewer left.
"""


@dataclass(slots=True)
class View:
    """One answer as one viewer's client shows it."""

    order: dict[str, Any]
    text: str = ""
    chars: int = 0
    """How much of the text is there, where the client runs elsewhere and tells it at the end."""
    end: End = "open"
    why: str = ""
    handle: str = ""
    """What the client keeps to find the answer again."""
    cursor: int = 0
    """How much of the log it has, where there is one."""

    @property
    def prompt(self) -> str:
        """What the model is asked."""
        return json.dumps(self.order)

    @property
    def name(self) -> str:
        return str(self.order["name"])

    def add(self, text: str) -> None:
        self.text += text
        self.chars = len(self.text)

    def fail(self, error: BaseException | str) -> None:
        """Note that the client has said it: an error, or an honest end."""
        told = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self.end, self.why = "said", told[:200]

    def again(self) -> View:
        """Return a view of the same answer by another viewer, who knows only its handle."""
        return View(self.order, handle=self.handle)

    async def until(self, chars: int, within_s: float = 30.0) -> bool:
        """Wait until that much is there; false if it ended before, or never came."""
        async with asyncio.timeout(within_s):
            while self.chars < chars and self.end == "open":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return self.chars >= chars
