"""The files that a public project has, held to what is really there."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from typing import Any

import pytest
import yaml

import unspool
from support.documents import ROOT, blocks

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_the_public_check_is_the_one_that_runs_before_anything_lands() -> None:
    (job,) = load(".github/workflows/ci.yml")["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert oldest in job["strategy"]["matrix"]["python"]


def test_the_hooks_before_a_commit_are_ours_and_download_nothing() -> None:
    (repository,) = load(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        make, target = hook["entry"].split()
        assert (make, hook["language"]) == ("make", "system")
        assert target in TARGETS


def test_what_to_cite_is_what_is_released() -> None:
    cited = load("CITATION.cff")
    assert cited["version"] == PROJECT["version"]
    assert cited["license"] == PROJECT["license"]
    assert cited["keywords"] == PROJECT["keywords"]
    assert cited["authors"] == PROJECT["authors"]


@pytest.mark.parametrize(
    "path", [f for f in FORMS if f.stem != "config"], ids=lambda path: path.stem
)
def test_a_form_asks_each_thing_once(path: Any) -> None:
    form = yaml.safe_load(path.read_text())
    fields = [field["id"] for field in form["body"]]
    assert len(fields) == len(set(fields)) > 1
    assert all(field["attributes"]["label"] for field in form["body"])


def test_contributing_names_targets_that_there_are() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"\bmake ([a-z-]+)", text))
    assert {"check", "test", "test-crash"} <= named
    assert named - TARGETS == set()
    assert blocks(ROOT / "CONTRIBUTING.md", "sh")


def test_the_typed_program_uses_every_public_name_and_is_read_by_mypy() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "tests/typing" in project["tool"]["mypy"]["files"]
    tree = ast.parse((ROOT / "tests" / "typing" / "api.py").read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert set(unspool.__all__) - used == set()
