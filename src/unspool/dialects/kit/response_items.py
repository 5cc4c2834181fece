"""Requests of OpenAI's Responses: their input items as messages of `kit.talks`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from unspool.errors import SpecError

from .talks import Said, arguments_of, opened

ROLES: Final = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}

TEXTS: Final = frozenset({"input_text", "output_text", "text"})

Item = Mapping[str, Any]


def messages_in(items: str | Sequence[Item]) -> list[Said]:
    """
    Return what the items of a request say.

    Of thoughts of earlier answers, models get what the answer before them had for its provider.

    Raises:
        SpecError: An item is of a kind that is not offered.
    """
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    messages: list[dict[str, Any]] = []
    for item in items:
        kind = item.get("type", "message")
        if kind == "message":
            messages.append(_message(item))
        elif kind == "function_call":
            _of_assistant(messages).setdefault("tool_calls", []).append(_call(item))
        elif kind == "function_call_output":
            text, images = content_of(item.get("output"))
            if images:
                raise SpecError("input: images in a function_call_output are not offered here")
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": text})
        elif kind == "reasoning":
            _keep_state(messages, item)
        else:
            raise SpecError(f"input: items of type {str(kind)[:64]!r} are not offered here")
    return list(messages)


def referred(item: Item) -> str:
    """Return the id of the item that a reference names; empty: it is an item itself."""
    is_bare = item.keys() <= {"id", "type"} and not item.get("type")
    is_reference = item.get("type") == "item_reference" or is_bare
    return str(item.get("id") or "") if is_reference else ""


def _message(item: Item) -> dict[str, Any]:
    role = ROLES.get(str(item.get("role")))
    if role is None:
        raise SpecError("input: a message has the role user, assistant, system or developer")
    text, images = content_of(item.get("content"))
    return {"role": role, "content": text} | ({"images": images} if images else {})


def _call(item: Item) -> dict[str, Any]:
    id_, name = item.get("call_id"), item.get("name")
    if not isinstance(id_, str) or not isinstance(name, str):
        raise SpecError("input: a function_call has a call_id and a name")
    return {"id": id_, "name": name, "arguments": arguments_of(item.get("arguments"))}


def _keep_state(messages: list[dict[str, Any]], item: Item) -> None:
    """Give a turn what its provider wants back, if these thoughts hold it."""
    state = opened(str(item.get("encrypted_content") or ""))
    if state is not None and messages and messages[-1]["role"] == "assistant":
        messages[-1]["turn_state"] = state


def _of_assistant(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer that a call belongs to: calls stand beside its text as items."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": ""})
    return messages[-1]


def content_of(content: Any) -> tuple[str, list[str]]:
    """
    Return the text of a message, and its images as data URLs.

    Raises:
        SpecError: It has a part of another kind.
    """
    if content is None or isinstance(content, str):
        return content or "", []
    texts: list[str] = []
    images: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        match part:
            case {"type": kind, "text": str(text)} if kind in TEXTS:
                texts.append(text)
            case {"type": "refusal", "refusal": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
                images.append(url)
            case {"type": "input_image", "image_url": str(url)}:
                images.append(url)
            case _:
                kind = str(part.get("type") if isinstance(part, Mapping) else "")[:64]
                raise SpecError(f"a part of type {kind!r} of a message is not offered here")
    return "\n".join(texts), images
