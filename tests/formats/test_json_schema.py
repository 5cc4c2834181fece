"""Arguments that a model has made up, held against a schema: nothing of them breaks anything."""

from __future__ import annotations

from typing import Any

import pytest

from support.models import deep
from unspool.formats.json_schema import misfits


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (deep(200), "levels"),
        (float("nan"), "null"),
        (10**400, "x"),
        ("\ud800", "cannot be checked"),
    ],
    ids=["deep", "nan", "huge", "half"],
)
def test_whatever_arguments_there_are_it_is_told_that_they_do_not_fit(
    value: Any, word: str
) -> None:
    number = {"type": "integer", "maximum": 9}
    (told, *_) = misfits({"properties": {"x": number}}, {"x": value})
    assert word in told


def test_a_schema_that_is_none_fits_nothing() -> None:
    assert "not a JSON Schema" in misfits({"type": "objekt"}, {})[0]
