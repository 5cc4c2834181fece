"""
Carries out a call of a tool: checks it against the schema, and limits its time and size.

A failure is an answer too, with a code. The model gets it like any other answer, and may call
again with other arguments or answer without the tool. A failing tool never ends a run.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from unspool.errors import UnknownRecord, UnspoolError
from unspool.flows import Call, CallPlace, ToolAnswer
from unspool.formats.json_schema import misfits
from unspool.providers.upstream.http1 import Client
from unspool.records import Records
from unspool.records.tools import ToolRow, find_tools

from .. import open_tool
from .http import Failed, fetch
from .registry import ToolRegistry

log = logging.getLogger(__name__)

MAX_ANSWER_CHARS: Final = 32_000
"""Of one answer: some ten thousand tokens. More would crowd out the conversation itself."""

MAX_ERROR_CHARS: Final = 500
"""Of one error message."""

MAX_THREADS: Final = 32
"""Plain functions at once, including those that hang after their time limit."""

MAX_NAMES_SHOWN: Final = 20
"""Names of tools in the answer to a call of an unknown one."""


class ToolCaller:
    """Carries out the calls of a run; see `context.ToolRunner`."""

    def __init__(self, tool_registry: ToolRegistry, records: Records, http: Client) -> None:
        self.tool_registry = tool_registry
        self._records = records
        self._http = http
        self._threads = threading.BoundedSemaphore(MAX_THREADS)

    async def answer(
        self, call: Call, offered: Sequence[Mapping[str, Any]], place: CallPlace
    ) -> ToolAnswer:
        """Carry out a call of a run, with the schema that the model got."""
        tool = next((tool for tool in offered if tool["name"] == call.name), None)
        if tool is None:
            have = ", ".join(tool["name"] for tool in offered[:MAX_NAMES_SHOWN])
            return _failed("unknown_tool", f"no tool named {call.name[:64]!r}; have: {have}")
        try:
            (row,) = await find_tools(self._records, [tool["id"]])
        except UnknownRecord:
            return _failed("unknown_tool", "this tool was removed; answer without it")
        except UnspoolError as error:
            return _failed("tool_failed", f"its definition cannot be read: {error}")
        return await self.carry_out(row, tool["parameters"], call.arguments, place.key)

    async def carry_out(
        self, row: ToolRow, schema: Mapping[str, Any], arguments: Mapping[str, Any], key: str
    ) -> ToolAnswer:
        """Carry out a call of a registered tool; a repeat of the call has the same `key`."""
        if problems := misfits(schema, arguments):
            message = f"the arguments do not fit the schema: {'; '.join(problems)}"
            return _failed("invalid_arguments", message)
        try:
            async with asyncio.timeout(row.limit_s):
                return _answer_of(await self._call(row, arguments, key))
        except TimeoutError:
            return _failed("tool_timeout", f"no answer within {row.limit_s:g} s")
        except Failed as failed:
            return _failed("tool_failed", str(failed))
        except UnspoolError as error:
            return _failed("tool_failed", str(error))
        except Exception as error:
            # A tool is other people's code: its exception goes to the model and to the log.
            log.exception("Tool %s failed", row.name)
            return _failed("tool_failed", f"{type(error).__name__}: {error}")

    async def _call(self, row: ToolRow, arguments: Mapping[str, Any], key: str) -> Any:
        self.tool_registry.check(row)
        answer = row.answer
        match answer["kind"]:
            case "mock":
                return answer["value"]
            case "python":
                return await self._python(open_tool(answer["entry_point"]), arguments)
            case "mcp":
                mcp = self.tool_registry.mcp
                return await mcp.call(answer["server"], answer["tool"], arguments, key)
            case _:
                headers = self.tool_registry.headers(row)
                return await fetch(self._http, answer, headers, arguments, key)

    async def _python(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(**arguments)
        if not self._threads.acquire(blocking=False):
            raise Failed(f"{MAX_THREADS} tools are running already; call again in a moment")
        return await _in_thread(lambda: function(**arguments), self._threads.release)


async def _in_thread(work: Callable[[], Any], done: Callable[[], object]) -> Any:
    """
    Run `work()` in a thread of its own and return its result; a timeout leaves the thread behind.

    Not in a pool: hanging threads would fill it, and keep the program from ending.
    """
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[tuple[Any, Exception | None]] = loop.create_future()

    def finish(outcome: tuple[Any, Exception | None]) -> None:
        if not waiting.done():
            waiting.set_result(outcome)

    def run_work() -> None:
        outcome: tuple[Any, Exception | None]
        try:
            outcome = work(), None
        except Exception as error:  # noqa: BLE001 - the waiting coroutine raises it
            outcome = None, error
        finally:
            done()
        with suppress(RuntimeError):  # the server has stopped meanwhile
            loop.call_soon_threadsafe(finish, outcome)

    threading.Thread(target=run_work, name="tool", daemon=True).start()
    value, error = await waiting
    if error is not None:
        raise error
    return value


def _answer_of(value: Any) -> ToolAnswer:
    """Return a value as an answer for the model: text unchanged, anything else as JSON."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        # Half a surrogate pair must reach no socket and no log.
        text = text.encode("utf-8", "replace").decode()
    except (TypeError, ValueError, RecursionError) as error:
        return _failed("tool_failed", f"its answer is not JSON: {error}")
    if len(text) > MAX_ANSWER_CHARS:
        text = f"{text[:MAX_ANSWER_CHARS]}… [cut: {MAX_ANSWER_CHARS} of {len(text)} characters]"
    return ToolAnswer(text)


def _failed(code: str, message: str) -> ToolAnswer:
    log.warning("A tool call failed (%s): %s", code, message[:MAX_ERROR_CHARS])
    error = {"code": code, "message": message[:MAX_ERROR_CHARS]}
    content = json.dumps({"error": error}, ensure_ascii=False).encode("utf-8", "replace").decode()
    return ToolAnswer(content, code)
