"""What flows keep beside their runs: there before anybody is told of the end, and once."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from support.runs import left_behind, until_ended
from support.servers import Serve, Served, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool import Draft, plugs
from unspool.errors import SetupError
from unspool.execution.adoption import MAX_RECOVERIES
from unspool.flows import Context, KeepingFlow
from unspool.records import Records
from unspool.runs.run import Run


class Question(BaseModel):
    prompt: str = "x"
    system: str = ""
    params: dict[str, Any] = {}
    tools: list[Any] = []


class Kept(KeepingFlow[Question]):
    """Keeps the text of its run, in a dictionary instead of a table."""

    input_model = Question

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.calls: list[str] = []
        self.error: Exception | None = None

    async def run(self, ctx: Context, asked: Question) -> None:
        await ctx.generate(asked.prompt, step="answer")
        ctx.result({"chars": len(ctx.written("answer"))})

    async def keep(self, run_id: str, asked: Question, run: Run, records: Records) -> None:
        self.calls.append(run.status)
        assert run.ended_ms
        if self.error is not None:
            raise self.error
        self.texts[run_id] = run.text


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    """The flow `chat` keeps something; so it is known wherever runs are started."""
    from unspool.flows import chat

    flow = Kept()
    monkeypatch.setattr(chat, "plug", flow)
    plugs.load.cache_clear()
    return flow


async def begun(client: httpx.AsyncClient, served: Served) -> str:
    asked = {"flow": "chat", "input": {"prompt": "x"}}
    return str((await client.post(f"{served.url}/v1/runs", json=asked)).json()["id"])


async def test_what_is_kept_is_there_when_the_end_is_told(
    kept: Kept, serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("今天", "推荐")]
    served = serve_model()
    run_id = await begun(client, served)
    # Ends with the frame that tells of the end, no later.
    await client.get(f"{served.url}/v1/runs/{run_id}/events")
    assert kept.texts == {run_id: "今天推荐"}
    assert kept.calls == ["completed"]


async def test_a_run_that_breaks_or_is_cancelled_is_kept_as_what_it_is(
    kept: Kept, serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天")], [chunk("明天"), SILENCE]]
    served = serve_model()
    broken = await begun(client, served)
    await until_ended(client, served, broken)
    cancelled = await begun(client, served)
    await upstream.until(lambda: len(upstream.requests) == 2 and upstream.open == 1)
    await client.post(f"{served.url}/v1/runs/{cancelled}/cancel")
    assert kept.calls == ["incomplete", "cancelled"]
    assert kept.texts[broken] == "今天"


@pytest.mark.parametrize(
    ("error", "code"), [(SetupError("the disk is full"), "setup"), (KeyError("x"), "internal")]
)
async def test_an_answer_that_could_not_be_kept_is_not_called_whole(
    kept: Kept, serve_with: Serve, client: httpx.AsyncClient, error: Exception, code: str
) -> None:
    kept.error = error
    served = serve_with()
    run = await until_ended(client, served, await begun(client, served))
    assert (run["status"], run["error"]["code"]) == ("incomplete", code)
    assert run["text"]


async def test_who_died_before_the_end_was_written_keeps_it_once_more(
    kept: Kept, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    served.stop()
    text = Draft("text.delta", {"step": "answer", "text": "甲乙"})
    over = Draft("step.finished", {"step": "answer", "model": "m", "finish_reason": "stop"})
    told = Draft("result.set", {"value": {"chars": 2}})
    run_id = await left_behind(served, text, over, told)
    run = await until_ended(client, serve_with(), run_id)
    assert (run["status"], run["result"]) == ("completed", {"chars": 2})
    assert kept.texts == {run_id: "甲乙"}


async def test_a_run_that_is_ended_without_its_flow_is_kept_too(
    kept: Kept, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    served.stop()
    text = Draft("text.delta", {"step": "answer", "text": "今天"})
    run_id = await left_behind(served, text, deaths=MAX_RECOVERIES)
    await until_ended(client, serve_with(), run_id)
    assert (kept.calls, kept.texts) == (["incomplete"], {run_id: "今天"})
