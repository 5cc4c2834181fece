"""Images are kept as long as runs, those of every tenant."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from support.servers import Serve
from unspool.core.retention import DAY_S, RetentionRules
from unspool.errors import UnknownRecord
from unspool.formats.images import ImageBytes
from unspool.formats.tenancy import working_for
from unspool.records import Records
from unspool.records.images import ImageRow, find_images, save_images
from unspool.records.keys import add_tenant
from unspool.records.tenant_records import TenantRecords, file_of

pytestmark = pytest.mark.usefixtures("somewhere_else")


async def test_old_images_of_all_tenants_go_and_a_damaged_tenant_holds_up_no_other(
    serve_with: Serve,
) -> None:
    served = serve_with()
    place = served.settings.data_dir / "records.db"
    records = TenantRecords(await Records.open(place), place)
    rows = [await add_tenant(records.operator, name) for name in ("a", "b", "c")]
    first, damaged, last = [row.id for row in rows if row is not None]
    tenants = ("default", first, last)
    file_of(place, damaged).parent.mkdir()
    file_of(place, damaged).write_bytes(b"not a database" * 500)
    old, new = ImageBytes("image/png", b"old"), ImageBytes("image/png", b"new")
    for tenant in tenants:
        with working_for(tenant):
            await save_images(records, [old, new])
            async with records.session() as session:
                await session.execute(
                    update(ImageRow).where(ImageRow.sha256 == old.sha256).values(used_ms=5)
                )
                await session.commit()
    await served.call(lambda: served.core.retention.prune(RetentionRules(DAY_S)))
    for tenant in tenants:
        with working_for(tenant):
            assert list(await find_images(records, [new.sha256])) == [new.sha256]
            with pytest.raises(UnknownRecord):
                await find_images(records, [old.sha256])
    await records.aclose()
