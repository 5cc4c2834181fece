"""A script is played to the letter, from the place where the text stands."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from unspool.errors import ProviderError, ProviderInterrupted, ProviderRefused, ProviderUnavailable
from unspool.providers import (
    Finish,
    Model,
    Output,
    Prompt,
    Reasoning,
    Skipped,
    Text,
    ToolCall,
    ToolFragment,
    Usage,
    open_provider,
)
from unspool.providers.scripted import MAX_CHARS, MAX_SCRIPT_BYTES, MAX_STEPS, Scripted, plug
from unspool.providers.upstream.exchange import converse
from unspool.providers.upstream.http1 import Client

MODEL = Model("demo", "scripted")

EVERYTHING: list[dict[str, Any]] = [
    {"reasoning": "嗯"},
    {"text": "今天"},
    {"pause_s": 0.0},
    {"skipped": "a line that was no JSON"},
    {"text": "推荐"},
    {"tool": {"index": 0, "id": "c1", "name": "f", "arguments": "{}"}},
    {"repeat": 2, "steps": [{"text": "好"}, {"repeat": 2, "steps": [{"text": "！"}]}]},
    {"usage": {"prompt_tokens": 3, "completion_tokens": 5}},
    {"finish": "stop"},
]
TEXT = "今天推荐好！！好！！"


@pytest.fixture
async def http() -> AsyncIterator[Client]:
    async with Client() as session:
        yield session


class Played:
    """What came of a script: the outputs, and the error at its end if there was one."""

    is_full = False

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.error: ProviderError | None = None

    def text(self, text: str) -> None:
        self.outputs.append(Text(text))

    def take(self, output: Output) -> None:
        self.outputs.append(output)

    async def drain(self) -> None:
        """It is never full."""

    @property
    def said(self) -> str:
        return "".join(output.text for output in self.outputs if isinstance(output, Text))


async def play(
    http: Client,
    script: object,
    prefix: str = "",
    *,
    model: Model = MODEL,
    provider: Scripted | None = None,
) -> Played:
    params = {} if script is None else {"script": script}
    prompt = Prompt(Prompt.of("?").messages, prefix=prefix, params=params)
    played = Played()
    try:
        await converse(provider or Scripted(), model, prompt, http, played)
    except ProviderError as error:
        played.error = error
    return played


async def refusal(http: Client, script: object, model: Model = MODEL) -> str:
    """Return why a script is refused; nothing of it may have been played."""
    played = await play(http, script, model=model)
    assert played.outputs == []
    assert isinstance(played.error, ProviderRefused)
    assert played.error.code == "bad_script"
    return str(played.error)


def test_it_is_found_by_its_name() -> None:
    assert open_provider("scripted") is plug


async def test_every_kind_of_step_is_played_in_order(http: Client) -> None:
    played = await play(http, EVERYTHING)
    assert played.error is None
    assert played.said == TEXT
    assert played.outputs[:5] == [
        Reasoning("嗯"),
        Text("今天"),
        Skipped("a line that was no JSON"),
        Text("推荐"),
        ToolFragment(0, "c1", "f", "{}"),
    ]
    call = ToolCall(0, "c1", "f", {})
    assert played.outputs[-3:] == [Usage(3, 5, measured=True), call, Finish("stop")]


@pytest.mark.parametrize("cut", range(len(TEXT) + 1))
async def test_text_up_to_any_cut_is_not_sent_again(http: Client, cut: int) -> None:
    played = await play(http, EVERYTHING, TEXT[:cut])
    assert played.said == TEXT[cut:]
    assert played.error is None
    assert played.outputs[-1] == Finish("stop")
    # What stood before the cut is not thought again either.
    assert (Reasoning("嗯") in played.outputs) == (cut == 0)


async def test_a_script_that_does_not_begin_with_the_text_is_a_continuation_and_played_whole(
    http: Client,
) -> None:
    script = [{"text": "推荐"}, {"finish": "stop"}]
    assert (await play(http, script, "今天")).said == "推荐"


async def test_a_pause_is_kept_but_not_twice(http: Client) -> None:
    script = [{"pause_s": 0.05}, {"text": "今天"}, {"pause_s": 0.05}, {"finish": "stop"}]
    started = time.perf_counter()
    await play(http, script)
    assert time.perf_counter() - started >= 0.09
    long_ago = [{"pause_s": 3600}, {"text": "今天"}, {"finish": "stop"}]
    assert (await play(http, long_ago, "今天")).error is None


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([], ProviderUnavailable),
        ([{"pause_s": 0}], ProviderUnavailable),
        ([{"text": ""}], ProviderUnavailable),
        ([{"usage": {"prompt_tokens": 3}}], ProviderUnavailable),
        ([{"text": "今"}], ProviderInterrupted),
        ([{"reasoning": "嗯"}], ProviderInterrupted),
        ([{"tool": {"index": 0}}], ProviderInterrupted),
    ],
)
async def test_a_script_without_finish_is_a_stream_that_stopped(
    http: Client, script: list[dict[str, Any]], kind: type[ProviderError]
) -> None:
    assert type((await play(http, script)).error) is kind


@pytest.mark.parametrize("word", ["unavailable", "interrupted"])
@pytest.mark.parametrize(
    ("before", "kind"), [([], ProviderUnavailable), ([{"text": "今"}], ProviderInterrupted)]
)
async def test_a_failure_keeps_the_contract_of_providers(
    http: Client,
    word: str,
    before: list[dict[str, Any]],
    kind: type[ProviderError],
) -> None:
    played = await play(http, [*before, {"fail": word}, {"text": "never said"}])
    assert type(played.error) is kind
    assert played.said == ("今" if before else "")


async def test_a_failure_says_what_the_script_says(http: Client) -> None:
    fail = {
        "fail": "refused",
        "code": "rate_limited",
        "status": 429,
        "retry_after_s": 1,
        "message": "slow down",
    }
    error = (await play(http, [{"text": "今"}, fail])).error
    assert type(error) is ProviderRefused
    assert (error.code, error.status, error.retry_after_s) == ("rate_limited", 429, 1)
    assert str(error) == "slow down"


async def test_text_behind_a_failure_is_not_part_of_what_a_prefix_is_compared_with(
    http: Client,
) -> None:
    script = [{"text": "今天"}, {"fail": "interrupted"}, {"text": "推荐"}, {"finish": "stop"}]
    played = await play(http, script, "今天推荐")
    assert played.said == "今天"


async def test_attempts_are_played_in_turn_and_the_last_one_ever_after(
    http: Client,
) -> None:
    provider = Scripted()
    script = {
        "attempts": [
            [{"fail": "unavailable"}],
            [{"text": "今天"}],
            [{"text": "今天"}, {"text": "推荐"}, {"finish": "stop"}],
        ]
    }
    first, second, third, fourth = [
        await play(http, script, prefix, provider=provider) for prefix in ("", "", "今天", "")
    ]
    assert isinstance(first.error, ProviderUnavailable)
    assert isinstance(second.error, ProviderInterrupted)
    assert (third.said, third.error) == ("推荐", None)
    assert (fourth.said, fourth.error) == ("今天推荐", None)
    other = await play(http, script, model=Model("other", "scripted"), provider=provider)
    assert isinstance(other.error, ProviderUnavailable)


async def test_usage_may_follow_the_finish_and_nothing_else_may(
    http: Client,
) -> None:
    late = [{"finish": "stop"}, {"usage": {"completion_tokens": 5, "measured": False}}]
    assert (await play(http, late)).outputs == [Finish("stop"), Usage(None, 5, measured=False)]
    assert "step 2 follows the finish" in await refusal(http, [{"finish": "stop"}, {"text": "a"}])
    twice = [{"repeat": 2, "steps": [{"finish": "stop"}]}]
    assert "step 2 follows the finish" in await refusal(http, twice)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("今天", "valid list"),
        ([{"txt": "今天"}], "a step has one of the words text, reasoning"),
        (["今天"], "a step has one of the words"),
        ([{"text": 3}], "0.text.text"),
        ([{"text": "a", "finish": "stop"}], "Extra inputs"),
        ([{"text": "\ud800"}], "half a surrogate pair"),
        ([{"pause_s": -1}], "greater than or equal to 0"),
        ([{"pause_s": 3601}], "less than or equal to 3600"),
        ([{"pause_s": float("nan")}], "0.pause_s"),
        ([{"fail": "exploded"}], "'refused', 'unavailable' or 'interrupted'"),
        ([{"repeat": 0, "steps": [{"text": "a"}]}], "greater than or equal to 1"),
        ([{"repeat": 10**15, "steps": []}], "at least 1 item"),
        ([{"repeat": MAX_STEPS + 1, "steps": [{"text": "a"}]}], "MAX_STEPS"),
        ([{"repeat": 10**15, "steps": [{"repeat": 10**15, "steps": [{"text": "a"}]}]}], "MAX_ST"),
        ([{"repeat": 5, "steps": [{"text": "a" * (MAX_CHARS // 4)}]}], "MAX_CHARS"),
        ({"attempts": []}, "at least 1 item"),
        ({"attempt": [[]]}, "attempts"),
    ],
)
async def test_a_bad_script_is_refused_before_anything_is_said(
    http: Client, script: object, why: str
) -> None:
    assert why in await refusal(http, script)


async def test_a_script_nested_without_end_is_refused(http: Client) -> None:
    script: list[dict[str, Any]] = [{"text": "a"}]
    for _ in range(500):
        script = [{"repeat": 1, "steps": script}]
    assert len(await refusal(http, script)) < 300


async def test_a_script_may_be_a_file_and_a_parameter_comes_before_it(
    http: Client, tmp_path: Path
) -> None:
    path = tmp_path / "演示.json"
    path.write_bytes(msgspec.json.encode(EVERYTHING))
    model = Model("demo", "scripted", upstream_name=str(path))
    assert (await play(http, None, model=model)).said == TEXT
    asked = [{"text": "别的"}, {"finish": "stop"}]
    assert (await play(http, asked, model=model)).said == "别的"


async def test_a_file_that_is_no_script_is_refused_without_showing_what_it_holds(
    http: Client, tmp_path: Path
) -> None:
    path = tmp_path / "secrets"
    model = Model("demo", "scripted", upstream_name=str(path))
    assert "path of a JSON file" in await refusal(http, None, Model("demo", "scripted"))
    assert "path of a JSON file" in await refusal(http, None, model)
    for content in (b"key=hunter2", b'"hunter2"', b'[{"hunter2": 1}]', b'[{"text": ["hunter2"]}]'):
        path.write_bytes(content)
        assert "hunter2" not in await refusal(http, None, model)
    path.write_bytes(b"[" * 100_000)
    assert "is not JSON" in await refusal(http, None, model)
    path.write_bytes(b"\xff\xfe[]")
    assert "is not JSON" in await refusal(http, None, model)
    path.write_bytes(b" " * (MAX_SCRIPT_BYTES + 1))
    assert f"the limit is {MAX_SCRIPT_BYTES}" in await refusal(http, None, model)


async def test_a_pipe_is_not_read(http: Client, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    model = Model("demo", "scripted", upstream_name=str(pipe))
    assert "path of a JSON file" in await refusal(http, None, model)
