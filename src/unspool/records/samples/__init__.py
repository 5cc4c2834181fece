"""
Products, behaviours and people to begin with: an invented shop for shoes and sports.

Brands, people and numbers are made up. The files are read like anybody's, so they are also
examples of what an import takes.
"""

from __future__ import annotations

from pathlib import Path

from .. import Records
from ..behaviors import count_behaviors
from ..importing import import_csv
from ..products import count_products

HERE = Path(__file__).parent


async def seed_samples(records: Records) -> bool:
    """Fill an empty database; return whether it was empty. Anything in it leaves it as it is."""
    if await count_products(records) or await count_behaviors(records):
        return False
    await import_csv(records, "products", HERE / "products.csv")
    await import_csv(records, "behaviors", HERE / "behaviors.csv")
    await import_csv(records, "people", HERE / "people.csv")
    return True
