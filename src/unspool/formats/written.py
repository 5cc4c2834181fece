"""
Types for what people write in a file, over the API or on the command line, with limits.

An error never repeats the wrong value: it may be a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from yarl import URL

from ..errors import SpecError
from .json_schema import plain_json

MAX_URL_CHARS: Final = 2048

MAX_PARAMS_CHARS: Final = 16 * 1024
"""Parameters of one model as JSON. A grammar may need a few thousand."""

MAX_DEPTH: Final = 16
"""Of objects and arrays within parameters; a JSON Schema needs fewer."""


class StrictInput(BaseModel):
    """Base of the types for input: no unknown fields, no NaN or infinity."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    """Refuse values that are not JSON, too deep or too long."""
    plain_json(params, levels=MAX_DEPTH, chars=MAX_PARAMS_CHARS)
    return params


def _address(url: str) -> str:
    """Refuse an address that holds a secret: people see addresses."""
    try:
        # yarl parses it as the HTTP client will; other parsers differ.
        parts = URL(url)
        is_odd = bool(parts.user or parts.password or parts.fragment)
        is_line = url.isprintable() and " " not in url
        is_whole = not url or bool(parts.host and parts.port and is_line)
    except ValueError:
        is_whole = is_odd = False
    if not is_whole:
        raise ValueError("this is not an address; give one like https://api.example.com/v1")
    if is_odd:
        raise ValueError(
            "an address must hold no user, password or #; give the key in its own field"
        )
    return url


Name = Annotated[str, StringConstraints(pattern=r"^[\p{L}\p{M}\p{N}._:/-]{1,128}$")]
"""
Of a model or a route, in letters of any script. It appears in URLs, on command lines and in tables,
so it has no spaces, controls or quotes.
"""

Params = Annotated[dict[str, Any], AfterValidator(_plain)]

Url = Annotated[str, Field(max_length=MAX_URL_CHARS), AfterValidator(_address)]

Shape = TypeVar("Shape", bound=StrictInput)


def validated(shape: type[Shape], values: Mapping[str, Any]) -> Shape:
    """
    Return the values as an instance of `shape`.

    Raises:
        SpecError: Names the wrong fields and the reasons, and repeats no value.
    """
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        problems: list[Any] = list(error.errors(include_input=False, include_url=False))[:5]
        sentences = [f"{'.'.join(map(str, p['loc'])) or 'body'}: {p['msg']}" for p in problems]
        invalid = SpecError("; ".join(sentences))
        invalid.problems = problems
        raise invalid from None
