"""The command line, as people and programs use it: against a real server, in real processes."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from support.servers import clean_env
from unspool.cli import app

UNSPOOL = (sys.executable, "-m", "unspool")
SHORT = '{"prompt": "hello", "params": {"max_tokens": 12}}'
HELLO = '{"prompt": "hello"}'
LONG = '{"prompt": "请介绍运动鞋的特点"}'


pytestmark = pytest.mark.usefixtures("somewhere_else")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of this version, found by what it prints."""
    folder = tmp_path_factory.mktemp("server")
    with subprocess.Popen(
        [*UNSPOOL, "serve", "--port", "0", "--data-dir", "data", "--json"],
        cwd=folder,
        env=clean_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.send_signal(signal.SIGINT)
        assert server.wait(10) == 0


def cli(*args: str, **options: Any) -> Result:
    return CliRunner().invoke(app, args, **options)


def ask(*args: str) -> Any:
    result = cli(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def start(url: str, given: str = SHORT, flow: str = "chat") -> str:
    result = cli("run", flow, "--input", given, "--url", url)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


@asynccontextmanager
async def running(*args: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *UNSPOOL, *args, stdout=pipe, stderr=pipe, env=clean_env()
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@dataclass
class Relay:
    """A proxy between the command line and the server, as bad as a test wants it."""

    cut_after: int = 0
    """Bytes of answers on one connection before it is cut; 0: never."""
    hold_s: float = 0.0
    """Answers are held back until the server pauses for so long."""
    is_deaf: bool = False
    """Nothing gets through to the server any more."""
    connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def before(self, url: str) -> AsyncIterator[str]:
        port = int(url.rpartition(":")[2])
        streams: list[asyncio.StreamWriter] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            there, back = await asyncio.open_connection("127.0.0.1", port)
            streams.extend((writer, back))
            asking = asyncio.create_task(self._ask(reader, back))
            self._tasks.add(asking)
            await self._answer(there, writer)
            writer.transport.abort()
            back.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for stream in streams:
                stream.transport.abort()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0.05)  # the aborted ones end

    async def _ask(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self.is_deaf:
                back.write(data)

    async def _answer(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent, held, data = 0, b"", b"-"
        while data and not (self.cut_after and sent > self.cut_after):
            try:
                data = await asyncio.wait_for(there.read(256), self.hold_s or None)
                held += data
                if self.hold_s and data:
                    continue
            except TimeoutError:
                pass
            except ConnectionError:
                return
            writer.write(held)
            sent, held = sent + len(held), b""


# Runs


def test_a_run_is_started_by_one_line_and_shown_by_the_next(url: str) -> None:
    result = cli("run", "chat", "--input", "-", "--url", url, input=SHORT)
    run_id = result.stdout.strip()
    assert len(run_id) == 26
    assert f"unspool tail {run_id} --url {url}" in result.stderr
    shown = cli("tail", run_id, "--url", url)
    facts = ask("show", run_id, "--url", url)
    assert shown.exit_code == 0
    assert shown.stdout == facts["text"] + "\n"
    assert "✓ completed · about 12 tokens · first token " in shown.stderr
    assert "\x1b" not in shown.output


def test_posts_are_told_under_their_headings(url: str) -> None:
    given = '{"sku": "8WZ01CM1", "count": 2}'
    result = cli("run", "copywriting", "--input", given, "--follow", "--url", url)
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if line.startswith("──")] == [
        "── post-1 ──",
        "── post-2 ──",
    ]
    assert "warning: 第 1 条" in result.stderr


def test_a_viewer_begins_with_the_event_it_names(url: str) -> None:
    run_id = start(url)
    whole = cli("tail", run_id, "--json", "--url", url).stdout.splitlines()
    assert [json.loads(line)["seq"] for line in whole] == list(range(1, len(whole) + 1))
    assert (
        cli("tail", run_id, "--json", "--from", "4", "--url", url).stdout.splitlines()
        == (whole[3:])
    )
    past = cli("tail", run_id, "--from", str(len(whole) + 1), "--url", url)
    assert (past.exit_code, past.stdout) == (0, "")


def test_runs_are_listed_shown_and_cancelled(url: str) -> None:
    run_id = start(url, LONG)
    stopped = ask("cancel", run_id, "--url", url)
    assert stopped["status"] == "cancelled"
    listed = ask("runs", "--status", "cancelled", "--flow", "chat", "--url", url)["runs"]
    assert run_id in [run["id"] for run in listed]
    assert run_id in cli("runs", "--url", url).stdout
    facts = cli("show", run_id, "--url", url).stdout
    assert "cancelled: asked by a client" in facts
    assert cli("tail", run_id, "--url", url).exit_code == 1


def test_a_run_that_fails_ends_with_its_reason_and_1(url: str) -> None:
    given = '{"prompt": "x", "params": {"max_tokens": 0}}'
    result = cli("run", "chat", "--input", given, "--follow", "--url", url)
    assert result.exit_code == 1
    assert "max_tokens must be" in result.stderr
    assert "✗ failed" in result.stderr


async def test_text_is_printed_once_though_the_connection_is_cut_again_and_again(url: str) -> None:
    relay = Relay(cut_after=800)
    async with (
        relay.before(url) as through,
        running("run", "chat", "--input", HELLO, "--follow", "--url", through) as viewer,
    ):
        out, err = await viewer.communicate()
    run = (await asyncio.to_thread(ask, "runs", "--limit", "1", "--url", url))["runs"][0]
    facts = await asyncio.to_thread(ask, "show", run["id"], "--url", url)
    assert out.decode() == facts["text"] + "\n"
    assert "connection was lost" in err.decode()
    assert relay.connections > 3
    assert viewer.returncode == 0


# Ctrl-C


async def first_words(viewer: asyncio.subprocess.Process) -> bytes:
    assert viewer.stdout is not None
    return await viewer.stdout.read(3)


async def test_ctrl_c_cancels_the_run_and_waits_for_its_ending(url: str) -> None:
    async with running("run", "chat", "--input", LONG, "--follow", "--url", url) as viewer:
        begun = await first_words(viewer)
        viewer.send_signal(signal.SIGINT)
        out, err = await viewer.communicate()
    run = (await asyncio.to_thread(ask, "runs", "--limit", "1", "--url", url))["runs"][0]
    facts = await asyncio.to_thread(ask, "show", run["id"], "--url", url)
    assert (viewer.returncode, facts["status"]) == (130, "cancelled")
    assert (begun + out).decode() == facts["text"] + "\n"
    assert "– cancelled · " in err.decode()


async def test_ctrl_c_twice_leaves_the_run_and_says_how_to_come_back(url: str) -> None:
    relay = Relay()
    async with (
        relay.before(url) as through,
        running("run", "chat", "--input", LONG, "--follow", "--url", through) as viewer,
    ):
        await first_words(viewer)
        relay.is_deaf = True
        viewer.send_signal(signal.SIGINT)
        await asyncio.sleep(0.3)
        viewer.send_signal(signal.SIGINT)
        _, err = await viewer.communicate()
        assert viewer.returncode == 130
        assert "The run continues. Come back with: unspool tail " in err.decode()
        assert f" --url {through}" in err.decode()


async def test_ctrl_c_leaves_a_run_alone_that_was_only_watched(url: str) -> None:
    run_id = await asyncio.to_thread(start, url, LONG)
    async with running("tail", run_id, "--url", url) as viewer:
        await first_words(viewer)
        viewer.send_signal(signal.SIGINT)
        _, err = await viewer.communicate()
    assert viewer.returncode == 130
    assert f"unspool tail {run_id} --from " in err.decode()
    assert (await asyncio.to_thread(ask, "show", run_id, "--url", url))["status"] != "cancelled"


# What goes wrong


@pytest.mark.parametrize(
    "args",
    [
        ("runs",),
        ("show", "01"),
        ("tail", "01"),
        ("cancel", "01"),
        ("run", "chat", "--input", "{}", "--follow"),
    ],
)
def test_without_a_server_one_sentence_says_where_and_what_to_do(args: tuple[str, ...]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        where = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = cli(*args, "--url", where)
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"Cannot reach the server at {where} (connection refused)" in result.stderr
    assert "`unspool serve`" in result.stderr


def test_an_address_with_https_where_there_is_no_tls_is_told_so(url: str) -> None:
    result = cli("runs", "--url", url.replace("http://", "https://"))
    assert (result.exit_code, result.stdout) == (3, "")
    assert "it does not speak TLS" in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("show", "nope"), "no run 'nope'"),
        (("tail", "nope"), "no run 'nope'"),
        (("run", "nope", "--input", "{}"), "no flow named 'nope'"),
        (("run", "chat", "--input", "[1]"), "not a JSON object"),
        (("run", "chat", "--input", "@absent.json"), "absent.json cannot be read"),
        (("runs", "--limit", "0"), "Invalid value for '--limit'"),
    ],
)
def test_a_wrong_request_ends_with_2_and_a_sentence(
    url: str, args: tuple[str, ...], words: str
) -> None:
    result = cli(*args, "--url", url)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_a_taken_port_and_a_wrong_setting_are_said_so(url: str) -> None:
    taken = cli("serve", "--port", url.rpartition(":")[2])
    assert (taken.exit_code, taken.stdout) == (2, "")
    assert "already in use" in taken.stderr
    wrong = cli("serve", env={"UNSPOOL_PORT": "eighty"})
    assert wrong.exit_code == 2
    assert "UNSPOOL_PORT is wrong" in wrong.stderr


@pytest.mark.parametrize(
    ("where", "words"), [("newer", "newer unspool"), ("file/data", "cannot be written")]
)
def test_a_server_that_cannot_open_its_data_says_why_in_one_line(where: str, words: str) -> None:
    Path("file").touch()
    Path("newer").mkdir()
    newer = sqlite3.connect("newer/journal.db")
    newer.execute("pragma user_version = 99")
    newer.close()
    started = [*UNSPOOL, "serve", "--port", "0", "--data-dir", where]
    result = subprocess.run(started, env=clean_env(), capture_output=True, timeout=15, check=False)
    assert (result.returncode, result.stdout) == (2, b"")
    (line,) = result.stderr.decode().splitlines()
    assert words in line


# Doctor


def test_doctor_finds_nothing_wrong_and_shows_no_key(url: str) -> None:
    env = {"LLM_API_KEY": "sk-secret", "LLM_BASE_URL": "http://me:word@llm.test/v1"}
    result = cli("doctor", "--url", url, env=env | {"LLM_MODEL": "big", "UNSPOOL_PORT": "0"})
    assert result.exit_code == 0, result.output
    assert "big at llm.test, key present" in result.stdout
    assert "✓ stream" in result.stdout
    assert "secret" not in result.output
    assert "word" not in result.output


async def test_doctor_notices_a_proxy_that_holds_back_the_stream(url: str) -> None:
    async with (
        Relay(hold_s=0.3).before(url) as through,
        running("doctor", "--url", through, "--json") as doctor,
    ):
        out, _ = await doctor.communicate()
    found = {finding["name"]: finding for finding in json.loads(out)}
    assert found["server"]["state"] == "ok"
    assert "a proxy holds the stream back" in found["stream"]["what"]
    assert doctor.returncode == 1


def test_doctor_says_what_to_do_about_damage_and_a_server_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_text("not a database", encoding="utf-8")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = cli("doctor", "--data-dir", ".", "--url", where, env={"UNSPOOL_PORT": "0"})
    assert result.exit_code == 1
    assert "✗ journal" in result.stdout
    assert "✗ server" in result.stdout
