"""Uploads: on both shelves, and between servers that share a database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.postgres import shared_server
from support.stores import new_store
from unspool.errors import BodyTooLarge, NotReady, SpecError, UnknownRecord
from unspool.formats.tenancy import working_for
from unspool.records import Records
from unspool.records.behaviors import count_behaviors
from unspool.records.csv_import.shelves import LOST_AFTER_MS, PART_BYTES, Upload
from unspool.records.csv_import.uploads import MAX_UPLOADS, Uploads

pytestmark = pytest.mark.timeout(60)  # the first test of a worker starts PostgreSQL

HEAD = b"user_id,action,at\n"
SMALL = HEAD + b"u1,visit,1512189107\nu2,visit,never\n"
LARGE = HEAD + b"".join(b"u%d,visit,1512189107,\n"[:-2] % n + b"\n" for n in range(60_000))


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 100_000):
        yield content[at : at + 100_000]


async def opened(records: Records, folder: Path, max_bytes: int = 10_000_000) -> Uploads:
    return await Uploads.open(records, folder / "imports", max_bytes, "UTC")


@pytest.fixture
async def uploads(records: Records, tmp_path: Path) -> AsyncIterator[Uploads]:
    made = await opened(records, tmp_path, len(LARGE))
    yield made
    await made.aclose()


Servers = tuple[Uploads, Uploads]


@pytest.fixture
async def url(tmp_path: Path) -> str:
    return await new_store("postgresql", tmp_path)


@pytest.fixture
async def servers(url: str, tmp_path: Path) -> AsyncIterator[Servers]:
    records = [await Records.open(url) for _ in range(2)]
    both = [await opened(one, tmp_path / str(at)) for at, one in enumerate(records)]
    yield both[0], both[1]
    for made in (*both, *records):
        await made.aclose()


async def ended(uploads: Uploads, upload_id: str) -> Upload:
    while (upload := await uploads.find(upload_id)).status == "running":  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return upload


@pytest.mark.parametrize("forged", [".", "..", "../imports", "%2e", ""])
async def test_an_id_that_is_a_path_is_unknown_and_deletes_nothing(
    uploads: Uploads, forged: str
) -> None:
    upload = await uploads.receive("f.csv", chunks(SMALL))
    for ask in (uploads.find, uploads.remove):
        with pytest.raises(UnknownRecord):
            await ask(forged)
    assert (uploads._shelf.folder(upload.id) / "file").exists()


async def test_each_tenant_has_a_shelf_of_its_own_also_at_the_next_start(
    tmp_path: Path, records: Records
) -> None:
    if records.is_shared:
        pytest.skip("there each tenant has tables of its own")
    first = await opened(records, tmp_path)
    ours = await first.receive("ours.csv", chunks(SMALL))
    with working_for("another1"):
        theirs = await first.receive("theirs.csv", chunks(SMALL))
    for uploads in (first, await opened(records, tmp_path)):
        assert [one.id for one in await uploads.listed()] == [ours.id]
        with working_for("another1"):
            assert [one.id for one in await uploads.listed()] == [theirs.id]
            with pytest.raises(UnknownRecord):
                await uploads.find(ours.id)


async def test_a_file_is_taken_in_imported_and_removed(uploads: Uploads, records: Records) -> None:
    upload = await uploads.receive("f.csv", chunks(SMALL))
    assert (upload.bytes, upload.status) == (len(SMALL), "ready")
    assert (await uploads.look(upload))["suggested"] == ["behaviors"]
    await uploads.begin(upload.id, ["behaviors"], {}, "")
    done = await ended(uploads, upload.id)
    assert (done.status, done.rejected, done.reports["behaviors"]["added"]) == ("done", 1, 1)
    assert "u2,visit,never" in (await uploads.rejected(upload.id)).read_text(encoding="utf-8-sig")
    await uploads.remove(upload.id)
    with pytest.raises(UnknownRecord):
        await uploads.find(upload.id)
    assert await uploads.listed() == []
    assert await count_behaviors(records) == 1


async def test_nothing_stays_of_a_file_that_is_refused(uploads: Uploads) -> None:
    with pytest.raises(SpecError):
        await uploads.receive("f.csv", chunks(b"\0\0\0"))
    with pytest.raises(BodyTooLarge):
        await uploads.receive("f.csv", chunks(LARGE + b"x"))
    assert await uploads.listed() == []


async def test_the_oldest_makes_room(uploads: Uploads) -> None:
    brought = [await uploads.receive(f"{n}.csv", chunks(SMALL)) for n in range(MAX_UPLOADS + 2)]
    kept = {upload.id for upload in await uploads.listed()}
    assert len(kept) == MAX_UPLOADS
    assert brought[-1].id in kept


async def test_a_file_brought_to_one_server_is_imported_at_another(servers: Servers) -> None:
    here, there = servers
    assert len(LARGE) > PART_BYTES
    upload = await here.receive("f.csv", chunks(LARGE + b"bad\n"))
    assert [one.id for one in await there.listed()] == [upload.id]
    assert (await there.look(await there.find(upload.id)))["suggested"] == ["behaviors"]
    await there.begin(upload.id, ["behaviors"], {}, "")
    for server in servers:
        with pytest.raises(NotReady, match="another file"):
            await server.begin(upload.id, ["behaviors"], {}, "")
        with pytest.raises(NotReady, match="cancel that first"):
            await server.remove(upload.id)
    await here.cancel(upload.id)
    stopped = await ended(here, upload.id)
    assert stopped.status == "cancelled"
    assert 0 < stopped.reports["behaviors"]["added"] < 60_000
    again = await here.receive("rest.csv", chunks(HEAD + b"u1,visit,1\nbad\n"))
    await there.begin(again.id, ["behaviors"], {}, "")
    assert (await ended(here, again.id)).status == "done"
    assert (await here.rejected(again.id)).read_text(encoding="utf-8-sig").count("bad") == 1
    # A second import replaces the rejected rows of the first.
    await here.begin(again.id, ["behaviors"], {}, "")
    assert (await ended(there, again.id)).reports["behaviors"]["added"] == 0
    assert (await there.rejected(again.id)).read_text(encoding="utf-8-sig").count("bad") == 1


async def test_an_import_whose_server_died_is_interrupted_and_can_be_begun_again(
    servers: Servers, url: str
) -> None:
    here, there = servers
    upload = await here.receive("f.csv", chunks(SMALL))
    lost = f"update uploads set status = 'running', told_ms = told_ms - {LOST_AFTER_MS}"
    shared_server().query(lost, url)
    assert (await there.find(upload.id)).status == "interrupted"
    await there.begin(upload.id, ["behaviors"], {}, "")
    assert (await ended(here, upload.id)).status == "done"
