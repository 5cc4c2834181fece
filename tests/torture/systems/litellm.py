"""LiteLLM's proxy, with the retries, timeouts and the second deployment of its documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import openai

from ..corpus import cases
from ..views import View
from . import SILENCE_S
from .program import COMING_BACK, Program

BIN = Path(__file__).parents[3] / ".venv" / "torture" / "bin"

PLAIN = "plain"
KEY = "sk-torture-4f1c8a20e7"


class LiteLlm(Program):
    """`litellm --config …`, read with OpenAI's client for Python."""

    name: ClassVar[str] = "litellm"
    ready_path: ClassVar[str] = "/health/readiness"
    key: ClassVar[str] = KEY
    not_made_for: ClassVar[frozenset[str]] = COMING_BACK

    def command(self) -> list[str | Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "config.yaml"
        config.write_text(json.dumps(self._config()))  # JSON is YAML
        host = ["--host", "127.0.0.1", "--port", str(self.port)]
        return [BIN / "litellm", "--config", config, *host]

    def env(self) -> dict[str, str]:
        # Its list of prices is asked for in the network otherwise, at each start.
        return {"LITELLM_MASTER_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

    def _config(self) -> dict[str, object]:
        # A pair of deployments for each fault: one that fails often rests, and the next fault
        # would not be met.
        names = [PLAIN, *cases()]
        return {
            "model_list": [
                self._deployment(name + end) for name in names for end in ("", "-second")
            ],
            "litellm_settings": {
                "num_retries": 3,
                "fallbacks": [{name: [f"{name}-second"]} for name in names],
            },
        }

    def _deployment(self, name: str) -> dict[str, object]:
        params = {"model": "openai/m-1", "api_base": self.model_url, "api_key": "torture"}
        limits = {"stream_timeout": SILENCE_S}
        return {"model_name": name, "litellm_params": {**params, **limits}}

    async def read(self, view: View) -> None:
        try:
            async with openai.AsyncOpenAI(api_key=KEY, base_url=self.url) as client:
                stream = await client.chat.completions.create(
                    model=view.order.get("fault", PLAIN),
                    messages=[{"role": "user", "content": view.prompt}],
                    stream=True,
                )
                reason = None
                async for chunk in stream:
                    for choice in (each for each in chunk.choices if each.index == 0):
                        view.add(choice.delta.content or "")
                        reason = choice.finish_reason or reason
        except openai.OpenAIError as error:
            view.fail(error)
        except Exception as error:  # noqa: BLE001 - the client lets its transport's errors through
            view.fail(error)
        else:
            view.why = f"finish_reason {reason}"
            view.end = "complete" if reason == "stop" else "said"

    def request(self, prompt: str) -> tuple[str, dict[str, object]]:
        messages = [{"role": "user", "content": prompt}]
        return "/v1/chat/completions", {"model": PLAIN, "stream": True, "messages": messages}
