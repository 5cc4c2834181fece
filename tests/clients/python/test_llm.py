"""The command `llm`, which finds models in a file of its user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import Scripted, called, said


def asked(folder: Path, url: str, model: str, *words: str) -> str:
    """What the command prints."""
    entry = (
        f"- model_id: ours\n  model_name: {model}\n  api_base: {url}/v1\n"
        "  supports_tools: true\n  supports_schema: true\n"
    )
    (folder / "extra-openai-models.yaml").write_text(entry)
    env = {**os.environ, "LLM_USER_PATH": str(folder), "OPENAI_API_KEY": "any"}
    command = [sys.executable, "-m", "llm", "-m", "ours", *words]
    ran = subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=50)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_it_streams(url: str, scripted: Scripted, tmp_path: Path) -> None:
    model = scripted(said("Rome ", "is ", "old."))
    assert asked(tmp_path, url, model, "Say something.") == "Rome is old.\n"


def test_a_tool_goes_round(url: str, scripted: Scripted, tmp_path: Path) -> None:
    tools = "def weather(city: str) -> str:\n    return 'rain in ' + city\n"
    model = scripted(called("weather", {"city": "Rome"}), said("Rain."))
    printed = asked(tmp_path, url, model, "How is Rome?", "--functions", tools, "--td")
    assert "Rain." in printed


def test_structured_output_fits_its_schema(url: str, scripted: Scripted, tmp_path: Path) -> None:
    model = scripted(said('{"name": "Rome", ', '"people": 3}'))
    printed = asked(tmp_path, url, model, "Which town?", "--schema", "name, people int")
    assert json.loads(printed) == {"name": "Rome", "people": 3}
