"""Steps that are written unseen: in the log, and in no contract but our own."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from unspool import Context, flow, plugs
from unspool.dialects import encoder_for
from unspool.runs.events import Event
from unspool.runs.fork import History
from unspool.testing import Played, play


class UpstreamRequest(BaseModel):
    topic: str = "sea"


@flow
async def twice(ctx: Context, asked: UpstreamRequest) -> str:
    draft = await ctx.generate(asked.topic, step="draft", is_unseen=True)
    await ctx.say(draft.upper(), step="shown", model=ctx.writer("draft"))
    return draft.title()


@flow
async def once(ctx: Context, asked: UpstreamRequest) -> None:
    await ctx.generate(asked.topic, step="draft", is_unseen=True)


async def played() -> Played:
    return await play(twice, {}, says=["the sea at night"])


async def test_unseen_text_is_in_its_step_and_not_in_the_runs_text() -> None:
    run = (await played()).run
    assert run.text == "THE SEA AT NIGHT"
    assert run.steps["draft"].text == "the sea at night"
    assert run.steps["shown"].model == run.steps["draft"].model
    assert run.steps["shown"].model is not None
    assert run.steps["shown"].model.startswith("scripted-")


@pytest.mark.parametrize("dialect", plugs.names("dialects"))
async def test_only_the_native_contract_shows_it(dialect: str) -> None:
    done = await played()
    encoder = encoder_for(dialect)
    shown = b"".join(frame for event in done.events for frame in encoder.encode(event))
    assert (b"sea at" in shown) == (dialect == "native")


async def test_a_fork_keeps_it_unseen() -> None:
    history = History({})
    for event in (await played()).events:
        history.take(event)
    begun = [d.data for d in history.drafts() if d.type == "step.started"]
    assert begun == [{"step": "draft", "unseen": True}, {"step": "shown"}]


async def test_a_run_that_has_shown_nothing_has_failed_and_is_not_incomplete() -> None:
    broken = [{"text": "the sea at nig"}, {"fail": "interrupted", "code": "reset"}]
    done = await play(once, {}, says=[broken], retries=0)
    assert done.run.status == "failed"
    assert done.run.first_token_ms is None


def test_a_step_of_the_same_name_in_another_run_is_not_hidden() -> None:
    encoder = encoder_for("plain")
    text = Event(1, "text.delta", 0, {"step": "draft", "text": "x"})
    assert encoder.encode(text) == (b"x",)
