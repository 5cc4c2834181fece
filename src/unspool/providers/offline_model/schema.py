"""
What the built-in model writes where JSON of some schema is asked for: a small example of it.

It is an example and not an answer: values fit the schema and speak of what was asked, and no
more is claimed. Written for the schemas that pydantic makes and people write for tools.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from .text import Dice, Messages, question_in, subject_of

MAX_DEPTH: Final = 8
"""Of nesting; a schema that refers to itself would have no end."""

MAX_ITEMS: Final = 3
"""In a list that may have any number: enough to see that it is one."""

MAX_LEAST_ITEMS: Final = 50
"""In a list that must have many."""

MAX_TEXT_CHARS: Final = 2000
"""Of a text that must be long."""

_SCHEMA: Final = re.compile(r"JSON Schema[^\n{]*\n(\{.*)", re.DOTALL)

_FORMATS: Final = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T09:30:00Z",
    "time": "09:30:00Z",
    "duration": "PT15M",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "3f2b1c9e-6d54-4a87-9b10-2c7d5e8f4a61",
    "ipv4": "192.0.2.1",
}
"""Texts of the formats that JSON Schema names; addresses are those kept for examples."""


def answer(messages: Messages) -> str | None:
    """Return JSON where the question asks for some; None where it does not."""
    request = schema_in(question_in(messages))
    if request is None:
        return None
    before, schema = request
    value = example(schema, subject_of(before), Dice(messages))
    return json.dumps(value, ensure_ascii=False, indent=1)


def schema_in(question: str) -> tuple[str, Mapping[str, Any]] | None:
    """Return what a question says before its last line but the schema, and that schema."""
    found = _SCHEMA.search(question)
    if found is None:
        return None
    try:
        schema, _ = json.JSONDecoder().raw_decode(found[1])
    except ValueError:
        return None
    return question[: found.start()], schema


def example(schema: Mapping[str, Any], about: str, dice: Dice) -> Any:
    """Return a value that fits `schema`, with `about` in its texts; the same for the same dice."""
    return _Example(schema, about, dice).value(schema, "", 0)


class _Example:
    def __init__(self, root: Mapping[str, Any], about: str, dice: Dice) -> None:
        self._root = root
        self._about = about
        self._dice = dice
        self._count = 0

    def value(self, schema: Any, name: str, depth: int) -> Any:
        schema = self._plain(schema)
        if "const" in schema:
            return schema["const"]
        if choices := schema.get("enum"):
            return choices[self._number(len(choices))]
        match _kind(schema):
            case "object":
                found: Any = self._object(schema, depth)
            case "array":
                found = self._array(schema, name, depth)
            case "integer" | "number" as kind:
                found = self._amount(schema, is_whole=kind == "integer")
            case "boolean":
                found = True
            case "null":
                found = None
            case _:
                found = self._text(schema, name)
        return found

    def _plain(self, schema: Any) -> Mapping[str, Any]:
        """Follow references and take the first choice that says something."""
        for _ in range(MAX_DEPTH):
            if not isinstance(schema, Mapping):
                return {}
            rest = {k: v for k, v in schema.items() if k not in {"$ref", "anyOf", "oneOf", "allOf"}}
            if "$ref" in schema:
                schema = {**self._referred(schema["$ref"]), **rest}
            elif choices := schema.get("anyOf") or schema.get("oneOf"):
                real = [c for c in choices if isinstance(c, Mapping) and c.get("type") != "null"]
                schema = {**(real[0] if real else {"type": "null"}), **rest}
            elif parts := schema.get("allOf"):
                for part in parts:
                    rest = {**self._plain(part), **rest}
                schema = rest
            else:
                return schema
        return {}

    def _referred(self, reference: str) -> Mapping[str, Any]:
        found: Any = self._root
        for part in str(reference).removeprefix("#/").split("/"):
            found = found.get(part, {}) if isinstance(found, Mapping) else {}
        return found if isinstance(found, Mapping) else {}

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        members = schema.get("properties") or {}
        required = schema.get("required") or []
        if depth >= MAX_DEPTH:
            members = {name: members[name] for name in required if name in members}
        if depth >= 2 * MAX_DEPTH:
            return {}
        return {name: self.value(inner, name, depth + 1) for name, inner in members.items()}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        fixed = schema.get("prefixItems") or []
        least, most = schema.get("minItems", 0), schema.get("maxItems", MAX_ITEMS)
        if depth >= MAX_DEPTH:
            most = least
        count = min(max(least, min(most, 2 + self._number(MAX_ITEMS - 1))), MAX_LEAST_ITEMS)
        kinds: Sequence[Any] = fixed or [schema.get("items", {})] * count
        return [self.value(kind, name, depth + 1) for kind in kinds]

    def _amount(self, schema: Mapping[str, Any], *, is_whole: bool) -> float | int:
        low = schema.get("minimum", schema.get("exclusiveMinimum", 1))
        low = low + 1 if "exclusiveMinimum" in schema and "minimum" not in schema else low
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 9))
        amount = low + self._number(10) * (high - low) / 10
        step = schema.get("multipleOf")
        if step:
            amount = -(-low // step) * step
        return int(amount) if is_whole else round(amount, 2)

    def _text(self, schema: Mapping[str, Any], name: str) -> str:
        if (known := _FORMATS.get(schema.get("format", ""))) is not None:
            return known
        words = str(schema.get("title") or name or "")
        self._count += 1
        is_name = bool(re.search(r"name|title|topic|query|city|keyword|名|题", name, re.IGNORECASE))
        text = self._about if is_name or not words else f"{self._about}: {words} {self._count}"
        least = min(schema.get("minLength", 0), MAX_TEXT_CHARS)
        while text and len(text) < least:
            text = f"{text} {text}"
        return (text or "x" * least)[: schema.get("maxLength", MAX_TEXT_CHARS)]

    def _number(self, below: int) -> int:
        self._count += 1
        return self._dice.number(f"schema {self._count}", max(1, below))


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)
