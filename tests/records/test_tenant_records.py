"""The records of many tenants: few are open at once, and none is closed in use."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from unspool.formats.tenancy import working_for
from unspool.records import Records
from unspool.records.presets import list_presets, save_preset
from unspool.records.tenant_records import MAX_OPEN, TenantRecords, file_of

pytestmark = pytest.mark.timeout(60)

TENANTS = [f"tenant{number:03d}" for number in range(MAX_OPEN + 8)]


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[TenantRecords]:
    """Those of more tenants than stay open; their files are copies, which is quicker."""
    place = tmp_path / "records.db"
    await (await Records.open(place)).aclose()
    file_of(place, "x").parent.mkdir()
    for tenant in TENANTS:
        shutil.copy(place, file_of(place, tenant))
    opened = TenantRecords(await Records.open(place), place)
    yield opened
    await opened.aclose()


def is_open(records: TenantRecords, tenant: str) -> bool:
    return tenant in records._open


async def write(records: TenantRecords, tenant: str) -> None:
    with working_for(tenant):
        await save_preset(records, {"name": tenant, "prompt": tenant})


async def test_more_tenants_than_stay_open_all_read_and_write_their_own(
    records: TenantRecords,
) -> None:
    for tenant in TENANTS:
        await write(records, tenant)
    assert [is_open(records, tenant) for tenant in TENANTS[:9]] == [False] * 8 + [True]
    for tenant in reversed(TENANTS):
        with working_for(tenant):
            assert [row.name for row in await list_presets(records)] == [tenant]
    assert len(records._open) == MAX_OPEN


async def test_records_in_use_stay_open_until_their_session_ends(records: TenantRecords) -> None:
    first, *others = TENANTS
    with working_for(first):
        async with records.session():
            for tenant in others:
                await write(records, tenant)
            assert is_open(records, first)
    await write(records, others[0])
    assert is_open(records, first), "it was used last but one"


async def test_all_tenants_at_work_at_once_are_served_and_then_closed(
    records: TenantRecords,
) -> None:
    ready = asyncio.Barrier(len(TENANTS))

    async def work(tenant: str) -> None:
        with working_for(tenant):
            async with records.session():
                await ready.wait()

    await asyncio.gather(*map(work, TENANTS))
    assert len(records._open) == MAX_OPEN


async def test_a_file_that_is_opened_again_has_another_version(records: TenantRecords) -> None:
    seen = set()
    for _ in range(2):
        with working_for(TENANTS[0]):
            seen.add(await records.version())
        for tenant in TENANTS[1:]:
            with working_for(tenant):
                async with records.session():
                    pass
    assert len(seen) == 2
