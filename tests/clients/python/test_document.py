"""The programs of `docs/clients.md`, as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[3] / "docs" / "clients.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda text: text.split()[1])
def test_a_program_of_the_document_prints_an_answer(url: str, program: str) -> None:
    code = program.replace("http://127.0.0.1:8000", url)
    argv = [sys.executable, "-X", "utf8", "-c", code]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout) > 10
