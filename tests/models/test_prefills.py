"""What is learned of how models continue a text, and how much it takes to unlearn it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unspool import Model
from unspool.models.prefills import PROOF, Evidence, PrefillFinding, Prefills

LOCAL = Model("local", "openai", "qwen", "http://127.0.0.1:8080/v1")
SET = replace(LOCAL, prefill="assistant")


def test_nothing_is_assumed_of_a_deployment_that_nobody_knows() -> None:
    assert Prefills().forms(LOCAL) == ()


@pytest.mark.parametrize(
    ("model", "engine", "forms"),
    [
        (LOCAL, "llama.cpp", ("raw", "assistant")),
        (replace(LOCAL, provider="ollama"), "", ("assistant",)),
        (replace(LOCAL, base_url="http://127.0.0.1:11434/v1"), "", ("assistant",)),
        (replace(LOCAL, base_url="https://api.deepseek.com/v1"), "", ("prefix",)),
        (replace(LOCAL, base_url="https://api.openai.com/v1"), "", ()),
        (SET, "llama.cpp", ("assistant",)),
        (replace(LOCAL, prefill="none"), "llama.cpp", ()),
        (Model("s", "scripted"), "", ("assistant",)),
    ],
)
def test_vendors_and_engines_are_tried_as_they_are_known(
    model: Model, engine: str, forms: tuple[str, ...]
) -> None:
    assert Prefills().forms(model, engine) == forms


@pytest.mark.parametrize("outcome", ["started_anew", "refused"])
def test_one_failure_rules_out_a_guess_and_three_a_users_own_setting(outcome: Any) -> None:
    prefills = Prefills()
    prefills.note(LOCAL, "raw", outcome)
    assert prefills.forms(LOCAL, "llama.cpp") == ("assistant",)
    for _ in range(PROOF - 1):
        prefills.note(SET, "assistant", outcome)
        assert prefills.forms(SET) == ("assistant",)
    prefills.note(SET, "assistant", outcome)
    assert prefills.forms(SET) == ()


def test_a_model_that_has_gone_on_is_believed_after_a_suspicion() -> None:
    prefills = Prefills()
    assert prefills.trust(SET, "assistant") == ""
    for _ in range(2):
        prefills.note(SET, "assistant", "went_on")
    prefills.note(SET, "assistant", "started_anew")
    assert prefills.trust(SET, "assistant") == "proven"
    for _ in range(2 * PROOF):
        prefills.note(SET, "assistant", "started_anew")
    assert prefills.trust(SET, "assistant") == ""
    assert prefills.forms(SET) == ("assistant",), "six failures of eight, of a user's own setting"


def test_a_trial_is_proof_for_and_against() -> None:
    prefills = Prefills()
    prefills.note(LOCAL, "raw", "refused")
    prefills.tried(LOCAL, [("partial", "went_on"), ("assistant", "started_anew")])
    assert prefills.forms(LOCAL, "llama.cpp") == ("partial", "raw")
    assert prefills.trust(LOCAL, "partial") == "proven"


def test_evidence_belongs_to_an_address() -> None:
    prefills = Prefills()
    prefills.tried(LOCAL, [("partial", "went_on")])
    moved = replace(LOCAL, base_url="http://127.0.0.1:9090/v1")
    assert prefills.forms(LOCAL) == ("partial",)
    assert prefills.forms(moved) == ()


def test_evidence_that_was_stored_counts_as_before() -> None:
    first, second = Prefills(), Prefills()
    first.tried(LOCAL, [("partial", "went_on"), ("assistant", "refused")])
    second.load(first.findings("local"))
    assert second.forms(LOCAL) == first.forms(LOCAL)
    second.load([PrefillFinding("local", "elsewhere", "raw", Evidence(went_on=9))])
    assert second.forms(LOCAL) == ("partial",)


def test_only_models_of_which_nothing_is_known_are_wondered_about() -> None:
    prefills, wondered = Prefills(), []
    prefills.on_unknown = wondered.append
    prefills.answered(LOCAL)
    prefills.answered(LOCAL, "llama.cpp")
    prefills.answered(SET)
    prefills.answered(replace(LOCAL, base_url="https://api.openai.com/v1"))
    prefills.tried(LOCAL, [("partial", "refused")])
    prefills.answered(LOCAL)
    assert len(wondered) == 2, "by itself, and at an address where nothing goes on"
