"""The built-in model behaves like a model and always says the same."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from unspool.errors import ProviderRefused
from unspool.formats.tokens import estimate_tokens
from unspool.providers import Finish, Model, Output, Prompt, Sink, Text, Usage, open_provider
from unspool.providers.offline import Offline, plug
from unspool.providers.upstream.exchange import converse
from unspool.providers.upstream.http1 import Client
from unspool.providers.upstream.pulled import pulled

MODEL = Model("offline", "offline")
AT_ONCE = Offline(first_token_s=0, tokens_per_s=math.inf)

FACTS = """请写推荐文案。这次只写第 {} 条。
名称：云感慢跑鞋 2.0
品类：运动鞋
颜色：浅灰
材质：网布
卖点：轻量缓震、防滑大底
适用场景：通勤、慢跑
价格：459 元"""

QUESTIONS = [
    "请介绍运动鞋的特点",
    "What makes good running shoes?",
    "写一首关于人工智能的诗",
    "给我讲个笑话",
    "什么是事件溯源？",
    "Explain event sourcing.",
    "Write ad copy for sneakers",
    FACTS.format(1),
    "你好",
    "",
]


@pytest.fixture
async def http() -> AsyncIterator[Client]:
    async with Client() as session:
        yield session


async def outputs(http: Client, prompt: Prompt) -> list[Output]:
    def asking(sink: Sink) -> Awaitable[None]:
        return converse(AT_ONCE, MODEL, prompt, http, sink)

    return [output async for output in pulled(asking)]


async def said(http: Client, question: str, prefix: str = "", **params: Any) -> str:
    prompt = Prompt(Prompt.of(question).messages, prefix=prefix, params=params)
    return "".join(o.text for o in await outputs(http, prompt) if isinstance(o, Text))


def test_it_is_found_by_its_name_and_has_the_pace_of_a_model() -> None:
    assert open_provider("offline") is plug
    assert plug == Offline(first_token_s=0.12, tokens_per_s=40.0)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_the_same_question_gets_the_same_words(http: Client, question: str) -> None:
    first = await outputs(http, Prompt.of(question))
    assert first == await outputs(http, Prompt.of(question))


@pytest.mark.parametrize("question", QUESTIONS)
async def test_it_ends_with_an_honest_estimate_and_a_finish(http: Client, question: str) -> None:
    *deltas, usage, finish = await outputs(http, Prompt.of(question))
    text = "".join(delta.text for delta in deltas if isinstance(delta, Text))
    assert all(isinstance(delta, Text) for delta in deltas)
    assert usage == Usage(estimate_tokens(question), estimate_tokens(text), measured=False)
    assert finish == Finish("stop")


@pytest.mark.parametrize("question", QUESTIONS)
async def test_it_goes_on_exactly_from_any_place_of_its_own_answer(
    http: Client, question: str
) -> None:
    whole = await said(http, question)
    for cut in range(len(whole) + 1):
        assert await said(http, question, prefix=whole[:cut]) == whole[cut:]


async def test_chinese_comes_in_one_to_four_characters(http: Client) -> None:
    deltas = (await outputs(http, Prompt.of("请介绍运动鞋的特点")))[:-2]
    lengths = {len(delta.text) for delta in deltas if isinstance(delta, Text)}
    assert {1, 2} < lengths <= {1, 2, 3, 4}


async def test_english_comes_word_by_word_with_the_space_ahead(
    http: Client,
) -> None:
    deltas = (await outputs(http, Prompt.of("What makes good running shoes?")))[:-2]
    pieces = [delta.text for delta in deltas if isinstance(delta, Text)]
    assert not pieces[0].startswith(" ")
    assert all(piece == f" {piece.strip()}" for piece in pieces[1:])


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("limit", [1, 2, 7, 20])
async def test_max_tokens_cuts_it_and_the_cut_is_told(
    http: Client, question: str, limit: int
) -> None:
    whole = await said(http, question)
    *_, usage, finish = await outputs(http, Prompt.of(question, max_tokens=limit))
    cut = await said(http, question, max_tokens=limit)
    assert finish == Finish("length")
    assert usage == Usage(estimate_tokens(question), limit, measured=False)
    assert whole.startswith(cut)
    assert estimate_tokens(cut) == limit
    assert estimate_tokens(whole[: len(cut) + 1]) > limit


async def test_an_answer_that_just_fits_is_whole(http: Client) -> None:
    limit = estimate_tokens(await said(http, "你好"))
    assert (await outputs(http, Prompt.of("你好", max_tokens=limit)))[-1] == Finish("stop")
    assert (await outputs(http, Prompt.of("你好", max_tokens=limit - 1)))[-1] == Finish("length")


@pytest.mark.parametrize("limit", [0, -1, 2.5, "10", True])
async def test_a_limit_that_is_no_number_of_tokens_is_refused(http: Client, limit: object) -> None:
    with pytest.raises(ProviderRefused, match="max_tokens") as caught:
        await outputs(http, Prompt.of("你好", max_tokens=limit))
    assert caught.value.status == 400


def waits_of(offline: Offline) -> list[float]:
    return [wait_s for wait_s, _ in offline.request(MODEL, Prompt.of("你好")).pieces()]


def test_without_a_pace_it_never_waits() -> None:
    waits = waits_of(AT_ONCE)
    assert len(waits) > 20
    assert set(waits) == {0.0}


async def test_it_takes_its_time_as_told(http: Client) -> None:
    assert waits_of(Offline(first_token_s=0.05, tokens_per_s=math.inf))[:2] == [0.05, 0.0]
    text = "".join(o.text for o in await outputs(http, Prompt.of("你好")) if isinstance(o, Text))
    waited_s = sum(waits_of(Offline(first_token_s=0, tokens_per_s=400)))
    assert 0.5 < waited_s / (estimate_tokens(text) / 400) < 2


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("请介绍运动鞋的特点", ["运动鞋", "鞋底", "鞋面"]),
        ("说说跑步鞋怎么选", ["跑步鞋"]),
        ("What are the features of running shoes?", ["running shoes", "sole"]),
        (
            "什么是事件溯源？",
            ["“事件溯源”", "离线模型", "LLM_API_KEY", "LLM_BASE_URL", "LLM_MODEL"],
        ),
        ("Explain event sourcing.", ['"event sourcing"', "offline model", "LLM_API_KEY"]),
        ("写一首关于人工智能的诗", ["《人工智能》", "离线模型"]),
        ("给我讲个笑话", ["离线模型"]),
        ("你好", ["你好", "LLM_MODEL"]),
        ("", ["offline model", "LLM_MODEL"]),
        ("推荐一款运动鞋", ["运动鞋"]),
    ],
)
async def test_an_answer_is_about_the_question_and_says_who_speaks(
    http: Client, question: str, words: list[str]
) -> None:
    text = await said(http, question)
    assert not [word for word in words if word not in text], text


async def test_one_sentence_is_one_sentence(http: Client) -> None:
    text = await said(http, "请用一句话介绍运动鞋的特点")
    assert text.count("。") == 1
    assert text.endswith("。")


async def test_sales_text_is_made_of_the_facts_in_the_prompt(
    http: Client,
) -> None:
    posts = [await said(http, FACTS.format(number)) for number in (1, 2, 3)]
    for post in posts:
        assert "云感慢跑鞋 2.0" in post
        assert "轻量缓震、防滑大底" in post
        assert "459 元" in post
        assert "{" not in post
    assert len({post[:6] for post in posts}) == 3


async def test_a_language_is_the_questions_own(http: Client) -> None:
    for question in QUESTIONS:
        text = await said(http, question)
        is_chinese = any("\u4e00" <= character <= "\u9fff" for character in question)
        assert any("\u4e00" <= character <= "\u9fff" for character in text) == is_chinese


@pytest.mark.parametrize(
    ("prefix", "ending"),
    [
        ("别的模型写到这里。", "这一段先说到这里，具体情况请以实际资料为准。"),
        ("别的模型写到这里，", "其余的细节，请以实际资料为准。"),
        ("别的模型写到这", "……这里先说到这儿，其余的细节，请以实际资料为准。"),
        ("Another model stopped.", " That is as far as this goes"),
        ("Another model stop", "… and so on"),
    ],
)
async def test_another_models_text_is_ended_where_it_broke(
    http: Client, prefix: str, ending: str
) -> None:
    text = await said(http, "什么是事件溯源？", prefix=prefix)
    assert text.startswith(ending)
    # Cut in that very ending, it goes on with the rest of it.
    for cut in range(8, len(text) + 1):
        assert await said(http, "什么是事件溯源？", prefix=prefix + text[:cut]) == text[cut:]


async def test_text_in_parts_and_strange_messages_are_understood(
    http: Client,
) -> None:
    parts = [{"type": "text", "text": "请介绍"}, {"type": "image"}, {"text": "运动鞋"}]
    messages = ({"role": "user", "content": parts}, {"role": "assistant", "content": None})
    text = "".join(o.text for o in await outputs(http, Prompt(messages)) if isinstance(o, Text))
    assert "运动鞋" in text


@pytest.mark.parametrize(
    "question",
    [" " * 100_000 + "x", "\n" * 100_000 + "x", "请" * 100_000, "a " * 50_000, "{subject}"],
)
async def test_odd_questions_are_answered_in_no_time(http: Client, question: str) -> None:
    started = time.process_time()
    assert await said(http, question)
    assert time.process_time() - started < 5
