"""Runs that wait for people move into a database with their open questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.journals import SPEC
from support.postgres import shared_server
from unspool import Draft, open_journal
from unspool.core.moving import migrate
from unspool.journals import sqlite_url

pytestmark = pytest.mark.usefixtures("somewhere_else")


async def test_a_run_that_waits_for_two_answers_waits_for_them_where_it_has_moved_to(
    tmp_path: Path,
) -> None:
    journal = await open_journal(sqlite_url(tmp_path / "journal.db"))
    pen = await journal.create(SPEC)
    for step in ("a", "b"):
        pen.append(Draft("question.asked", {"step": step, "text": "?", "until_ms": 1}))
    await pen.commit()
    await journal.aclose()
    url = shared_server().new_database()
    await migrate(tmp_path, url, lambda _done, _total: None)
    journal = await open_journal(url)
    try:
        assert (await journal.unended())[pen.run_id] == "waiting"
        pens = {each.run_id: each for each in await journal.adopt(10)}
        for step, status in (("a", "waiting"), ("b", "running")):
            pens[pen.run_id].append(
                Draft("question.answered", {"step": step, "outcome": "answered", "value": "x"})
            )
            await pens[pen.run_id].commit()
            assert (await journal.unended())[pen.run_id] == status
    finally:
        await journal.aclose()
