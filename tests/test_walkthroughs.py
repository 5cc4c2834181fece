"""Each walkthrough is typed line by line against a fresh server, and shows what it prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.documents import DOCS, README, blocks, code, headings, named, translated
from support.servers import Serve, clean_env
from unspool import plugs

WALKTHROUGHS = [
    path for path in sorted((DOCS / "walkthroughs").glob("*.md")) if "zh-CN" not in path.name
]
STARTS = "make run\n", "make install\n"
"""How a block ends that starts a server or installs one: a test has both already."""


def commands(path: Path) -> str:
    return "".join(block for block in blocks(path, "sh") if not block.endswith(STARTS))


def shown(path: Path) -> list[str]:
    """What a document says is printed, piece by piece: `…` stands for what it left out."""
    return [
        piece.strip()
        for block in blocks(path, "text")
        for line in block.splitlines()
        for piece in line.split("…")
        if piece.strip()
    ]


def test_every_application_has_a_walkthrough_that_the_readme_offers() -> None:
    assert len(WALKTHROUGHS) == len(plugs.apps())
    for path in WALKTHROUGHS:
        assert f"({named(path)})" in README.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("path", [README, *WALKTHROUGHS], ids=lambda path: path.stem)
def test_a_walkthrough_does_and_prints_what_it_says(
    path: Path, serve_with: Serve, tmp_path: Path
) -> None:
    served = serve_with()
    url = served.url
    (tmp_path / ".venv").symlink_to(sys.prefix)
    ran = subprocess.run(
        ["bash", "-eu", "-c", commands(path).replace("http://127.0.0.1:8000", url)],
        cwd=tmp_path,
        env=clean_env(
            UNSPOOL_URL=url, UNSPOOL_DATA_DIR=str(served.settings.data_dir), PYTHONUTF8="1"
        ),
        capture_output=True,
        text=True,
        timeout=18,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert shown(path)
    assert [piece for piece in shown(path) if piece not in ran.stdout] == []


@pytest.mark.parametrize(("path", "chinese"), translated(), ids=lambda path: named(path))
def test_a_document_and_its_chinese_version_are_one(path: Path, chinese: Path) -> None:
    assert headings(path) == headings(chinese)
    assert code(path) == code(chinese)
    # Each offers the other in its first line.
    assert f"({chinese.name})" in path.read_text().partition("\n")[0]
    assert f"({path.name})" in chinese.read_text().partition("\n")[0]


@pytest.mark.parametrize("path", WALKTHROUGHS, ids=lambda path: path.stem)
def test_a_walkthrough_is_there_in_chinese(path: Path) -> None:
    assert path.with_name(f"{path.stem}.zh-CN.md").exists()
