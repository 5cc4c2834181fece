"""
The public API as a typed program: mypy reads it (`make style`), nobody runs it.

A public name that goes, a parameter that changes, a type that widens: each makes a line here
wrong. `tests/test_public_project.py` asks that every public name is used.
"""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, assert_type

from django.http import HttpRequest
from pydantic import BaseModel
from starlette.responses import Response

import unspool.django
import unspool.fastapi
from unspool import (
    Completion,
    Context,
    Core,
    Draft,
    Event,
    Journal,
    Limits,
    LLMClient,
    LLMClientError,
    Model,
    Pen,
    Prompt,
    Run,
    RunSpec,
    Settings,
    UnspoolError,
    abstract_events_batch,
    abstract_events_batch_stream,
    answer_question_with_graph,
    call_model,
    connect,
    connect_blocking,
    flow,
    fold,
    follow,
    generate_from_patterns,
    get_llm_client,
    open_core,
    open_journal,
)
from unspool.embedded import Embedded
from unspool.testing import Played, play


class Dish(BaseModel):
    name: str


class Recipe(BaseModel):
    title: str


@flow
async def recipe(ctx: Context, dish: Dish) -> Recipe:
    found = await ctx.structured(Recipe, dish.name, step="recipe")
    assert_type(found, Recipe)
    assert_type(await ctx.generate("…", step="toast", system="", params={"max_tokens": 9}), str)
    assert_type(await ctx.say("…", step="end"), str)
    outcome = await ctx.child(1, "chat", {"prompt": "…"}, model="")
    assert_type(outcome.status, str)
    ctx.progress("…", current=1, total=2)
    ctx.found("dish", {"name": dish.name})
    ctx.warn("…", code="rules")
    ctx.result({"title": found.title})
    return found


async def client(settings: Settings) -> None:
    model = Model(
        "mine", provider="openai", base_url="http://127.0.0.1/v1", limits=Limits(idle_s=9)
    )
    assert_type(get_llm_client(settings), LLMClient)
    async with LLMClient(model, retries=0).with_limits(first_event_s=5) as asked:
        assert_type(asked.is_stub, bool)
        try:
            async for piece in asked.stream_chat("…", temperature=0.7, max_tokens=9, top_p=0.9):
                assert_type(piece, str)
            whole = await asked.complete("…")
        except LLMClientError as error:
            assert_type((error.code, error.attempts, error.text), tuple[str, int, str])
            assert_type(error.status, int | None)
        else:
            assert_type(whole, Completion)
            assert_type((whole.text, whole.attempts), tuple[str, int])


async def journal(path: Path) -> Run:
    opened = await open_journal(f"sqlite:///{path}")
    assert_type(opened, Journal)
    events: list[Event] = []
    async for batch in follow(opened, "run", after=0, patience_s=1.0):
        assert_type(batch, Sequence[Event])
        events.extend(batch)
    await opened.aclose()
    return fold(events)


async def elsewhere(url: str) -> None:
    async with connect(url, key="k") as server:
        run = await server.start("chat", {"prompt": "?"}, model="m")
        async for event in run.events(after=3):
            assert_type(event, Event)
        assert_type(await run.answer({"seat": "window"}, step="seat"), dict[str, Any])
        assert_type((await run.fork(after=1)).id, str)
    with connect_blocking(url) as blocking:
        for event in blocking.run("id").events():
            assert_type(event, Event)
        assert_type(blocking.run("id").decline("no"), dict[str, Any])


async def writer(pen: Pen) -> None:
    pen.append(Draft("step.started", {"step": "answer"}))
    await pen.commit()
    await pen.end(Draft("run.completed"))


async def parts(settings: Settings) -> None:
    try:
        async with open_core(settings) as core:
            assert_type(core, Core)
            assert_type(await core.admission.admit(RunSpec("chat", {"prompt": "…"})), str)
    except UnspoolError as error:
        assert_type((error.code, error.http_status), tuple[str, int])


async def debug_chat() -> None:
    async for frame in call_model(None, "…", stream=True):
        assert_type(frame, dict[str, Any])
    assert_type(await call_model(None, "…", tools=[{"name": "find"}]), dict[str, Any])


async def extraction(behaviors: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    async def callback(piece: str) -> None:
        assert piece

    lines = abstract_events_batch_stream(behaviors, stream_callback=callback)
    assert_type(lines, AsyncGenerator[str, None])
    assert_type(await abstract_events_batch(behaviors), dict[str, list[dict[str, Any]]])
    graph = await generate_from_patterns([{"events": ["a", "b"], "support": 1.0}])
    assert_type(graph, dict[str, list[Any]])
    assert_type(await answer_question_with_graph("…", graph), dict[str, Any])


def script() -> None:
    with Embedded(Settings()) as embedded:
        run_id = embedded.start("chat", {"prompt": "…"}, model="", dialect="plain")
        assert_type(run_id, str)
        assert_type(embedded.frames(run_id, "plain", after=""), Generator[bytes, None, None])
        assert_type(embedded.aframes(run_id), AsyncGenerator[bytes, None])


async def fastapi() -> None:
    mounted = unspool.fastapi.Unspool(Settings())
    assert_type(await mounted.start("chat", {"prompt": "…"}), str)
    assert_type(await mounted.stream("chat", {"prompt": "…"}, dialect="plain"), Response)


async def django(request: HttpRequest) -> None:
    unspool.django.stream(request, "chat", {"prompt": "…"}, "plain")
    unspool.django.follow(request, "run")
    await unspool.django.astream(request, "chat", {"prompt": "…"}, "plain")
    await unspool.django.afollow(request, "run")
    async for facts in unspool.django.RewriteProcessor().process_stream(1, {"original_text": "…"}):
        assert_type(facts, dict[str, Any])


async def played() -> None:
    seen = await play(recipe, Dish(name="…"), says=['{"title": "…"}', "…"], retries=0)
    assert_type(seen, Played)
    assert_type((seen.run, seen.events), tuple[Run, list[Event]])
    assert_type(seen.of("item.found"), list[Mapping[str, Any]])
    assert_type(Prompt.of("…", system="…"), Prompt)
