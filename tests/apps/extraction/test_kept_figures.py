"""Figures are kept for one tenant: the same question of another one is computed from its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unspool.apps.extraction.kept_figures import KeptFigures
from unspool.formats.tenancy import working_for
from unspool.records import Records
from unspool.records.tenant_records import TenantRecords


async def test_the_figures_of_one_tenant_are_never_the_answer_to_another(tmp_path: Path) -> None:
    place = tmp_path / "records.db"
    records = TenantRecords(await Records.open(place), place)
    kept = KeptFigures(records)
    asked = []

    async def answer_for(tenant: str) -> dict[str, Any]:
        async def compute() -> dict[str, Any]:
            asked.append(tenant)
            return {"of": tenant}

        with working_for(tenant):
            return await kept.of("the same question", compute)

    for tenant in ("one", "one", "other", "one"):
        assert await answer_for(tenant) == {"of": tenant}
    assert asked == ["one", "other", "one"], "asked again by the same one, it is kept"
    await records.aclose()
