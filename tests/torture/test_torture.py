"""The pure parts of the torture table, and that the documents have what the last run wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from . import documents, table
from .corpus import WHOLE, cases
from .judging import counted, verdict
from .upstream import TortureModel, words

CASES = cases()
FIGURES = documents.figures()
PLACES = [(path, section) for path, section in documents.sections(FIGURES)]
MAX_README_TABLE_LINES = 14


@pytest.mark.parametrize(
    ("end", "text", "judged"),
    [
        ("complete", "one two ", "whole"),
        ("complete", "one ", "silent"),
        ("complete", "", "silent"),
        ("complete", "one one two ", "wrong"),
        ("said", "one ", "said"),
        ("said", "one two ", "said"),
        ("hung", "one two ", "hung"),
        ("open", "one ", "hung"),
    ],
)
def test_an_answer_is_judged_by_what_its_client_takes_it_for(
    end: Any, text: str, judged: str
) -> None:
    answer = "one two "
    assert verdict(end, text, is_right=answer.__eq__, answer=answer) == judged


def test_each_verdict_is_counted_also_where_nobody_got_it() -> None:
    results = [{"verdict": "whole"}, {"verdict": "whole"}, {"verdict": "hung"}]
    assert counted(results) == {"whole": 2, "said": 0, "silent": 0, "wrong": 0, "hung": 1}


def test_what_is_right_for_a_fault_begins_with_what_came() -> None:
    assert len(CASES) > 100
    for case in CASES.values():
        expected = case.fault["expected"]
        if case.answer is not None:
            assert case.answer.startswith(expected["text"])
            assert case.is_right(case.answer)
        assert not case.is_right("another text")


async def asked(model: TortureModel, order: dict[str, Any], begun: str = "") -> tuple[str, bool]:
    """Return what the model says to an order, and whether it says that it is done."""
    messages = [{"role": "user", "content": json.dumps(order)}]
    if begun:
        messages.append({"role": "assistant", "content": begun})
    async with httpx.AsyncClient(trust_env=False) as http:
        reply = await http.post(f"{model.url}/chat/completions", json={"messages": messages})
    lines = [line[len("data: ") :] for line in reply.text.split("\n") if line.startswith("data: ")]
    chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    said = [choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]]
    return "".join(said), "[DONE]" in lines


async def test_the_first_request_meets_the_fault_and_every_later_one_is_answered() -> None:
    name = "clean-eof-midstream.g"
    order = {"name": "one", "fault": name}
    async with TortureModel() as model:
        cut, is_done = await asked(model, order)
        assert (cut, is_done) == (CASES[name].fault["expected"]["text"], False)
        assert await asked(model, order) == (WHOLE, True)
        assert await asked(model, order, begun=cut) == (WHOLE[len(cut) :], True)
        assert [each.was_whole for each in model.of("one")] == [True, True, True]


async def test_a_plain_answer_continues_inside_a_word() -> None:
    whole = "".join(words(12))
    order = {"name": "two", "words": 12, "pause_ms": 0}
    async with TortureModel() as model:
        for cut in (0, 3, len(whole) - 4):
            rest, is_done = await asked(model, order, begun=whole[:cut])
            assert (whole[:cut] + rest, is_done) == (whole, True)


def results_of(verdict: str, count: int = 2) -> dict[str, Any]:
    """Return the results of a system whose answers all end alike."""
    plain = [{"name": f"r{n}", "verdict": verdict, "kept": True} for n in range(count)]
    costs = dict.fromkeys(table.COSTS, 2.0)
    return {
        "faults": [{"name": "f.g", "verdict": verdict, "harmless": True}],
        **dict.fromkeys(("breaks", "second", "kills", "deploys", "later"), plain),
        "stops": [{"name": "s", "closed": True}],
        "costs": [costs, {**costs, "first_ms": 1.0}],
        "not_made_for": [],
    }


def test_a_cell_says_not_made_for_where_a_figure_would_be_unfair() -> None:
    played = {name: results_of("whole") for name in table.SYSTEMS}
    played["relay"] = {**results_of("said"), "not_made_for": ["kills"]}
    facts = {"date": "2026-01-02", "versions": {"ai": "1", "LiteLLM": "2", "Unspool": "3"}}
    lines = table.short({**facts, **table.summary(played)}, "en")
    (killed,) = (line for line in lines if "kill -9` of" in line)
    assert killed.split(" | ")[1:] == ["not made for", "2 of 2", "2 of 2", "2 of 2 |"]
    assert any("1 ms · 2 µs" in line for line in lines), "the better round"


@pytest.mark.parametrize(("path", "section"), PLACES, ids=[path.name for path, _ in PLACES])
def test_a_document_has_the_table_that_the_last_run_wrote(path: Path, section: list[str]) -> None:
    begin, end = documents.section_of(path, section[0])
    assert path.read_text().split("\n")[begin:end] == section


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_table_of_a_readme_is_seen_at_a_glance(language: table.Language) -> None:
    assert len(table.short(FIGURES, language)) <= MAX_README_TABLE_LINES


def test_the_figures_name_the_versions_that_are_pinned() -> None:
    folder = Path(__file__).parent
    pinned = json.loads((folder / "node" / "package.json").read_text())["dependencies"]
    for name in ("ai", "resumable-stream"):
        assert FIGURES["versions"][name] == pinned[name]
    wanted = f"litellm=={FIGURES['versions']['LiteLLM']}"
    assert wanted in (folder / "requirements.txt").read_text().splitlines()


def test_the_lock_file_has_no_addresses() -> None:
    lock = (Path(__file__).parent / "node" / "package-lock.json").read_text()
    assert '"resolved"' not in lock
