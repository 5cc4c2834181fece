"""Readers of a growing text: what they tell is in the log once, whatever happened on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from support.readers import look
from support.runs import left_behind, until_ended
from support.servers import Serve, Served, ServeModel
from support.upstream import RESET, Upstream, answer, chunk
from unspool import Draft, plugs
from unspool.flows import Context, Flow, Reader
from unspool.runs.events import Event
from unspool.runs.fork import History
from unspool.runs.run import fold


class Question(BaseModel):
    prompt: str = "x"
    system: str = ""
    params: dict[str, Any] = {}
    tools: list[Any] = []


class Lines:
    """Tells each line when it ends."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._rest = ""

    def feed(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._ctx.found("line", {"text": line}, step="answer")

    def end(self) -> None:
        if self._rest:
            self.feed("\n")


class LinesFlow(Flow[Question]):
    input_model = Question

    async def run(self, ctx: Context, asked: Question) -> None:
        read: Callable[[], Reader] = lambda: Lines(ctx)  # noqa: E731
        await ctx.generate(asked.prompt, step="answer", read=read, params=asked.params)


@pytest.fixture
def lines_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow `chat` is one that reads along; so it is known wherever runs are started."""
    from unspool.flows import chat

    monkeypatch.setattr(chat, "plug", LinesFlow())
    plugs.load.cache_clear()


async def ended(client: httpx.AsyncClient, served: Served, run_id: str) -> list[dict[str, Any]]:
    await until_ended(client, served, run_id)
    return (await look(client, f"{served.url}/v1/runs/{run_id}/events")).seen.documents


async def begun(client: httpx.AsyncClient, served: Served, **more: Any) -> str:
    asked = {"flow": "chat", "input": {"prompt": "x", **more}}
    return str((await client.post(f"{served.url}/v1/runs", json=asked)).json()["id"])


def items(events: list[dict[str, Any]]) -> list[str]:
    return [e["data"]["item"]["text"] for e in events if e["type"] == "item.found"]


async def test_a_line_is_told_right_behind_the_piece_that_ends_it(
    lines_flow: None, serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("甲", "\n乙", "丙\n丁")]
    served = serve_model()
    events = await ended(client, served, await begun(client, served))
    told = [
        e["type"].partition(".")[0] for e in events if e["type"] in {"text.delta", "item.found"}
    ]
    assert told == ["text", "text", "item", "text", "item", "item"]
    assert items(events) == ["甲", "乙丙", "丁"]
    assert next(e["data"] for e in events if e["type"] == "item.found") == {
        "kind": "line",
        "item": {"text": "甲"},
        "step": "answer",
    }


async def test_after_a_death_what_was_told_is_not_told_again_and_what_was_not_is(
    lines_flow: None, serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    served.stop()
    said = [
        Draft("text.delta", {"step": "answer", "text": text}) for text in ("甲\n乙\n", "推荐这双")
    ]
    item = {"kind": "line", "item": {"text": "甲"}, "step": "answer"}
    run_id = await left_behind(served, said[0], Draft("item.found", item), said[1])
    upstream.play = [answer("推荐这双鞋\n")]
    events = await ended(client, serve_model(), run_id)
    assert items(events) == ["甲", "乙", "推荐这双鞋"]


async def test_a_text_that_is_taken_back_takes_its_items_along(
    lines_flow: None, serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    # An answer bound to a form is not gone on with in words: it is taken back and begun again.
    upstream.play = [[chunk("甲\n乙\n"), 0.01, RESET], answer("子\n", "丑\n")]
    served = serve_model(retries=1)
    form = {"response_format": {"type": "json_object"}}
    run_id = await begun(client, served, params=form)
    events = await ended(client, served, run_id)
    assert "step.rewound" in [event["type"] for event in events]
    assert items(events) == ["甲", "乙", "子", "丑"]
    run = fold(Event(e["seq"], e["type"], e["at_ms"], e["data"]) for e in events)
    assert [item["item"]["text"] for item in run.items] == ["子", "丑"]


def event(seq: int, type_: Any, **data: Any) -> Event:
    return Event(seq, type_, 0, data)


def test_a_fork_takes_over_no_items_of_a_text_that_was_taken_back() -> None:
    line = {"kind": "line", "item": {"text": "甲"}}
    log = [
        event(1, "run.started", flow="chat", input={}, model="", dialect="native", digest=""),
        event(2, "step.started", step="a"),
        event(3, "item.found", **line),
        event(4, "item.found", **line, step="a"),
        event(5, "step.rewound", step="a"),
        event(6, "item.found", **line, step="b"),
    ]
    history = History({})
    for told in log:
        history.take(told)
    assert [d.data.get("step") for d in history.drafts() if d.type == "item.found"] == [None, "b"]


async def test_a_finished_step_is_read_once_more_for_the_flow_and_not_for_the_log(
    lines_flow: None, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    served.stop()
    text = Draft("text.delta", {"step": "answer", "text": "甲\n乙"})
    over = Draft("step.finished", {"step": "answer", "model": "m", "finish_reason": "stop"})
    run_id = await left_behind(served, text, over)
    events = await ended(client, serve_with(), run_id)
    assert items(events) == ["甲", "乙"]
