"""`examples/langchain_chat.py`, as it stands."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import Scripted, called, said

EXAMPLE = Path(__file__).parents[3] / "examples" / "langchain_chat.py"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLE))


def test_it_is_short_and_prints_an_answer(url: str) -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 40
    argv = [sys.executable, str(EXAMPLE)]
    env = os.environ | {"UNSPOOL_URL": url, "PYTHONUTF8": "1"}
    ran = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=40, check=True)
    assert "鞋" in ran.stdout


def test_it_streams(url: str, scripted: Scripted, example: dict[str, Any]) -> None:
    model = example["model"](scripted(said("Rome ", "is ", "old.")), url)
    assert [piece for piece in example["stream"](model, "Say it.") if piece] == [
        *("Rome ", "is ", "old.")
    ]


def test_its_tool_goes_round(url: str, scripted: Scripted, example: dict[str, Any]) -> None:
    calls = called("weather", {"city": "Rome"})
    model = example["model"](scripted(calls, said("Light rain.")), url)
    assert example["with_tools"](model, "How is Rome?") == "Light rain."
