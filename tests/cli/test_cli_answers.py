"""Questions of runs at the terminal: asked there, or answered by a command from anywhere."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from support.servers import clean_env
from unspool.cli import app

UNSPOOL = (sys.executable, "-m", "unspool")
FLOWS = '''
from pydantic import BaseModel
from unspool import flow

class Trip(BaseModel):
    to: str

SEAT = {"type": "object", "properties": {"seat": {"enum": ["window", "aisle"]}},
        "required": ["seat"], "additionalProperties": False}

@flow
async def book(ctx, trip: Trip) -> dict:
    """Books a trip."""
    name = await ctx.ask("Whose name?", step="name")
    seat = await ctx.ask("Which seat?", step="seat", schema=SEAT)
    sure = await ctx.ask("Book it?", step="sure", call={"id": "a", "name": "pay", "arguments": {}})
    return {"name": name.value, "seat": seat.value["seat"], "sure": sure.outcome,
            "why": sure.reason}
'''

pytestmark = pytest.mark.usefixtures("somewhere_else")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "trips.py").write_text(FLOWS)
    with subprocess.Popen(
        [*UNSPOOL, "serve", "--port", "0", "--data-dir", "data", "--json"],
        cwd=folder,
        env=clean_env(UNSPOOL_FLOWS=str(folder / "trips.py")),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.send_signal(signal.SIGINT)
        assert server.wait(10) == 0


def cli(*args: str) -> Result:
    return CliRunner().invoke(app, args)


def begun(url: str) -> str:
    result = cli("run", "book", "--input", '{"to": "Oslo"}', "--url", url)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def facts_of(url: str, run_id: str) -> Any:
    return json.loads(cli("show", run_id, "--url", url, "--json").stdout)


def until_asked(url: str, run_id: str, step: str) -> None:
    end = time.monotonic() + 15
    while True:
        run = facts_of(url, run_id)
        if step in [it["step"] for it in run["questions"] if it["answer"] is None]:
            return
        assert time.monotonic() < end, run
        time.sleep(0.05)


def test_a_run_is_answered_by_commands(url: str) -> None:
    run_id = begun(url)
    until_asked(url, run_id, "name")
    assert run_id in cli("runs", "--status", "waiting", "--url", url).stdout
    assert "Whose name?" in cli("show", run_id, "--url", url).stdout
    empty = cli("answer", run_id, "--url", url)
    assert (empty.exit_code, "Whose name?" in empty.stderr) == (2, True)
    assert cli("answer", run_id, "Ann", "--decline", "--url", url).exit_code == 2
    assert cli("answer", run_id, "Ann", "--reason", "no", "--url", url).exit_code == 2
    assert cli("answer", run_id, "Ann", "--url", url).exit_code == 0
    until_asked(url, run_id, "seat")
    misfit = cli("answer", run_id, "roof", "--url", url)
    assert (misfit.exit_code, "does not fit" in misfit.stderr) == (2, True)
    assert cli("answer", run_id, '{"seat": "aisle"}', "--step", "seat", "--url", url).exit_code == 0
    until_asked(url, run_id, "sure")
    declined = cli("answer", run_id, "--decline", "--reason", "dear", "--url", url, "--json")
    assert json.loads(declined.stdout)["id"] == run_id
    late = cli("answer", run_id, "--step", "sure", "--url", url)
    assert (late.exit_code, "already" in late.stderr or "ended" in late.stderr) == (2, True)
    run = facts_of(url, run_id)
    assert run["result"] == {"name": "Ann", "seat": "aisle", "sure": "declined", "why": "dear"}


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, *args: str) -> None:
        self._own, theirs = pty.openpty()
        self.shown = ""
        self.program = subprocess.Popen(
            [*UNSPOOL, *args],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=clean_env(TERM="xterm", COLUMNS="100"),
            start_new_session=True,
        )
        os.close(theirs)

    def until(self, words: str) -> None:
        end = time.monotonic() + 20
        while words not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self._own], [], [], 0.1)[0]:
                self.shown += os.read(self._own, 4096).decode("utf-8", "replace")

    def type(self, line: str) -> None:
        os.write(self._own, f"{line}\n".encode())

    def ended(self) -> int:
        while True:
            try:
                if not (piece := os.read(self._own, 4096)):
                    break
            except OSError:  # the terminal is closed
                break
            self.shown += piece.decode("utf-8", "replace")
        os.close(self._own)
        return self.program.wait(10)


def test_the_person_at_the_terminal_is_asked_and_may_decline(url: str) -> None:
    given = ("--input", '{"to": "Oslo"}', "--follow", "--url", url)
    terminal = Terminal("run", "book", *given)
    terminal.until("Whose name?")
    terminal.type("Ann")
    terminal.until("Which seat?")
    terminal.type("roof")
    terminal.until("does not fit")
    terminal.type("window")
    terminal.until("Book it? pay {}")
    terminal.type("too dear")
    assert terminal.ended() == 0, terminal.shown
    (run,) = (
        run
        for run in json.loads(cli("runs", "--url", url, "--json", "--limit", "1").stdout)["runs"]
    )
    result = facts_of(url, run["id"])["result"]
    assert result == {"name": "Ann", "seat": "window", "sure": "declined", "why": "too dear"}


def test_a_prompt_goes_away_when_somebody_else_was_faster(url: str) -> None:
    run_id = begun(url)
    terminal = Terminal("tail", run_id, "--url", url)
    terminal.until("Whose name?")
    assert cli("answer", run_id, "Bob", "--url", url).exit_code == 0
    terminal.until("Which seat?")
    terminal.type("aisle")
    terminal.until("Book it?")
    terminal.type("y")
    assert terminal.ended() == 0, terminal.shown
    assert facts_of(url, run_id)["result"]["name"] == "Bob"
    assert facts_of(url, run_id)["result"]["sure"] == "answered"


def test_without_a_terminal_the_command_to_answer_is_told(url: str, tmp_path: Path) -> None:
    run_id = begun(url)
    until_asked(url, run_id, "name")
    with subprocess.Popen(
        [*UNSPOOL, "tail", run_id, "--url", url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=clean_env(),
    ) as told:
        assert told.stderr is not None
        lines = (line.decode() for line in told.stderr)
        assert any("Whose name?" in line for line in lines)
        assert f"unspool answer {run_id} --url {url}" in next(lines)
        told.kill()
    cli("cancel", run_id, "--url", url)
