"""The command line without a server: what it prints, `chat`, `import`."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from support.servers import clean_env
from unspool.cli import app
from unspool.cli._console import write_json_line
from unspool.cli._output import LiveOutput
from unspool.cli._transcript import Transcript
from unspool.formats.terminal import clean
from unspool.runs.events import Event

pytestmark = pytest.mark.usefixtures("somewhere_else")


def cli(*args: str) -> Result:
    return CliRunner().invoke(app, args)


# What is printed


def test_no_escape_sequence_of_a_model_reaches_a_terminal() -> None:
    assert clean("\x1b[31mred\x9b2J\x07 \r\n\ttab\x7f") == "[31mred2J \n\ttab"


def test_json_lines_hold_no_raw_controls_and_say_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_json_line(json.dumps({"text": "a\x9bb\x7f鞋"}, ensure_ascii=False))
    line = capsys.readouterr().out
    assert "\x9b" not in line
    assert "鞋" in line
    assert json.loads(line) == {"text": "a\x9bb\x7f鞋"}


def told(*events: tuple[str, dict[str, Any]]) -> str:
    parts: list[str] = []
    teller = Transcript(parts.append)
    for seq, (kind, data) in enumerate(events, start=1):
        teller.apply(Event(seq, kind, 0, data))  # type: ignore[arg-type]
    teller.end()
    return "".join(parts)


def text(step: str, said: str) -> tuple[str, dict[str, Any]]:
    return "text.delta", {"step": step, "text": said}


def done(step: str) -> tuple[str, dict[str, Any]]:
    return "step.finished", {"step": step}


def test_one_answer_has_no_heading_and_ends_its_line() -> None:
    assert told(text("answer", "好"), text("answer", "的"), done("answer")) == "好的\n"


def test_steps_written_at_the_same_time_are_told_one_after_the_other() -> None:
    events = (text("post-1", "a"), text("post-2", "x"), text("post-1", "b"), done("post-2"))
    whole = told(*events, done("post-1"), ("run.completed", {}))
    assert whole == "── post-1 ──\nab\n\n── post-2 ──\nx\n"


def test_a_step_whose_attempt_failed_gives_way_to_the_one_that_goes_on() -> None:
    failed = ("attempt.failed", {"step": "draft", "number": 1})
    assert told(text("draft", "a"), failed, text("spare", "b")) == "a\n\n── spare ──\nb\n"


def test_text_that_is_taken_back_is_said_to_be() -> None:
    whole = told(text("answer", "a"), ("step.rewound", {"step": "answer"}), text("answer", "b"))
    assert whole.startswith("a\n\n── answer: the text above is taken back")
    assert whole.endswith("\nb\n")


async def test_a_terminal_gets_each_line_whole_and_no_escape_of_the_model() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=40, height=10)
    output = LiveOutput(console, lambda: "3 tokens")
    long = "春夏秋冬" * 30
    async with output.live():
        for piece in ("a\x1b]0;title\x07\x1b[2Jb\n", long[:70], long[70:], "\n", "the end"):
            output.write(piece)
            await asyncio.sleep(0.12)
    shown = screen.getvalue()
    assert "a]0;title[2Jb" in shown
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert f"{long}\n" in shown  # one line, however narrow the terminal: it can be copied
    assert "3 tokens" in shown
    assert shown.rstrip().endswith("the end")


# Commands


def test_help_and_version_wait_for_nothing_heavy() -> None:
    heavy = "{'aiohttp', 'fastapi', 'pydantic', 'sqlalchemy'}"
    code = f"import sys, unspool.cli; sys.exit(len({heavy} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert cli("--version").stdout.startswith("unspool ")


def test_other_machines_are_let_in_only_where_that_is_said() -> None:
    result = cli("serve", "--host", "0.0.0.0")
    assert result.exit_code == 2
    assert "unspool keys add" in result.stderr
    assert "--allow-open" in result.stderr


def test_a_new_key_is_told_with_the_server_that_takes_it(tmp_path: Path) -> None:
    result = cli("keys", "add", "mine", "--data-dir", str(tmp_path / "shop"))
    assert result.exit_code == 0
    assert result.stdout.startswith("usp_")
    told = " ".join(result.stderr.split())
    assert f"Servers over {tmp_path.resolve() / 'shop'} take it." in told
    assert "UNSPOOL_ACCESS=keys" in told


def test_chat_answers_in_utf8_whatever_the_locale_says() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "unspool", "chat", "-", "--max-tokens", "20"],
        input="请介绍运动鞋\x1b[31m的特点".encode(),
        env=clean_env(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
        capture_output=True,
        timeout=15,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "运动鞋" in result.stdout.decode()
    assert b"\x1b" not in result.stdout


def test_chat_gives_programs_one_document() -> None:
    answer = json.loads(cli("chat", "hello", "--max-tokens", "5", "--json").stdout)
    assert answer["model"] == "offline"
    assert answer["usage"]["completion_tokens"] <= 5
    assert cli("chat", " ").exit_code == 2


def test_a_file_is_imported_and_its_wrong_rows_are_told_by_line(tmp_path: Path) -> None:
    file = tmp_path / "shoes.csv"
    file.write_text("商品ID,名称,售价\nA1,跑鞋,299\nA2,布鞋,free\n,凉鞋,9\n", encoding="utf-8")
    args = ("import", "products", str(file), "--map", "sku=商品ID", "--data-dir", "data")
    result = cli(*args)
    assert result.exit_code == 0, result.output
    assert "3 rows read, 2 added" in result.stdout
    assert "line 3: price 'free'" in result.stderr
    assert "line 4: sku is empty" in result.stderr
    again = json.loads(cli(*args, "--json").stdout)
    assert (again["added"], again["unchanged"], again["skipped"]) == (0, 2, 1)
    file.write_text("商品ID,名称,售价\n,布鞋,1\n", encoding="utf-8")
    assert cli(*args).exit_code == 1
    for wrong in ("sku", "sku=", "nope=商品ID", "name=没有"):
        assert cli(*args, "--map", wrong).exit_code == 2
    assert cli(*args, "--time-zone", "Mars/Olympus").exit_code == 2
    assert cli("import", "products", "absent.csv").exit_code == 2
