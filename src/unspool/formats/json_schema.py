"""
JSON Schemas: whether one is one, and whether arguments fit it.

A schema comes from whoever registers a tool, arguments come from a model, and both are looked
at on the event loop. So nothing is fetched that a schema refers to, patterns are of the kind
that is matched in linear time, and both have bounds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn

import jsonschema_rs

MAX_SCHEMA_CHARS: Final = 32 * 1024
"""Of one schema as JSON: models are told all of it in every request."""

MAX_DEPTH: Final = 32
"""Of objects and arrays within a schema, whose own form takes two for each level of the data."""

MAX_LEVELS: Final = 100
"""Of arguments. Beyond some ten thousand they would take the whole process with them."""

MAX_TOLD: Final = 5
"""Of what does not fit: enough for a model to mend its call."""

MAX_CONTEXT_CHARS: Final = 300
"""Of each: what does not fit is repeated there, and may be long."""

REMEMBERED: Final = 256
"""Schemas that stay compiled: the tools of a busy server."""


class InvalidSchema(Exception):
    """It is none; the message says why."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """
    Make sure that it is a JSON Schema of an object, in itself and within bounds.

    Raises:
        NoSchema
    """
    said = _written(schema)
    if schema.get("type", "object") != "object":
        raise InvalidSchema('is not of an object: its "type" must be "object"')
    _compiled(said)


def misfits(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[str]:
    """Return what of the arguments does not fit, in words; empty where all of it does."""
    if not _is_shallow(arguments, MAX_LEVELS):
        return [f"they have more than {MAX_LEVELS} levels"]
    try:
        found = _compiled(_written(schema)).iter_errors(arguments)
        return [_told(error) for error, _ in zip(found, range(MAX_TOLD), strict=False)]
    except (InvalidSchema, ValueError) as error:  # half a character
        return [f"they cannot be checked: {error}"[:MAX_CONTEXT_CHARS]]


def _written(schema: Mapping[str, Any]) -> str:
    try:
        return plain_json(schema, levels=MAX_DEPTH, chars=MAX_SCHEMA_CHARS)
    except ValueError as error:
        raise InvalidSchema(str(error)) from None


def plain_json(value: Any, *, levels: int, chars: int) -> str:
    """
    Return a value as JSON, the same text for the same value.

    Raises:
        ValueError: JSON cannot say it, or it is too deep or too long.
    """
    try:
        if not _is_shallow(value, levels):
            raise ValueError(f"has more than {levels} levels; say it with fewer")
        said = json.dumps(value, allow_nan=False, ensure_ascii=False, sort_keys=True)
        said.encode()
    except (TypeError, UnicodeEncodeError):
        raise ValueError("holds what is no JSON; give text, numbers, lists and objects") from None
    if len(said) > chars:
        raise ValueError(f"has more than {chars} characters; say less")
    return said


def _is_shallow(value: Any, levels: int) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list):
        return True
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in value)


@lru_cache(maxsize=REMEMBERED)
def _compiled(schema: str) -> jsonschema_rs.Validator:
    try:
        return jsonschema_rs.validator_for(
            json.loads(schema), retriever=_nothing, pattern_options=jsonschema_rs.RegexOptions()
        )
    except jsonschema_rs.ValidationError as error:
        raise InvalidSchema(f"is no JSON Schema: {_told(error)}") from None
    except (jsonschema_rs.ReferencingError, ValueError) as error:
        raise InvalidSchema(f"is no JSON Schema: {error}"[:MAX_CONTEXT_CHARS]) from None


def _nothing(uri: str) -> NoReturn:
    raise ValueError("a schema must say all of it itself; put what it refers to into `$defs`")


def _told(error: jsonschema_rs.ValidationError) -> str:
    place = ".".join(map(str, error.instance_path))
    return (f"{place}: " if place else "") + str(error.message)[:MAX_CONTEXT_CHARS]
