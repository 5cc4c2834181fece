"""How long a model may be silent, and who hears of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from support.upstream import SILENCE, Upstream, answer, chunk, refusal
from unspool.errors import ProviderError
from unspool.generation.attempts import AttemptFailed, AttemptSilent
from unspool.generation.generate import GenerationDeps, generate
from unspool.models.health import Health
from unspool.providers import Limits, Model, Output, Prompt, Silent
from unspool.providers.upstream.http1 import Client
from unspool.providers.upstream.patience import PATIENT_S, USUAL_S, patience_with
from unspool.providers.upstream.pulled import outputs_of

ASKED = Prompt.of("hi")
FAR = "https://api.example.com/v1"


@pytest.mark.parametrize(
    ("model", "first_event_s"),
    [
        (Model("m", "openai", "gpt-4o-mini", FAR), USUAL_S),
        (Model("m", "openai", "o3-mini", FAR), PATIENT_S),
        (Model("m", "openai", "deepseek-ai/DeepSeek-R1", FAR), PATIENT_S),
        (Model("m", "openai", "qwen-plus", FAR, params={"enable_thinking": True}), PATIENT_S),
        (Model("m", "openai", "qwen-plus", FAR, params={"enable_thinking": False}), USUAL_S),
        (Model("m", "openai", "llama3.2", "http://192.168.1.7:8080/v1"), PATIENT_S),
        (Model("m", "ollama", "llama3.2", "http://localhost:11434"), PATIENT_S),
        (Model("m", "openai", "o3", FAR, limits=Limits(first_event_s=7)), 7),
    ],
)
def test_a_model_that_thinks_or_is_near_may_take_its_time(
    model: Model, first_event_s: float
) -> None:
    assert patience_with(model).first_event_s == first_event_s


def test_inside_a_call_a_quick_model_may_be_as_silent_as_a_thoughtful_one() -> None:
    patience = patience_with(Model("m", "openai", "gpt-4o-mini", FAR))
    assert (patience.idle_s, patience.calling_s) == (USUAL_S, PATIENT_S)
    own = patience_with(Model("m", "openai", "x", FAR, limits=Limits(idle_s=3)))
    assert own.calling_s == 3


async def heard(upstream: Upstream, **limits: float) -> list[Output]:
    outputs: list[Output] = []
    async with Client() as http:
        with suppress(ProviderError):
            outputs += [it async for it in outputs_of(upstream.model(**limits), ASKED, http)]
    return outputs


async def test_a_silence_is_told_and_told_again_when_it_has_doubled(upstream: Upstream) -> None:
    upstream.play = [[0.5, *answer("Well.")]]
    silences = [it for it in await heard(upstream, silent_s=0.1) if isinstance(it, Silent)]
    expected = [Silent(0.1, is_alive=False), Silent(0.2, is_alive=False)]
    assert silences[:2] == expected


async def test_a_silence_between_two_words_begins_at_the_first(upstream: Upstream) -> None:
    upstream.play = [[chunk("One"), 0.25, chunk(" two"), 0.15, *answer(".")]]
    outputs = await heard(upstream, silent_s=0.1)
    told = [it.for_s for it in outputs if isinstance(it, Silent)]
    assert told[:2] == [0.1, 0.2]
    assert told.count(0.1) == 2


async def test_pings_are_signs_of_life_but_no_words(upstream: Upstream) -> None:
    pings = [step for _ in range(8) for step in (0.05, b": ping\n\n")]
    upstream.play = [[*pings, *answer("At last.")]]
    outputs = await heard(upstream, silent_s=0.15, idle_s=0.3)
    assert Silent(0.15, is_alive=True) in outputs
    assert "At last." in "".join(getattr(it, "text", "") for it in outputs)


async def test_the_log_hears_of_a_silent_attempt(upstream: Upstream) -> None:
    upstream.play = [[chunk("One"), SILENCE]]
    model = upstream.model(silent_s=0.1, idle_s=0.35)
    pieces = []
    async with Client() as http:
        with suppress(ProviderError):
            async for piece in generate(ASKED, [model], GenerationDeps(http, retries=0)):
                pieces.append(piece)  # noqa: PERF401 - it ends with an error
    told = [piece for piece in pieces if isinstance(piece, AttemptSilent)]
    assert [(it.number, it.for_s) for it in told] == [(1, 0.1), (1, 0.2)]
    assert isinstance(pieces[-1], AttemptFailed)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    "message",
    [
        "Loading model",
        "Model meta-llama/Llama-3 is currently loading",
        "the model is still loading",
    ],
)
async def test_a_server_that_loads_its_model_is_waited_for(
    upstream: Upstream, message: str
) -> None:
    upstream.play = [*[refusal(503, message)] * 9, answer("Ready.")]
    clock, waits = Clock(), []

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        clock.now += wait_s

    async with Client() as http:
        deps = GenerationDeps(http, health=Health(), sleep=sleep, clock=clock)
        pieces = [it async for it in generate(ASKED, [upstream.model()], deps)]
    assert "Ready." in [getattr(piece, "text", None) for piece in pieces]
    assert waits == [0.5, 1, 2, 4, 8, 10, 10, 10, 10]


async def test_a_server_that_loads_for_ever_is_waited_for_within_the_budget(
    upstream: Upstream,
) -> None:
    upstream.play = [refusal(503, "Loading model")]
    clock = Clock()

    async def sleep(wait_s: float) -> None:
        clock.now += wait_s

    async with Client() as http:
        deps = GenerationDeps(http, health=Health(), sleep=sleep, clock=clock, budget_s=60)
        with pytest.raises(ProviderError) as failed:
            [it async for it in generate(ASKED, [upstream.model()], deps)]
    assert failed.value.code == "loading"
    assert 50 < clock.now <= 60


async def test_where_another_model_is_ready_nobody_waits_for_one_that_loads(
    upstream: Upstream,
) -> None:
    upstream.play = [refusal(503, "Loading model")]
    waits: list[float] = []

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)

    async with Upstream() as ready, Client() as http:
        deps = GenerationDeps(http, retries=1, sleep=sleep)
        models = [upstream.model(), replace(ready.model(), name="ready")]
        pieces = [it async for it in generate(ASKED, models, deps)]
    assert "你好" in [getattr(piece, "text", None) for piece in pieces]
    assert len(waits) == 1
