"""
What everybody writes first: a relay of one model's stream, by hand.

The measuring stick for a price, not a straw man: one shared client, raised pool
limits, no logging on the way, no work per token but the needed. It keeps
nothing: a viewer who leaves has lost the rest, a restart has lost everything.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel


class Client:
    """The model's API, spoken by httpx."""

    def __init__(self, base_url: str, key: str, model: str) -> None:
        self._model = model
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(60.0),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=1000),
        )

    async def stream_chat(self, prompt: str) -> AsyncIterator[str]:
        """The answer's text, piece by piece."""
        payload = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            "stream": True,
        }
        async with self._http.stream("POST", "/chat/completions", json=payload) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if not line.startswith("data: "):
                    continue
                data = line[len("data: ") :]
                if data == "[DONE]":
                    return
                choices = json.loads(data)["choices"]
                if choices and (text := choices[0]["delta"].get("content")):
                    yield text

    async def close(self) -> None:
        await self._http.aclose()


class Question(BaseModel):
    prompt: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for all requests, as long as the application lives."""
    app.state.client = Client(
        os.environ["LLM_BASE_URL"], os.environ["LLM_API_KEY"], os.environ["LLM_MODEL"]
    )
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/ai/stream")
async def stream_llm(question: Question) -> StreamingResponse:
    client: Client = app.state.client

    async def generate() -> AsyncIterator[str]:
        async for chunk in client.stream_chat(question.prompt):
            yield f"data: {chunk}\n\n"

    return StreamingResponse(
        generate(),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "Connection": "keep-alive"},
    )
