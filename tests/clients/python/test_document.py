"""The programs of `docs/clients.md`, as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[3] / "docs" / "clients.md"
FRAMEWORKS = re.compile(r"^from (agents|pydantic_ai) import", re.M)
HAS_FRAMEWORKS = find_spec("pydantic_ai") is not None
PROGRAMS = [
    program
    for program in re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
    if bool(FRAMEWORKS.search(program)) == HAS_FRAMEWORKS
]
"""Each in the environment that has its client."""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda text: text.split()[1])
def test_a_program_of_the_document_prints_an_answer(url: str, program: str) -> None:
    code = program.replace("http://127.0.0.1:8000", url)
    argv = [sys.executable, "-X", "utf8", "-c", code]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout) > 10
