"""
Sample data to start with: products, people and behaviours of an invented sports shop; tools that
a model may call, and presets.

Brands, people and numbers are made up. The importer reads the tables like any others, so they
are examples for an import too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .. import Records
from ..behaviors import count_behaviors
from ..csv_import.importing import import_csv
from ..presets import save_preset
from ..products import count_products
from ..tools import save_tool

HERE = Path(__file__).parent


async def seed_samples(records: Records) -> bool:
    """Fill an empty database, and return whether it was empty; leave any other unchanged."""
    async with records.turn("samples"):
        if await count_products(records) or await count_behaviors(records):
            return False
        await import_csv(records, "products", HERE / "products.csv")
        await import_csv(records, "behaviors", HERE / "behaviors.csv")
        await import_csv(records, "people", HERE / "people.csv")
        for preset in _listed("presets"):
            await save_preset(records, preset)
        for tool in _listed("tools"):
            await save_tool(records, {"sealed_headers": "", "limit_s": 30.0, **tool})
        return True


def _listed(name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return entries
