"""
What people write down, in a file, over the API or on the command line: shapes with bounds.

An error never repeats the value that was wrong: it may be a key.
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
"""Parameters of one model as JSON. A grammar may take a few thousand."""

MAX_DEPTH: Final = 16
"""Of objects and arrays within parameters: a JSON Schema has fewer."""


class StrictInput(BaseModel):
    """What people write: nothing unknown, no number that is none."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    """Refuse what JSON cannot say, and too much of what it can."""
    plain_json(params, levels=MAX_DEPTH, chars=MAX_PARAMS_CHARS)
    return params


def _address(url: str) -> str:
    """Refuse an address that holds a secret: addresses are shown."""
    try:
        # As whoever connects will read it, which is not how everybody does.
        parts = URL(url)
        is_odd = bool(parts.user or parts.password or parts.fragment)
        is_line = url.isprintable() and " " not in url
        is_whole = not url or bool(parts.host and parts.port and is_line)
    except ValueError:
        is_whole = is_odd = False
    if not is_whole:
        raise ValueError("is not an address; give one like https://api.example.com/v1")
    if is_odd:
        raise ValueError("an address has no user, password or #; a key is given as the key")
    return url


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/-]{1,128}$")]
"""Of a model or a route: it stands in URLs, on command lines and in tables as it is."""

Params = Annotated[dict[str, Any], AfterValidator(_plain)]

Url = Annotated[str, Field(max_length=MAX_URL_CHARS), AfterValidator(_address)]

Shape = TypeVar("Shape", bound=StrictInput)


def validated(shape: type[Shape], values: Mapping[str, Any]) -> Shape:
    """
    Raises:
        SpecError: Which fields are wrong and why, without what was sent.
    """
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        problems: list[Any] = list(error.errors(include_input=False, include_url=False))[:5]
        facts = [f"{'.'.join(map(str, p['loc'])) or 'body'}: {p['msg']}" for p in problems]
        raise SpecError("; ".join(facts)) from None
