"""
Asks the person at the terminal what a run wants to know.

Somebody else may answer first, on another device: then the prompt goes away.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from ..errors import SpecError
from ..runs.events import Event
from ..runs.questions import Question, question_of
from ..viewing.remote.errors import RequestRefused
from ._api import ServerClient
from ._console import say, stderr
from ._output import Output

SETTLE_S: Final = 0.2
"""After a question: a log that is read again has its answer right behind it."""

DECLINE: Final = "/decline"
YES, NO = frozenset({"y", "yes"}), frozenset({"", "n", "no"})


class TerminalAnswers:
    """Takes the events of a run; asks one question at a time."""

    def __init__(self, server: ServerClient, run_id: str, output: Output) -> None:
        self._server = server
        self._run_id = run_id
        self._output = output
        self._open: dict[str, Question] = {}
        self._asking: asyncio.Task[None] | None = None
        self._step = ""
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._reader: threading.Thread | None = None

    def take(self, event: Event) -> None:
        if event.type == "question.asked":
            self._open[event.data["step"]] = question_of(event.data)
        elif event.type == "question.answered":
            self._open.pop(event.data["step"], None)
        elif not event.is_terminal:
            return
        if event.is_terminal:
            self._open.clear()
        if self._step not in self._open:
            self.close()
        if self._open and self._asking is None:
            self._step = next(iter(self._open))
            self._asking = asyncio.create_task(self._ask(self._open[self._step]))

    def close(self) -> None:
        """Take the prompt away."""
        if self._asking is not None:
            self._asking.cancel()
            self._asking, self._step = None, ""
            self._output.go_on()

    async def _ask(self, question: Question) -> None:
        await asyncio.sleep(SETTLE_S)
        self._output.pause()
        self._read()
        for line in lines_of(question):
            say(line, style="bold", to=stderr())
        while True:
            while not self._lines.empty():  # typed before there was a question
                self._lines.get_nowait()
            line = (await self._lines.get()).strip()
            try:
                body = {"step": question.step, **answer_in(line, question.schema, question.call)}
                await self._server.answer(self._run_id, body)
            except (SpecError, RequestRefused) as error:
                say(str(error), style="yellow", to=stderr())
            else:
                return  # its event takes the prompt away

    def _read(self) -> None:
        if self._reader is None:
            loop = asyncio.get_running_loop()
            # A daemon: a read of the terminal cannot be stopped, and must not keep the program.
            self._reader = threading.Thread(target=self._read_lines, args=(loop,), daemon=True)
            self._reader.start()

    def _read_lines(self, loop: asyncio.AbstractEventLoop) -> None:
        for line in sys.stdin:
            with suppress(RuntimeError):  # the program ends
                loop.call_soon_threadsafe(self._lines.put_nowait, line)


def lines_of(question: Question) -> list[str]:
    """Return a question as it stands in the terminal, with what may be typed."""
    if question.call is not None:
        call = f"{question.call['name']} {json_line(question.call['arguments'])}"
        return [f"{question.text} {call}", "y approves, n declines; anything else is why not"]
    hint = f"an answer; {DECLINE} and why declines"
    if question.schema is not None:
        return [question.text, f"JSON that fits {json_line(question.schema)}", hint]
    return [question.text, hint]


def answer_in(
    line: str, schema: Mapping[str, Any] | None, call: Mapping[str, Any] | None
) -> dict[str, Any]:
    """
    Return the answer that was typed.

    Raises:
        SpecError: It must be JSON, and is none, or there is nothing.
    """
    if call is not None:
        if line.lower() in YES:
            return {}
        return {"declined": True, "reason": "" if line.lower() in NO else line}
    if line.partition(" ")[0] == DECLINE:
        return {"declined": True, "reason": line.removeprefix(DECLINE).strip()}
    return {"value": value_in(line, schema)}


def value_in(text: str, schema: Mapping[str, Any] | None) -> Any:
    """
    Return the value of an answer; of a schema with one property, its bare value is enough.

    Raises:
        SpecError: It must be JSON, and is none, or there is nothing.
    """
    if not text:
        raise SpecError("Write an answer.")
    if schema is None:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    names = list(schema.get("properties", {}))
    if not isinstance(value, dict) and len(names) == 1:
        return {names[0]: value}
    if not isinstance(value, dict):
        raise SpecError(f"The answer must be a JSON object that fits {json_line(schema)}.")
    return value


def json_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
