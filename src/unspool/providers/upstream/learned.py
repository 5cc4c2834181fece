"""
What a deployment has shown of itself, for the life of the process.

Services that speak one API refuse different parameters of it. A parameter that the answer can do
without is left out after its refusal, and the request is sent again; a limit of tokens goes out
under its other name. Later requests to the same deployment leave it out at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from unspool.errors import ProviderRefused

from .. import Model, Request

REFUSALS: Final = frozenset({400, 422})
"""Statuses under which servers refuse a parameter."""

DISPENSABLE: Final = frozenset(
    {
        *("stream_options", "temperature", "top_p", "top_k", "min_p", "seed", "user", "n"),
        *("presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias"),
        *("parallel_tool_calls", "reasoning_effort", "reasoning", "include", "verbosity"),
        *("store", "metadata", "service_tier", "prompt_cache_key", "safety_identifier"),
        *("logprobs", "top_logprobs", "topP", "topK", "presencePenalty", "frequencyPenalty"),
        *("repeat_penalty", "keep_alive"),
    }
)
"""Parameters without which an answer is still an answer to the question."""

OF_TURNS: Final = frozenset(
    {"reasoning_content", "reasoning", "reasoning_details", "extra_content"}
)
"""Fields of an assistant's message that hold the state of its turn (`turn_states`)."""

OURS: Final = frozenset({"stream_options", "include", *OF_TURNS})
"""Parameters that nobody asked for: we add them."""

OTHER_NAMES: Final = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
"""Parameters that go out under another name instead."""

LEFT_OUT: Final = DISPENSABLE | OF_TURNS | set(OTHER_NAMES)

NESTED: Final = ("generationConfig", "options")
"""Fields in which some APIs hold their parameters."""

MAX_DEPLOYMENTS: Final = 1000

_REFUSED: Final = re.compile(
    r"unsupported|(not|n't) (be )?(support|permit|allow|accept|recogni[sz]ed|available|compatible)|"
    r"unknown|unrecogni[sz]ed|unexpected|extra|deprecated|cannot (both )?be|may only be|only the "
    r"default|instead|use only one|不支持|未知|无法识别",
    re.IGNORECASE,
)
"""Words for a parameter that is not taken at all. A value out of its range is a mistake to tell."""

Deployment = tuple[str, str, str]


@dataclass(slots=True)
class _Shown:
    quirks: frozenset[str] = frozenset()
    refused: set[str] = field(default_factory=set)


class Learned:
    """
    See the module; one for each client.

    Attributes:
        engines: By address, engines that have named themselves (`engines.ENGINES`).
    """

    def __init__(self) -> None:
        self.engines: dict[str, str] = {}
        self._shown: dict[Deployment, _Shown] = {}

    def known(self, model: Model) -> Model:
        """Return `model` with the quirks that its deployment has shown."""
        shown = self._shown.get(_deployment(model))
        if shown is None or shown.quirks <= model.quirks:
            return model
        return replace(model, quirks=model.quirks | shown.quirks)

    def note(self, model: Model, quirks: frozenset[str], *, is_whole: bool = False) -> None:
        """Remember the quirks of an answer; a whole answer without them takes them back."""
        if quirks:
            self._of(model).quirks = quirks
        elif is_whole and (shown := self._shown.get(_deployment(model))) is not None:
            shown.quirks = quirks

    def accepted(self, model: Model, request: Request) -> Request:
        """Return the request without what the deployment has refused."""
        shown = self._shown.get(_deployment(model))
        if shown is None or not shown.refused or request.body is None:
            return request
        return replace(request, body=_without(request.body, shown.refused))

    def refusal(self, model: Model, request: Request, error: ProviderRefused) -> str:
        """
        Return the parameter that `error` refuses, if the request can do without it, and remember
        it; empty: there is none, or it was left out already.
        """
        if error.status not in REFUSALS or request.body is None:
            return ""
        words = f"{error.param}: {error}" if error.param else str(error)
        if not _REFUSED.search(words):
            return ""
        shown = self._of(model)
        sent = _names(_without(request.body, shown.refused))
        places = {name: _place(name, words) for name in sent if name in LEFT_OUT}
        named = sorted((place, name) for name, place in places.items() if place >= 0)
        for _, name in named:
            if name not in shown.refused and OTHER_NAMES.get(name) not in shown.refused:
                shown.refused.add(name)
                return name
        return ""

    def _of(self, model: Model) -> _Shown:
        if len(self._shown) >= MAX_DEPLOYMENTS:
            self._shown.pop(next(iter(self._shown)))
        return self._shown.setdefault(_deployment(model), _Shown())


def _deployment(model: Model) -> Deployment:
    return model.provider, model.base_url, model.upstream_name


def _names(body: Mapping[str, Any]) -> list[str]:
    inner = (body[name] for name in NESTED if isinstance(body.get(name), Mapping))
    said = {name for message in _messages(body) for name in message if name in OF_TURNS}
    return [*body, *said, *(name for fields in inner for name in fields)]


def _messages(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = body.get("messages")
    found = messages if isinstance(messages, list) else []
    return [message for message in found if isinstance(message, Mapping)]


def _place(name: str, words: str) -> int:
    found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words)
    return -1 if found is None else found.start()


def _without(body: Mapping[str, Any], refused: set[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in body.items():
        if name in NESTED and isinstance(value, Mapping):
            kept[name] = _without(value, refused)
        elif name == "messages" and not refused.isdisjoint(OF_TURNS):
            kept[name] = [_without_state(message, refused) for message in _messages(body)]
        elif name not in refused:
            kept[name] = value
        elif (other := OTHER_NAMES.get(name)) is not None:
            kept.setdefault(other, value)
    return kept


def _without_state(message: Mapping[str, Any], refused: set[str]) -> dict[str, Any]:
    return {n: value for n, value in message.items() if n not in refused or n not in OF_TURNS}
