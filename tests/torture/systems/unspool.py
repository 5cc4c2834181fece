"""Unspool: `unspool serve` over SQLite, and a route with a second model."""

from __future__ import annotations

import json
import sys
from contextlib import aclosing
from pathlib import Path
from typing import ClassVar

import unspool
from unspool.errors import UnspoolError

from ..corpus import cases
from ..views import View
from . import SILENCE_S
from .litellm import PLAIN
from .program import Program

SOURCE = Path(unspool.__file__).parents[1]


class Unspool(Program):
    """A server over one data directory, read with the client of the package."""

    name: ClassVar[str] = "unspool"
    ready_path: ClassVar[str] = "/readyz"
    resumes: ClassVar[bool] = True
    stops: ClassVar[bool] = True

    def command(self) -> list[str | Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "unspool.yaml").write_text(json.dumps(self._config()))  # JSON is YAML
        serve = ["-m", "unspool", "serve", "--port", str(self.port), "--no-sample-data"]
        return [sys.executable, *serve, "--data-dir", self.folder / "data"]

    def env(self) -> dict[str, str]:
        return {"PYTHONPATH": str(SOURCE)}

    def _config(self) -> dict[str, object]:
        names = [PLAIN, *cases()]
        models = [self._model(name + end) for name in names for end in ("-first", "-second")]
        routes = [
            {"name": name, "models": [f"{name}-first", f"{name}-second"], "strategy": "ordered"}
            for name in names
        ]
        return {"default": PLAIN, "models": models, "routes": routes}

    def _model(self, name: str) -> dict[str, object]:
        limits = dict.fromkeys(("first_event_s", "idle_s", "progress_s"), SILENCE_S)
        # Said, so that the server does not try it out: each name's first request is the fault.
        facts = {"model": "m-1", "api_base": self.model_url, "prefill": "assistant"}
        return {"name": name, "limits": limits, **facts}

    async def read(self, view: View) -> None:
        try:
            async with unspool.connect(self.url) as server:
                model = view.order.get("fault", PLAIN)
                run = await server.start("chat", {"prompt": view.prompt}, model=model)
                view.handle = run.id
                await self._follow(run, view)
        except UnspoolError as error:
            view.fail(error)

    async def join(self, view: View) -> None:
        try:
            async with unspool.connect(self.url) as server:
                await self._follow(server.run(view.handle), view)
        except UnspoolError as error:
            view.fail(error)

    async def _follow(self, run: unspool.RemoteRun, view: View) -> None:
        async with aclosing(run.events(after=view.cursor)) as events:
            async for event in events:
                view.cursor = event.seq
                match event.type:
                    case "text.delta":
                        view.add(event.data["text"])
                    case "step.rewound":
                        view.text = view.text[: event.data.get("at", 0)]
                    case "run.completed":
                        view.end = "complete"
                    case "run.failed" | "run.incomplete" | "run.cancelled":
                        view.fail(f"{event.type}: {event.data['code']}")

    async def stop(self, view: View) -> None:
        async with unspool.connect(self.url) as server:
            await server.run(view.handle).cancel()

    def request(self, prompt: str) -> tuple[str, dict[str, object]]:
        return "/ai/stream", {"prompt": prompt, "model": PLAIN}
