"""
What a test case expects of an answer, and whether an answer meets it.

Pure. A rule looks at the whole text or at the tool calls; every rule must hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from unspool.formats.json_schema import InvalidSchema, check_schema, misfits
from unspool.formats.written import Params, StrictInput

MAX_RULES: Final = 50

SHOWN_CHARS: Final = 200
"""Of an answer in a miss."""

RuleKind = Literal["equals", "contains", "lacks"]


class TextRule(StrictInput):
    kind: RuleKind
    """`equals` ignores spaces at both ends; `contains` and `lacks` ignore case."""
    value: str = Field(min_length=1, max_length=20_000)


class CallRule(StrictInput):
    """A tool call that the model must make."""

    name: str = Field(min_length=1, max_length=64)
    arguments: Params = Field(default_factory=dict)
    """Arguments that the call must have, with these values; it may have more."""


def _schema(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    if schema is not None:
        try:
            check_schema(schema)
        except InvalidSchema as error:
            raise ValueError(str(error)) from None
    return schema


class Expectation(StrictInput):
    text: list[TextRule] = Field(default_factory=list, max_length=MAX_RULES)
    calls: list[CallRule] | None = Field(None, max_length=MAX_RULES)
    """In any order; an empty list: the model calls nothing. None: any calls will do."""
    fits: Annotated[dict[str, Any] | None, AfterValidator(_schema)] = None
    """JSON Schema that the text, as JSON, must fit."""

    @model_validator(mode="after")
    def _says_something(self) -> Expectation:
        if not self.text and self.calls is None and self.fits is None:
            raise ValueError("nothing is expected; name a text, calls or a schema")
        return self


@dataclass(frozen=True, slots=True)
class Miss:
    """A rule that does not hold."""

    kind: Literal["equals", "contains", "lacks", "call", "no_calls", "json", "fits"]
    expected: str
    seen: str


def misses_of(
    expectation: Expectation, text: str, calls: Sequence[Mapping[str, Any]]
) -> list[Miss]:
    """Return the rules that an answer does not keep; none: it passes."""
    found = [miss for rule in expectation.text if (miss := _text_miss(rule, text))]
    if expectation.calls is not None:
        found += _call_misses(expectation.calls, calls)
    if expectation.fits is not None:
        found += _schema_misses(expectation.fits, text)
    return found


def _text_miss(rule: TextRule, text: str) -> Miss | None:
    value, folded = rule.value, text.casefold()
    holds = {
        "equals": text.strip() == value.strip(),
        "contains": value.casefold() in folded,
        "lacks": value.casefold() not in folded,
    }
    return None if holds[rule.kind] else Miss(rule.kind, value[:SHOWN_CHARS], text[:SHOWN_CHARS])


def _call_misses(rules: Sequence[CallRule], calls: Sequence[Mapping[str, Any]]) -> list[Miss]:
    seen = ", ".join(str(call["name"]) for call in calls)[:SHOWN_CHARS]
    if not rules:
        return [Miss("no_calls", "", seen)] if calls else []
    left, found = list(calls), []
    for rule in rules:
        met = next((call for call in left if _meets(rule, call)), None)
        if met is None:
            wanted = f"{rule.name} {json.dumps(rule.arguments, ensure_ascii=False)}"
            found.append(Miss("call", wanted[:SHOWN_CHARS], _shown(rule, calls) or seen))
        else:
            left.remove(met)
    return found


def _meets(rule: CallRule, call: Mapping[str, Any]) -> bool:
    arguments = call["arguments"]
    return call["name"] == rule.name and all(
        name in arguments and arguments[name] == value for name, value in rule.arguments.items()
    )


def _shown(rule: CallRule, calls: Sequence[Mapping[str, Any]]) -> str:
    """Return the arguments of the first call of the same tool."""
    call = next((call for call in calls if call["name"] == rule.name), None)
    arguments = "" if call is None else json.dumps(call["arguments"], ensure_ascii=False)
    return arguments[:SHOWN_CHARS]


_FENCE: Final = re.compile(r"\A\s*```\w*\n(.*?)\n?```\s*\Z", re.DOTALL)
"""Models put JSON into a fence although nobody asked for one."""


def _schema_misses(schema: Mapping[str, Any], text: str) -> list[Miss]:
    fenced = _FENCE.match(text)
    try:
        value = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return [Miss("json", "JSON", text[:SHOWN_CHARS])]
    return [Miss("fits", problem[:SHOWN_CHARS], "") for problem in misfits(schema, value)[:5]]
