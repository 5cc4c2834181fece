"""Servers that live, in bad weather: a bad line, a locked file, a full disk, a real engine."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.engine import engine, some_words, write_model
from support.harness.ordeals import POSTS
from support.harness.proxy import ChaosProxy
from support.harness.sandbox import IS_LONG, Plan, ordeal_in, tell

pytestmark = pytest.mark.slow

LOCKED_S = 10.0 if IS_LONG else 1.0
FULL_S = 5.0 if IS_LONG else 1.0

SLOW = Plan(pause_s=0.03)
"""A run takes two seconds."""


@pytest.mark.timeout(60)
async def test_viewers_behind_a_bad_line_have_everything_once(
    tmp_path: Path, filled_records: Path
) -> None:
    async with ordeal_in(tmp_path, filled_records, "bad line") as ordeal:
        program = ordeal.program
        async with ChaosProxy(lambda: program.url, ordeal.dice) as proxy:
            assert await program.start()
            ordeal.door = proxy.url
            for _ in range(3 if IS_LONG else 1):
                ordeal.begin(2)
                await asyncio.sleep(0.4)
                program.kill()
                program.kills += 1
                assert await program.start()
            assert await ordeal.finish() == []
            assert {"cut", "reset"} <= set(proxy.done)
        tell("bad line", ordeal)


@pytest.mark.timeout(60)
async def test_a_file_that_another_program_locks_for_seconds_holds_runs_up_and_loses_nothing(
    tmp_path: Path, filled_records: Path
) -> None:
    async with ordeal_in(tmp_path, filled_records, "locked", SLOW) as ordeal:
        assert await ordeal.program.start()
        ordeal.begin(2)
        await ordeal.begun()
        await asyncio.sleep(0.3)
        path = ordeal.program.data_dir / "journal.db"
        with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as db:
            db.execute("begin immediate")
            # Whatever was on its way to be read is read; nothing more is to come.
            before = await ordeal.places()
            await asyncio.sleep(LOCKED_S)
            assert await ordeal.places() == before
            db.execute("rollback")
        assert await ordeal.finish() == []
        assert {visit.history.run["status"] for visit in ordeal.visits} == {"completed"}
        assert ordeal.program.kills == 0
        tell("locked", ordeal)


@pytest.mark.timeout(60)
async def test_a_full_disk_loses_nothing_that_was_shown_and_the_server_goes_on_by_itself(
    tmp_path: Path, filled_records: Path
) -> None:
    async with ordeal_in(tmp_path, filled_records, "full", SLOW) as ordeal:
        program = ordeal.program
        assert await program.start()
        ordeal.begin(2)
        await ordeal.begun()
        await asyncio.sleep(0.5)
        # No file of the server takes another page, as on a full disk.
        before = resource.prlimit(program.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(program.pid, resource.RLIMIT_FSIZE, (1, before[1]))
        await asyncio.sleep(FULL_S)
        asked = {"prompt": "你好"}
        async with ordeal.web.post(program.url + "/ai/stream", json=asked) as refused:
            assert refused.status == 507
        resource.prlimit(program.pid, resource.RLIMIT_FSIZE, before)
        assert await ordeal.finish() == []
        assert program.kills == 0
        ordeal.begin(1)
        assert await ordeal.finish() == []
        assert ordeal.visits[-1].history.run["status"] == "completed"
        tell("full", ordeal)


@pytest.mark.engine
@pytest.mark.timeout(120)
async def test_over_a_real_engine_killed_runs_say_what_uninterrupted_ones_say(
    tmp_path: Path, filled_records: Path
) -> None:
    words = some_words(300 if IS_LONG else 120)
    write_model(tmp_path / "model.gguf", words, layers=8 if IS_LONG else 1)
    async with (
        engine(tmp_path / "model.gguf") as url,
        ordeal_in(tmp_path, filled_records, "engine") as ordeal,
    ):
        ordeal.patience_s = 60.0  # the engine answers two at a time, on a busy machine slowly
        ordeal.speaks_through(f"{url}/v1", "".join(words))
        for _ in range(3 if IS_LONG else 1):
            for number in range(4 if IS_LONG else 2):  # the sixth would end the run
                assert await ordeal.program.start()
                if not number:
                    ordeal.begin(1)
                await asyncio.sleep(ordeal.dice.uniform(0.1, 0.5))
                ordeal.program.kill()
                ordeal.program.kills += 1
            assert await ordeal.program.start()
            assert await ordeal.finish() == []
            ordeal.program.kill()
        texts = {visit.history.run["text"] for visit in ordeal.visits}
        assert texts == {"".join(words) * POSTS}
        tell("engine", ordeal)
