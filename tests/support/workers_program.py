"""
A program with a supervisor, and a worker of its own that is small and can misbehave.

Usage: `workers_program.py COUNT FOLDER [COMMAND …]`; without a command, the worker is this file.
It answers each connection with its number and process id. A line `die` kills it, a file `wrong`
in the folder keeps it from starting, and a file `stubborn` from stopping.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from unspool import Settings
from unspool.server import workers
from unspool.server.listening import SharedPort
from unspool.server.worker import Inheritance, inheritance

WRONG = 2
TURNS = 20
"""A connection that the loop has taken is with `answer` after some turns, however long each is."""


async def serve(inherited: Inheritance, name: str, stop: asyncio.Event) -> None:
    answers: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        answers.add(task)
        task.add_done_callback(answers.discard)
        if await reader.readline() == b"die\n":
            os._exit(3)
        writer.write(name.encode())
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, sock=inherited.listening)
    inherited.say_ready({"said": "hello"})
    await stop.wait()
    server.close()
    for _ in range(TURNS):
        await asyncio.sleep(0)
    if answers:  # a client may be slow to ask; the supervisor ends this
        await asyncio.wait(answers)


async def work(inherited: Inheritance, name: str, folder: Path) -> None:
    stop = asyncio.Event()
    stopped = (lambda: None) if (folder / "stubborn").exists() else stop.set
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped)
    if (folder / "wrong").exists():
        print("a setting is wrong", file=sys.stderr)
        raise SystemExit(WRONG)
    await serve(inherited, name, stop)


def supervise(count: int, command: list[str]) -> int:
    workers.STOP_S = 3.0  # type: ignore[misc]
    port = SharedPort(Settings(_env_file=None, port=0))

    def announce(facts: dict[str, Any]) -> None:
        print(port.number, facts, flush=True)

    return workers.supervise(command, count, port.listen, announce)


def main() -> int:
    number = Settings(_env_file=None).worker
    inherited = inheritance()
    count, folder, *command = sys.argv[1:]
    if inherited is None:
        return supervise(int(count), command or [sys.executable, *sys.orig_argv[1:]])
    asyncio.run(work(inherited, f"{number} {os.getpid()}", Path(folder)))
    return 0


if __name__ == "__main__":
    code = main()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        signal.raise_signal(-code)
    sys.exit(code)
