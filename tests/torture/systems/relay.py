"""The relay that everybody writes first: FastAPI, httpx, and nothing behind them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

import httpx

from ..views import View
from .program import COMING_BACK, Program

ROOT = Path(__file__).parents[3]


class Relay(Program):
    """`bench/relay.py`, read line by line as its ten-line client does."""

    name: ClassVar[str] = "relay"
    not_made_for: ClassVar[frozenset[str]] = COMING_BACK

    def command(self) -> list[str | Path]:
        serve = ["-m", "uvicorn", "bench.relay:app", "--port", str(self.port)]
        return [sys.executable, *serve, "--log-level", "warning"]

    def env(self) -> dict[str, str]:
        model = {"LLM_BASE_URL": self.model_url, "LLM_API_KEY": "torture", "LLM_MODEL": "m-1"}
        return {"PYTHONPATH": str(ROOT), **model}

    async def read(self, view: View) -> None:
        try:
            async with (
                httpx.AsyncClient(timeout=None, trust_env=False) as http,
                http.stream("POST", f"{self.url}/ai/stream", json={"prompt": view.prompt}) as reply,
            ):
                reply.raise_for_status()
                async for line in reply.aiter_lines():
                    if line.startswith("data: "):
                        view.add(line[len("data: ") :])
        except httpx.HTTPError as error:
            view.fail(error)
        else:
            view.end = "complete"

    def request(self, prompt: str) -> tuple[str, dict[str, object]]:
        return "/ai/stream", {"prompt": prompt}
