"""
Checks JSON Schemas, and arguments against them.

Users register schemas and models write arguments, and both are checked on the event loop. So the
checker fetches no reference, matches patterns in linear time only, and bounds the size of both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn

import jsonschema_rs

MAX_SCHEMA_CHARS: Final = 32 * 1024
"""Of one schema as JSON: every request carries all of it to the model."""

MAX_DEPTH: Final = 32
"""Of objects and arrays within a schema; a schema needs two for each level of the data."""

MAX_LEVELS: Final = 100
"""Of arguments. Some ten thousand would crash the whole process."""

MAX_PROBLEMS: Final = 5
"""Reported for one call: enough for a model to mend it."""

MAX_PROBLEM_CHARS: Final = 300
"""Of each: it repeats the value that does not fit, which may be long."""

REMEMBERED: Final = 256
"""Schemas that stay compiled: as many as a busy server has tools."""


class InvalidSchema(Exception):
    """It is not a JSON Schema; the message says why."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """
    Check that it is a JSON Schema of an object, self-contained and within the limits.

    Raises:
        InvalidSchema: It is not; the message continues a sentence that names the schema.
    """
    text = _written(schema)
    if schema.get("type", "object") != "object":
        raise InvalidSchema('is not of an object: its "type" must be "object"')
    _compiled(text)


def misfits(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[str]:
    """Return the problems of the arguments, in words; empty if they fit."""
    if not _is_shallow(arguments, MAX_LEVELS):
        return [f"they have more than {MAX_LEVELS} levels"]
    try:
        errors = _compiled(_written(schema)).iter_errors(arguments)
        return [_problem(error) for error, _ in zip(errors, range(MAX_PROBLEMS), strict=False)]
    except (InvalidSchema, ValueError) as error:  # a lone surrogate, say
        return [f"they cannot be checked: {error}"[:MAX_PROBLEM_CHARS]]


def _written(schema: Mapping[str, Any]) -> str:
    try:
        return plain_json(schema, levels=MAX_DEPTH, chars=MAX_SCHEMA_CHARS)
    except ValueError as error:
        raise InvalidSchema(str(error)) from None


def plain_json(value: Any, *, levels: int, chars: int) -> str:
    """
    Return a value as JSON, the same text for the same value.

    Raises:
        ValueError: It is not JSON, too deep or too long.
    """
    try:
        if not _is_shallow(value, levels):
            raise ValueError(f"has more than {levels} levels; use fewer")
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, sort_keys=True)
        text.encode()
    except (TypeError, UnicodeEncodeError):
        raise ValueError("is not JSON; give text, numbers, lists and objects") from None
    if len(text) > chars:
        raise ValueError(f"has more than {chars} characters; shorten it")
    return text


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
            json.loads(schema), retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions()
        )
    except jsonschema_rs.ValidationError as error:
        raise InvalidSchema(f"is not a JSON Schema: {_problem(error)}") from None
    except (jsonschema_rs.ReferencingError, ValueError) as error:
        raise InvalidSchema(f"is not a JSON Schema: {error}"[:MAX_PROBLEM_CHARS]) from None


def _refuse(uri: str) -> NoReturn:
    raise ValueError("a schema cannot refer to another document; put its parts into `$defs`")


def _problem(error: jsonschema_rs.ValidationError) -> str:
    path = ".".join(map(str, error.instance_path))
    return (f"{path}: " if path else "") + str(error.message)[:MAX_PROBLEM_CHARS]
