"""
The server that answers as `conformance/field` says.

To add a kind of step or condition: a case in `_steps` or `_holds`, and a line in
`conformance/field/README.md`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from faults.playing import Stage, Visit

Case = Mapping[str, Any]

FOLDER = Path(__file__).parent.parent.parent / "conformance" / "field"

SLOW_S = 5.0
"""A case that waits longer is left out of `make check`."""

HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    "Connection: close\r\n\r\n"
)


def cases() -> dict[str, Case]:
    """Return all cases by their id."""
    read = (json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json")))
    return {case["id"]: case for case in read}


def is_slow(case: Case) -> bool:
    steps = [step for answer in case["answers"] for step in answer.get("steps", ())]
    waits = [step.get("pause_s", 0) for step in steps]
    return max([*waits, *(answer.get("until_s", 0) for answer in case["answers"])]) > SLOW_S


class FieldStage(Stage):
    """Enter it, then `visit` any case."""

    def __init__(self) -> None:
        super().__init__()
        self._sent: Counter[tuple[str, int]] = Counter()
        self._began: dict[str, float] = {}

    def visit(self, fault: Case) -> Visit:
        """Return an address at which a case plays from its beginning."""
        return super().visit({"endpoint": "/v1", **fault})

    def steps_for(self, visit: Visit) -> list[dict[str, Any]]:
        """Return the first answer that still holds."""
        now = asyncio.get_running_loop().time()
        passed_s = now - self._began.setdefault(visit.url, now)
        body = json.loads(visit.bodies[-1] or b"null")
        for number, answer in enumerate(visit.fault["answers"]):
            is_left = self._sent[visit.url, number] < answer.get("times", 1_000_000)
            is_in_time = passed_s < answer.get("until_s", 1_000_000)
            if is_left and is_in_time and all(_holds(it, body) for it in answer.get("when", ())):
                self._sent[visit.url, number] += 1
                return list(_answer(answer))
        raise AssertionError(f"{visit.fault['id']} has no answer to {body}")


def _holds(condition: Mapping[str, Any], body: Any) -> bool:
    found = _at(body, condition["at"].split("/"))
    if "there" in condition:
        return bool((found is not None) == condition["there"])
    return found in condition["in"]


def _at(value: Any, path: list[str]) -> Any:
    """Return what stands at a place; None if there is nothing."""
    for part in path:
        name, is_filter, wanted = part.partition("=")
        if is_filter and isinstance(value, list):
            value = [each for each in value if each.get(name) == wanted]
        elif isinstance(value, list):
            number = int(part)
            value = value[number] if -len(value) <= number < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _answer(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "status" not in answer:
        yield {"send_text": HEAD}
        yield from _steps(answer["steps"])
        yield {"send_text": "0\r\n\r\n"}
        return
    body = json.dumps(answer["json"], ensure_ascii=False)
    headers = {
        "Content-Type": "application/json",
        "Content-Length": len(body.encode()),
        "Connection": "close",
        **answer.get("headers", {}),
    }
    lines = [f"HTTP/1.1 {answer['status']} So", *(f"{k}: {v}" for k, v in headers.items())]
    yield {"send_text": "\r\n".join([*lines, "", body])}


def _steps(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        match step:
            case {"data": data}:
                name = f"event: {step['event']}\n" if "event" in step else ""
                text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
                yield _chunk(f"{name}data: {text}\n\n")
            case {"raw": text}:
                yield _chunk(text)
            case {"pause_s": pause_s}:
                yield {"pause_ms": pause_s * 1000}
            case {"repeat": times, "steps": inner}:
                for _ in range(times):
                    yield from _steps(inner)
            case {"close": True}:
                yield {"close": True}
            case _:
                raise AssertionError(f"no such step: {step}")


def _chunk(text: str) -> dict[str, Any]:
    return {"send_text": f"{len(text.encode()):x}\r\n{text}\r\n"}
