"""
How deployments continue a text, learned from what they do when they get the beginning of it.

One answer is no proof: texts repeat themselves, and engines change. So every finding keeps its
evidence: how often the model went on, started anew, refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from ..providers import Model
from ..providers.upstream.engines import forms_of

PROOF: Final = 3
"""Failures that overrule a user's own `prefill`, if it never worked; one rules out a guess."""

Trust = Literal["", "proven", "exact"]
"""
How far a model is believed that got the text as the beginning of its answer: `proven`, it has gone
on before; `exact`, it cannot do otherwise.
"""

Outcome = Literal["went_on", "started_anew", "refused"]


@dataclass(slots=True)
class Evidence:
    """What one deployment did with one form of prefill, in numbers of requests."""

    went_on: int = 0
    started_anew: int = 0
    refused: int = 0

    @property
    def has_proof(self) -> bool:
        """Whether it went on, and oftener than not."""
        return self.went_on > self.started_anew + self.refused

    def is_ruled_out(self, *, by_user: bool) -> bool:
        """Whether to ask so no more. `by_user`: the user's own settings name this form."""
        failed = self.started_anew + self.refused
        return failed >= (PROOF if by_user else 1) * (1 + self.went_on)


@dataclass(frozen=True, slots=True)
class PrefillFinding:
    """The evidence of one form at one deployment."""

    model: str
    deployment: str
    form: str
    evidence: Evidence


class Prefills:
    """
    The evidence of all models, in memory.

    Attributes:
        is_recorded: Whether they repeat a log, where seams have been judged already.
        on_change: Called after new evidence with the model's name; `models.learning` stores it.
        on_unknown: Called with a model that answered and whose way to continue is unknown.
    """

    is_recorded = False

    def __init__(self) -> None:
        self._found: dict[str, dict[tuple[str, str], Evidence]] = {}
        self.on_change: Callable[[str], None] = _ignore
        self.on_unknown: Callable[[Model], None] = _ignore

    def forms(self, model: Model, engine: str = "") -> tuple[str, ...]:
        """
        Return the forms to try with `model`, the best first.

        `engine`: its name, if it gave one. Proven forms come before those that its kind is known
        for; a user's own setting stands alone.
        """
        if model.prefill == "none":
            return ()
        known = forms_of(model, engine)
        by_user = bool(model.prefill)
        proven = () if by_user else self._proven(model)
        return tuple(
            form
            for form in dict.fromkeys((*proven, *known))
            if not self.evidence(model, form).is_ruled_out(by_user=by_user)
        )

    def _proven(self, model: Model) -> tuple[str, ...]:
        here = deployment_of(model)
        found = self._found.get(model.name, {})
        return tuple(f for (at, f), evidence in found.items() if at == here and evidence.has_proof)

    def evidence(self, model: Model, form: str) -> Evidence:
        """Return what `model` did with this form; all zero if it never got it."""
        found = self._found.get(model.name)
        return (found and found.get((deployment_of(model), form))) or Evidence()

    def trust(self, model: Model, form: str) -> Trust:
        """Return how far to believe `model` when it gets the text in this form."""
        if form == "raw":
            return "exact"
        return "proven" if self.evidence(model, form).has_proof else ""

    def note(self, model: Model, form: str, outcome: Outcome) -> None:
        """Count one more outcome."""
        found = self._found.setdefault(model.name, {})
        evidence = found.setdefault((deployment_of(model), form), Evidence())
        setattr(evidence, outcome, getattr(evidence, outcome) + 1)
        self.on_change(model.name)

    def tried(self, model: Model, outcomes: Iterable[tuple[str, Outcome]]) -> None:
        """Replace what is known of `model` by the outcomes of a trial: that is proof."""
        here = deployment_of(model)
        self._found[model.name] = {
            (here, form): Evidence(**{outcome: PROOF}) for form, outcome in outcomes
        }
        self.on_change(model.name)

    def answered(self, model: Model, engine: str = "") -> None:
        """Note that `model` gave a whole answer."""
        if not model.prefill and model.name not in self._found and not forms_of(model, engine):
            self.on_unknown(model)

    def findings(self, name: str) -> list[PrefillFinding]:
        """Return all evidence of a name, to store it."""
        found = self._found.get(name, {})
        return [PrefillFinding(name, at, form, evidence) for (at, form), evidence in found.items()]

    def findings_of(self, model: Model) -> list[PrefillFinding]:
        """Return the evidence of a model where it is now."""
        here = deployment_of(model)
        return [found for found in self.findings(model.name) if found.deployment == here]

    def load(self, findings: Iterable[PrefillFinding]) -> None:
        """Take over stored evidence."""
        for found in findings:
            of_model = self._found.setdefault(found.model, {})
            of_model[found.deployment, found.form] = found.evidence


def deployment_of(model: Model) -> str:
    """Return a digest of where a model is; its address may hold secrets."""
    place = f"{model.provider}\n{model.base_url}\n{model.upstream_name}"
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def _ignore(_: object) -> None:
    """Take no notice."""
