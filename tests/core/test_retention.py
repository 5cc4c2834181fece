"""What is kept, how long, and a copy of it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from support.patience import within
from support.readers import look, post
from support.runs import until_ended
from support.servers import Serve, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool import Draft, Journal, RunSpec, open_journal
from unspool.cli import app
from unspool.cli.prune import parse_age, parse_size
from unspool.core.backup import back_up
from unspool.core.retention import DAY_S, Pruning, RetentionRules
from unspool.errors import KeyTaken, SetupError, SpecError, UnknownRun
from unspool.journals import Claim, Tuning, sqlite_url

pytestmark = pytest.mark.usefixtures("somewhere_else")

NOW_S = 1_800_000_000.0
TEXT = "今天推荐这双鞋。" * 200


async def at(path: Path, now_s: float) -> Journal:
    """The journal at `path`, at some moment."""
    return await open_journal(sqlite_url(path), Tuning(clock=lambda: now_s))


async def ended(journal: Journal, text: str = TEXT, *, key: str = "", parent: str = "") -> str:
    claim = Claim(key, "asked") if key else None
    pen = await journal.create(RunSpec("chat", {"prompt": "你好"}, parent=parent or None), claim)
    pen.append(Draft("text.delta", {"step": "answer", "text": text}))
    await pen.end(Draft("run.completed"))
    return pen.run_id


async def of_ages(path: Path, *days: float) -> list[str]:
    """One run for each age, oldest first, and a newest one."""
    runs = []
    for age in (*days, 0.0):
        journal = await at(path, NOW_S - age * DAY_S)
        runs.append(await ended(journal))
        await journal.aclose()
    return runs


async def there(journal: Journal, runs: list[str]) -> list[bool]:
    known = {head.run_id for head in await journal.heads(limit=500)}
    return [run_id in known for run_id in runs]


def cli(*args: str) -> Result:
    return CliRunner().invoke(app, args)


# Rules


async def test_what_ended_too_long_ago_goes_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    runs = await of_ages(path, 40, 31, 29)
    journal = await at(path, NOW_S)
    done = await Pruning(journal).apply(RetentionRules(max_age_s=30 * DAY_S), now_s=NOW_S)
    assert done.runs == 2
    assert done.bytes > 2 * len(TEXT.encode())
    assert await there(journal, runs) == [False, False, True, True]
    await journal.aclose()


async def test_of_too_much_the_oldest_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    runs = await of_ages(path, 9, 8, 7, 6, 5)
    journal = await at(path, NOW_S)
    limit = await journal.used_bytes() - int(1.5 * len(TEXT.encode()))
    await Pruning(journal).apply(RetentionRules(max_bytes=limit), now_s=NOW_S)
    assert await journal.used_bytes() <= limit
    assert await there(journal, runs) == [False, False, True, True, True, True]
    await journal.aclose()


async def test_of_many_small_runs_no_more_go_than_must(tmp_path: Path) -> None:
    journal = await at(tmp_path / "journal.db", NOW_S)
    runs = await asyncio.gather(*(ended(journal, "今天") for _ in range(400)))
    limit = await journal.used_bytes() // 2
    counted = await Pruning(journal, is_dry=True).apply(
        RetentionRules(max_bytes=limit), now_s=NOW_S
    )
    done = await Pruning(journal).apply(RetentionRules(max_bytes=limit), now_s=NOW_S)
    assert 0.7 * limit < await journal.used_bytes() <= limit
    assert 100 < done.runs < 350, "pages of 4 KiB are coarse for runs this small"
    assert 100 < counted.runs < 350
    left = await there(journal, runs)
    assert left == sorted(left), "the oldest went first"
    await journal.aclose()


async def test_a_dry_run_counts_what_would_go_and_deletes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    runs = await of_ages(path, 40, 31, 20)
    journal = await at(path, NOW_S)
    for rules in (
        RetentionRules(30 * DAY_S),
        RetentionRules(max_bytes=0),
        RetentionRules(30 * DAY_S, 0),
    ):
        counted = await Pruning(journal, is_dry=True).apply(rules, now_s=NOW_S)
        assert all(await there(journal, runs))
        assert counted.runs == (3 if rules.max_bytes == 0 else 2)
    assert (await Pruning(journal).apply(RetentionRules(30 * DAY_S, 0), now_s=NOW_S)).runs == 3
    await journal.aclose()


async def test_a_run_that_goes_on_stays_however_old_and_whatever_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = await at(path, NOW_S - 400 * DAY_S)
    live = await journal.create(RunSpec("chat", {"prompt": "你好"}))
    await ended(journal)
    await ended(journal)
    assert await journal.forget([live.run_id, "unknown"]) == 0
    await Pruning(journal).apply(RetentionRules(1.0, 0), now_s=NOW_S)
    assert (await journal.head(live.run_id)).status == "running"
    live.append(Draft("text.delta", {"step": "answer", "text": "今天"}))
    await live.end(Draft("run.completed"))
    assert len(await journal.read(live.run_id, after=0)) == 3
    await journal.aclose()


async def test_what_is_spared_stays(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    runs = await of_ages(path, 9, 8, 7)
    journal = await at(path, NOW_S)
    done = await Pruning(journal, spare=lambda run_id: run_id == runs[1]).apply(
        RetentionRules(DAY_S), now_s=NOW_S
    )
    assert done.runs == 2
    assert await there(journal, runs) == [False, True, False, True]
    await journal.aclose()


async def test_children_go_with_their_parent_and_keep_it_while_they_go_on(tmp_path: Path) -> None:
    journal = await at(tmp_path / "journal.db", NOW_S)
    parent = await ended(journal)
    children = [await ended(journal, parent=parent) for _ in range(3)]
    other = await journal.create(RunSpec("chat", {"prompt": "你好"}, parent=parent))
    await ended(journal)
    assert await journal.oldest() == []
    assert await journal.forget([parent]) == 0
    await other.end(Draft("run.completed"))
    (kept,) = await journal.oldest()
    assert kept.run_id == parent
    assert kept.bytes > 4 * len(TEXT.encode())
    assert await journal.forget([parent]) == 5
    assert not any(await there(journal, [parent, *children, other.run_id]))
    await journal.aclose()


async def test_the_key_of_a_deleted_run_is_free_again(tmp_path: Path) -> None:
    journal = await at(tmp_path / "journal.db", NOW_S)
    run_id = await ended(journal, key="order-1")
    await ended(journal)
    with pytest.raises(KeyTaken):
        await ended(journal, key="order-1")
    await journal.forget([run_id])
    assert await ended(journal, key="order-1") != run_id
    await journal.aclose()


async def test_a_number_is_given_once_even_when_its_run_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    runs = await of_ages(path, 3, 2)
    journal = await at(path, NOW_S)
    assert await journal.forget(runs) == 2, "the newest stays"
    await journal.aclose()
    again = await at(path, NOW_S)
    pen = await again.create(RunSpec("chat", {"prompt": "你好"}))
    await again.aclose()
    last = await at(path, NOW_S)
    assert list(await last.unended()) == [pen.run_id]
    assert [event.type for event in await last.read(pen.run_id, after=0)] == ["run.started"]
    await last.aclose()


# Room


def megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


async def emptied(path: Path) -> Journal:
    """A journal of which most is free."""
    journal = await at(path, NOW_S)
    text = TEXT * 20
    runs = [await ended(journal, text) for _ in range(60)]
    await journal.forget(runs)
    return journal


async def test_room_is_given_back_piece_by_piece_while_runs_are_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = await emptied(path)
    used = await journal.used_bytes()
    steps = 0
    while await journal.give_back():
        await ended(journal, "今天")
        steps += 1
    assert steps > 3
    await journal.aclose()
    assert megabytes(path) < 1.5 * used / 1e6 + 0.5
    assert sqlite3.connect(path).execute("pragma integrity_check").fetchone() == ("ok",)


async def test_a_file_of_the_first_versions_reuses_its_room_and_is_rebuilt_at_rest(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    db = sqlite3.connect(path)
    db.execute("pragma auto_vacuum=none")
    db.execute("create table early (x)")  # fixes how the file is kept
    db.commit()
    db.close()
    journal = await emptied(path)
    assert await journal.give_back() is False
    before = await journal.used_bytes()
    await ended(journal, TEXT * 20)
    assert await journal.used_bytes() > before
    await journal.aclose()
    full = megabytes(path)
    journal = await at(path, NOW_S)
    assert await journal.give_back(at_rest=True) is False
    await journal.aclose()
    assert megabytes(path) < full / 5


# A server


async def test_a_server_keeps_what_its_settings_say_and_forgets_the_rest(
    serve_with: Serve, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    journal = await at(data / "journal.db", time.time() - 3 * DAY_S)
    old = await ended(journal)
    await journal.aclose()
    journal = await at(data / "journal.db", time.time())
    young = await ended(journal)
    await ended(journal)
    await journal.aclose()
    served = serve_with(keep_days=2.0)
    async with within(5):
        while (await client.get(f"{served.url}/v1/runs/{old}")).status_code == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    gone = await client.get(f"{served.url}/v1/runs/{old}/events", headers={"Last-Event-ID": "2"})
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "unknown_run")
    assert (await client.get(f"{served.url}/v1/runs/{young}")).status_code == 200


async def test_the_command_asks_the_server_that_has_the_directory_and_else_does_it_itself(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    data = str(served.settings.data_dir)
    for _ in range(3):
        await post(client, served.url + "/ai/stream", {"prompt": "你好"})
    words = ("prune", "--older-than", "0s", "--data-dir", data, "--url", served.url, "--json")
    dry = await asyncio.to_thread(cli, *words, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert json.loads(dry.stdout)["runs"] == 2
    done = await asyncio.to_thread(cli, *words)
    assert json.loads(done.stdout)["runs"] == 2
    served.stop()
    none = await asyncio.to_thread(cli, "prune", "--max-size", "0", "--data-dir", data)
    assert none.stdout.startswith("Deleted 0 runs"), "the newest stays"


def test_the_command_wants_to_know_what_is_too_old(tmp_path: Path) -> None:
    result = cli("prune", "--data-dir", str(tmp_path))
    assert result.exit_code == 2
    assert "--older-than 30d" in result.stderr


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("12h", 43_200), ("1.5d", 129_600)])
def test_an_age_is_read(text: str, seconds: float) -> None:
    assert parse_age(text) == seconds


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("500MB", 500_000_000), ("2 GiB", 2**31)])
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "30", "d", "-3d", "3 months", "1e9d"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="is not an age like"):
        parse_age(text)


# A copy


async def test_a_copy_made_while_a_run_goes_on_is_served_and_the_run_goes_on_in_it(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    upstream.play = [answer("你好"), [chunk("今天推荐"), SILENCE], answer("今天推荐这双鞋")]
    served = serve_model()
    whole = await post(client, served.url + "/ai/stream", {"prompt": "一"})
    live = await post(client, served.url + "/ai/stream", {"prompt": "二"}, frames=1)
    copy = tmp_path / "copy"
    result = await asyncio.to_thread(
        cli, "backup", str(copy), "--data-dir", str(served.settings.data_dir)
    )
    assert result.exit_code == 0, result.output
    assert sorted(file.name for file in copy.iterdir()) == ["journal.db", "records.db"]
    again = serve_model(data_dir=copy)
    run = await until_ended(client, again, live.run_id)
    assert (run["status"], run["text"]) == ("completed", "今天推荐这双鞋")
    events = await look(client, f"{again.url}/v1/runs/{whole.run_id}/events")
    assert events.seen.raw == whole.seen.raw
    origin = (await client.get(f"{served.url}/v1/runs/{live.run_id}")).json()
    assert origin["status"] == "running"


async def test_the_key_is_copied_only_where_that_is_said(tmp_path: Path) -> None:
    data = tmp_path / "data"
    await of_ages(data / "journal.db")
    (data / "secret.key").write_bytes(b"k")
    (data / "secret.key").chmod(0o600)
    back_up(data, tmp_path / "without")
    assert not (tmp_path / "without" / "secret.key").exists()
    back_up(data, tmp_path / "with", with_key=True)
    assert (tmp_path / "with" / "secret.key").stat().st_mode & 0o777 == 0o600


async def test_a_copy_is_made_into_an_empty_directory_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    await of_ages(data / "journal.db")
    back_up(data, tmp_path / "copy")
    with pytest.raises(SetupError, match="is not empty"):
        back_up(data, tmp_path / "copy")
    with pytest.raises(SetupError, match=r"no journal\.db"):
        back_up(tmp_path / "nothing", tmp_path / "other")


async def test_a_run_that_is_gone_is_unknown_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    old, *_ = await of_ages(path, 9)
    journal = await at(path, NOW_S)
    await journal.forget([old])
    with pytest.raises(UnknownRun):
        await journal.head(old)
    with pytest.raises(UnknownRun):
        await journal.read(old, after=0)
    await journal.aclose()
