"""`unspool models` and `unspool chat --model`, with a server and without one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from support.models import KEY
from support.servers import Served
from support.upstream import Upstream, answer, chunk, refusal
from unspool.cli import app
from unspool.models.config_file import schema

pytestmark = pytest.mark.usefixtures("somewhere_else", "quick_model")

HERE = ("--data-dir", "data")


def run(*args: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, args, env={"COLUMNS": "200", **(env or {})})


async def cli(*args: str, env: dict[str, str] | None = None) -> Result:
    """A command while the upstream of the test answers in this loop."""
    return await asyncio.to_thread(run, *args, env=env)


async def add(upstream: Upstream, name: str, *where: str) -> Result:
    asked = ("models", "add", name, "--base-url", upstream.url, "--api-key-env", "K", *where)
    return await cli(*asked, env={"K": KEY})


async def test_a_model_is_added_listed_and_asked_without_a_server(upstream: Upstream) -> None:
    added = await add(upstream, "m", *HERE)
    assert (added.exit_code, added.stdout) == (0, "m is model 2 of data.\n")
    table = await cli("models", "list", *HERE)
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["id", "name", "provider", "upstream", "name", "from", "key", "prefill"],
        ["1", "offline", "offline", "offline", "built", "in", "no", "assistant"],
        ["2", "m", "openai", "m", "database", "yes", "none"],
    ]
    assert "The default is m." in table.stderr
    asked = await cli("chat", "hi", "--model", "m", *HERE)
    assert (asked.exit_code, asked.stdout) == (0, "你好\n")
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in added.output + table.output + asked.output


async def test_a_server_that_runs_is_told_and_shows_health(
    server: Served, upstream: Upstream
) -> None:
    added = await add(upstream, "m", "--url", server.url)
    assert added.stdout == f"m is model 2 of {server.url}.\n"
    assert server.core.catalog.model("m").api_key == KEY
    assert (await cli("models", "test", "m", "--no-probe", "--url", server.url)).exit_code == 0
    table = (await cli("models", "list", "--url", server.url)).stdout
    assert "not asked yet" in table
    assert KEY not in table


async def test_the_default_model_is_chosen_for_all_flows_or_for_one_and_withdrawn(
    server: Served, upstream: Upstream
) -> None:
    await add(upstream, "m", "--url", server.url)
    shown = await cli("models", "default", "--url", server.url)
    assert shown.stdout == "The default is m.\n"
    chosen = await cli("models", "default", "offline", "--url", server.url)
    assert chosen.stdout == "The default is offline.\n"
    for_copy = await cli("models", "default", "m", "--flow", "copywriting", "--url", server.url)
    assert for_copy.stdout == "The default is offline.\nThe default of copywriting is m.\n"
    both = await cli("models", "default", "--clear", "--url", server.url)
    assert both.stdout == "The default is m.\n"
    wrong = await cli("models", "default", "nobody", "--url", server.url)
    assert (wrong.exit_code, "nobody" in wrong.stderr) == (2, True)


def test_a_server_that_was_named_and_is_not_there_is_said_so() -> None:
    result = run("models", "list", "--url", "http://127.0.0.1:9")
    assert (result.exit_code, result.stdout) == (3, "")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("two words", "--base-url", "http://127.0.0.1:1"), "name: String should match"),
        (("m",), "its address is missing"),
        (("m", "--provider", "opnai"), "have: anthropic"),
        (("m", "--base-url", "https://api.example.com", "--no-key"), "the key of m is missing"),
        (("m", "--base-url", "http://127.0.0.1:1", "--params", "{"), "--params is not JSON"),
        (("m", "--base-url", "http://127.0.0.1:1", "--limits", '{"a": 1}'), "limits.a"),
        (("m", "--base-url", "http://127.0.0.1:1", "--api-key-env", "UNSET"), "'UNSET' is not set"),
    ],
)
def test_what_cannot_be_added_is_told_in_a_sentence(args: tuple[str, ...], words: str) -> None:
    result = run("models", "add", *args, *HERE)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_every_option_reaches_the_model() -> None:
    options = {
        "--provider": "ollama",
        "--upstream": "llama3",
        "--params": '{"temperature": 0.5}',
        "--limits": '{"idle_s": 5}',
        "--prices": '{"prompt": 1, "completion": 2, "currency": "CNY"}',
        "--prefill": "assistant",
        "--quirk": "no_stream_options",
    }
    words = [word for pair in options.items() for word in pair]
    model = json.loads(run("models", "add", "m", *words, "--json", *HERE).stdout)
    assert (model["upstream_name"], model["params"]) == ("llama3", {"temperature": 0.5})
    assert (model["limits"]["idle_s"], model["prices"]["currency"]) == (5, "CNY")
    assert (model["prefill"], model["quirks"]) == ("assistant", ["no_stream_options"])


async def test_trying_a_model_writes_down_how_it_goes_on(upstream: Upstream) -> None:
    counted = ", ".join(f"number {n}" for n in range(1, 41))

    def play(asked: Any) -> Any:
        last = asked.body["messages"][-1]
        is_begun = last.get("partial") is True
        return answer(counted[len(last["content"]) :] if is_begun else counted)

    await add(upstream, "m", *HERE)
    upstream.play = play
    result = await cli("models", "test", "m", *HERE)
    assert result.exit_code == 0, result.output
    assert "✓ m answers: number 1" in result.stdout
    assert "first token " in result.stdout
    assert "Stored: prefill partial" in result.stdout
    _, listed = json.loads((await cli("models", "list", "--json", *HERE)).stdout)["models"]
    assert (listed["prefill"], listed["goes_on"]) == ("", "partial"), "a finding is no setting"
    assert listed["evidence"]["partial"] == {"went_on": 3, "started_anew": 0, "refused": 0}


async def test_a_users_own_setting_stands_against_a_finding(upstream: Upstream) -> None:
    await add(upstream, "m", "--prefill", "none", *HERE)
    upstream.play = [answer(", ".join(f"number {n}" for n in range(1, 41)))]
    result = await cli("models", "test", "m", *HERE)
    _, listed = json.loads((await cli("models", "list", "--json", *HERE)).stdout)["models"]
    assert (listed["prefill"], listed["goes_on"]) == ("none", "none"), result.output


async def test_what_was_found_of_a_model_of_the_environment_is_told_as_a_line(
    upstream: Upstream,
) -> None:
    upstream.play = [answer(", ".join(f"number {n}" for n in range(1, 41)))]
    env = {"LLM_API_KEY": KEY, "LLM_BASE_URL": upstream.url, "LLM_MODEL": "m"}
    result = await cli("models", "test", "m", *HERE, env=env)
    assert "As known before: prefill none" in result.stdout
    assert "starts over" in result.stdout


async def test_a_model_that_fails_ends_with_1_and_a_model_that_is_not_there_with_2(
    upstream: Upstream,
) -> None:
    upstream.play = [refusal(401, f"wrong key {KEY}")]
    await add(upstream, "m", *HERE)
    failed = await cli("models", "test", "m", *HERE)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "m failed: auth: the provider answered 401" in failed.stderr
    assert KEY not in failed.output
    absent = await cli("models", "test", "absent", *HERE)
    assert absent.exit_code == 2
    assert "no model 'absent'; have: offline, m" in absent.stderr


def test_the_schema_is_printed() -> None:
    assert run("models", "schema").stdout == schema()


# chat


def write(text: str) -> None:
    Path("unspool.yaml").write_text(text)


async def test_chat_tells_who_was_asked_and_how(upstream: Upstream) -> None:
    write("routes: [{name: both, models: [first, second]}]")
    async with Upstream() as broken:
        broken.play = [[chunk("今天天气不错，我们")]]
        upstream.play = [answer("我们一起去公园散步吧。")]
        for name, at in (("first", broken), ("second", upstream)):
            await add(at, name, *HERE)
        result = await cli("chat", "hi", "--model", "both", "--show-attempts", *HERE)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("今天天气不错，我们")
    lines = [line for line in result.stderr.splitlines() if " · " in line]
    assert lines[0].startswith("1. first · first · truncated · about ")
    assert lines[-1].split(" · ")[:2] == [f"{len(lines)}. second", "instruct"]
    assert "10 + 20 tokens · cost unknown" in lines[-1]


async def test_chat_tells_programs_the_attempts_too(upstream: Upstream) -> None:
    await add(upstream, "m", *HERE)
    asked = ("chat", "hi", "--model", "m", "--json", "--show-attempts", *HERE)
    facts = json.loads((await cli(*asked)).stdout)
    assert (facts["text"], facts["model"], facts["attempts"]) == ("你好", "m", 1)
    (each,) = facts["asked"]
    assert (each["strategy"], each["finish_reason"], each["code"]) == ("first", "stop", None)
    assert each["usage"]["basis"] == "measured"


def test_chat_with_an_unknown_model_says_which_there_are_and_makes_no_database() -> None:
    result = run("chat", "hi", "--model", "absent", *HERE)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no model 'absent'; have: offline" in result.stderr
    assert not Path("data").exists()


async def test_chat_without_a_whole_answer_ends_with_1(upstream: Upstream) -> None:
    upstream.play = [refusal(401)]
    await add(upstream, "m", *HERE)
    result = await cli("chat", "hi", *HERE)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No whole answer after 1 attempts: the provider answered 401" in result.stderr
