"""The command line over a PostgreSQL database."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from support.journals import DONE, SPEC, text
from support.postgres import PostgresServer, pooled, shared_server
from support.readers import look, post
from support.runs import until_ended
from support.servers import ServeModel, clean_env
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool import open_journal
from unspool.cli import _database_checks, app
from unspool.records import Records

pytestmark = pytest.mark.usefixtures("somewhere_else")


def cli(*args: str, url: str = "") -> Result:
    env = {"UNSPOOL_DATABASE_URL": url, "UNSPOOL_PORT": "0", "COLUMNS": "200"}
    return CliRunner().invoke(app, args, env=env)


async def a_run(url: str) -> str:
    journal = await open_journal(url)
    try:
        pen = await journal.create(SPEC)
        pen.append(text("好"))
        await pen.end(DONE)
    finally:
        await journal.aclose()
    return pen.run_id


def test_models_and_rows_go_into_the_database_that_others_read(tmp_path: Path) -> None:
    url = shared_server().new_database()
    added = cli("models", "add", "mine", "--no-key", "--base-url", "http://127.0.0.1:9/v1", url=url)
    assert added.exit_code == 0, added.output
    assert "mine is model" in added.stdout
    assert "of the PostgreSQL database test_" in added.stdout
    file = tmp_path / "shoes.csv"
    file.write_text("sku,name,price\nA1,跑鞋,299\n", encoding="utf-8")
    assert cli("import", "products", str(file), url=url).exit_code == 0
    query = "select m.name || p.name from models m, products p where m.name = 'mine'"
    assert shared_server().query(query, url) == "mine跑鞋"
    assert "mine" in cli("models", "list", url=url).stdout
    answered = cli("chat", "hello", "--model", "offline", "--max-tokens", "3", url=url)
    assert answered.exit_code == 0, answered.output
    assert not list(tmp_path.rglob("*.db"))


def test_runs_are_read_and_deleted_in_the_database() -> None:
    url = shared_server().new_database()
    run_id = asyncio.run(a_run(url))
    log = cli("runs", "export", run_id, url=url).stdout.splitlines()
    assert [json.loads(line)["type"] for line in log] == [
        *("run.started", "text.delta", "run.completed")
    ]
    assert cli("runs", "export", "nope", url=url).exit_code == 2
    rules = ("prune", "--older-than", "0s", "--json")
    assert json.loads(cli(*rules, "--dry-run", url=url).stdout)["runs"] == 1
    assert json.loads(cli(*rules, url=url).stdout)["runs"] == 1
    assert json.loads(cli(*rules, url=url).stdout)["runs"] == 0
    assert cli("runs", "export", run_id, url=url).exit_code == 2


def test_a_database_and_a_directory_with_runs_are_one_store_too_many(tmp_path: Path) -> None:
    url = shared_server().new_database()
    (tmp_path / "journal.db").touch()
    for args in (("prune", "--older-than", "1d"), ("backup", "b"), ("runs", "export", "r")):
        refused = cli(*args, "--data-dir", str(tmp_path), url=url)
        assert refused.exit_code == 2
        assert "There are two stores" in refused.stderr
    # Of a directory that the user has not named, the default one, the database takes the place.
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "journal.db").touch()
    assert cli("prune", "--older-than", "1d", url=url).exit_code == 0


BAD = {
    "mysql://me:secret@host/db": "UNSPOOL_DATABASE_URL is wrong",
    "postgresql://me:secret@[host/db": "UNSPOOL_DATABASE_URL is wrong",
    "me:secret@host/db": "UNSPOOL_DATABASE_URL is wrong",
    "postgresql://me:secret": "cannot be understood",
    "postgresql://me:a/secret@host/db": "cannot be understood",
    "postgresql://me:a#secret@host/db": "cannot be understood",
    "postgresql://me:secret@127.0.0.1:x/db": "cannot be understood",
    "postgresql://me:secret@127.0.0.1:1/db": "does not answer",
    "postgresql://unspool:secret@127.0.0.1:{port}/absent": "does not exist",
    "postgresql://nobody:secret@127.0.0.1:{port}/postgres": "refuses the user or the password",
}


@pytest.mark.parametrize("bad", BAD)
def test_a_database_that_cannot_be_used_is_told_in_one_sentence(bad: str, tmp_path: Path) -> None:
    url = bad.format(port=shared_server().port)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "journal.db").touch()
    for args in (
        ("prune", "--older-than", "1d"),
        ("runs", "export", "run"),
        ("models", "list"),
        ("backup", "copy"),
        ("migrate", "--data-dir", "old"),
    ):
        result = cli(*args, url=url)
        assert result.exit_code == 2, (args, result.output, result.exception)
        assert len(result.stderr.splitlines()) == 1, (args, result.stderr)
        assert BAD[bad] in result.stderr
        assert "secret" not in result.output.replace("secret.key", "")
    found = cli("doctor", url=url)
    assert found.exit_code == 1
    assert BAD[bad] in found.stdout
    assert "secret" not in found.output


def test_a_server_does_not_start_without_its_database() -> None:
    env = clean_env(UNSPOOL_DATABASE_URL=shared_server().url("absent"))
    command = [sys.executable, "-m", "unspool", "serve", "--port", "0"]
    result = subprocess.run(command, env=env, capture_output=True, timeout=15, check=False)
    assert (result.returncode, result.stdout) == (2, b"")
    (line,) = result.stderr.decode().splitlines()
    assert "does not exist" in line


# Moving


def test_a_directory_is_migrated_and_a_backup_of_the_database_too(tmp_path: Path) -> None:
    assert cli("migrate").exit_code == 2
    directory, url = tmp_path / "old", shared_server().new_database()
    asyncio.run(a_run(f"sqlite://{directory / 'journal.db'}"))
    (directory / "secret.key").write_text("a key\n")
    moved = cli("migrate", "--data-dir", str(directory), url=url)
    assert moved.exit_code == 0, moved.output
    assert "Copied and compared: 1 runs, 0 rows of records." in moved.stdout
    assert "secret.key as UNSPOOL_SECRET_KEY" in moved.stderr
    assert "a key" not in moved.output
    again = cli("migrate", url, "--data-dir", str(directory))
    assert again.exit_code == 2
    assert "has runs already" in again.stderr
    saved = cli("backup", "copy", url=url)
    assert saved.exit_code == 0, saved.output
    assert "unspool migrate --data-dir copy" in saved.stderr
    assert not (tmp_path / "copy" / "secret.key").exists()
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "secret.key").write_text("a key\n")
    assert cli("backup", "--with-key", "whole", url=url).exit_code == 0
    assert (tmp_path / "whole" / "secret.key").read_text() == "a key\n"
    other = shared_server().new_database()
    counts = json.loads(cli("migrate", other, "--data-dir", "copy", "--json").stdout)
    assert counts == {"runs": 1, "unended": 0, "rows": 0}


async def test_a_restored_database_is_served_and_its_live_runs_go_on(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    upstream.play = [answer("你好"), [chunk("今天推荐"), SILENCE], answer("今天推荐这双鞋")]
    url, restored = shared_server().new_database(), shared_server().new_database()
    served = serve_model(database_url=SecretStr(url), data_dir=tmp_path / "one")
    whole = await post(client, served.url + "/ai/stream", {"prompt": "一"})
    live = await post(client, served.url + "/ai/stream", {"prompt": "二"}, frames=1)
    saved = await asyncio.to_thread(cli, "backup", "copy", url=url)
    assert saved.exit_code == 0, saved.output
    moved = await asyncio.to_thread(cli, "migrate", restored, "--data-dir", "copy")
    assert moved.exit_code == 0, moved.output
    assert "2 runs (1 unended)" in moved.stdout
    key = SecretStr((tmp_path / "one" / "secret.key").read_text())
    again = serve_model(database_url=SecretStr(restored), data_dir=tmp_path / "two", secret_key=key)
    run = await until_ended(client, again, live.run_id)
    assert (run["status"], run["text"]) == ("completed", "今天推荐这双鞋")
    events = await look(client, f"{again.url}/v1/runs/{whole.run_id}/events")
    assert events.seen.raw == whole.seen.raw


# Doctor


async def found(url: str) -> dict[str, _database_checks.Check]:
    return {check.name: check async for check in _database_checks.database(url)}


async def test_doctor_finds_a_database_sound_and_tells_its_servers_and_runs() -> None:
    url = shared_server().new_database()
    checks = await found(url)
    assert {name for name, check in checks.items() if check.state != "ok"} == {"runs"}
    await (await Records.open(url)).aclose()
    journal = await open_journal(url)
    await journal.create(SPEC)
    checks = await found(url)
    assert {check.state for check in checks.values()} == {"ok"}
    assert "1 of version" in checks["servers"].what
    assert "1 runs, 1 live" in checks["runs"].what
    lease = "insert into journal.leases (writer, backend, version) values (99, 1, '0.0.1')"
    shared_server().query(lease, url)
    assert "1 of version 0.0.1, 1 of" in (await found(url))["servers"].what
    await journal.aclose()


@pytest.mark.parametrize(
    ("setting", "name", "words"),
    [
        ("set synchronous_commit = off", "commits", "a crash takes events"),
        ("set default_transaction_read_only = on", "writing", "standby, or read-only"),
        ("connection limit 9", "room", "9 connections"),
    ],
)
async def test_doctor_finds_settings_that_cost_data_or_servers(
    setting: str, name: str, words: str
) -> None:
    url = shared_server().new_database()
    shared_server().query(f"alter database {url.rpartition('/')[2]} {setting}")
    checks = await found(url)
    assert checks[name].state == "broken"
    assert words in checks[name].what
    assert checks[name].advice
    assert {check.name for check in checks.values() if check.state == "broken"} == {name}


async def test_doctor_finds_a_user_without_rights_and_a_wrong_encoding() -> None:
    url = shared_server().new_database()
    database = url.rpartition("/")[2]
    shared_server().query(f"create role {database} login")
    checks = await found(url.replace("unspool@", f"{database}@"))
    assert "may not create" in checks["writing"].what
    shared_server().query(
        f"create database {database}_l encoding latin1 locale 'C' template template0"
    )
    assert (await found(f"{url}_l"))["encoding"].state == "broken"


async def test_doctor_finds_a_clock_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 60)
    clock = (await found(shared_server().new_database()))["clock"]
    assert clock.state == "broken"
    assert "60.0" in clock.what
    assert "ahead of" in clock.what


@pytest.mark.parametrize("is_honest", [True, False])
async def test_doctor_finds_a_pooler(is_honest: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_database_checks, "MESSAGE_S", 0.2)
    async with pooled(shared_server().new_database(), is_honest=is_honest) as url:
        messages = (await found(url))["messages"]
    assert messages.state == "broken"
    assert "a connection pooler in transaction mode" in messages.what


async def test_a_standby_gives_a_backup_and_takes_no_server(tmp_path: Path) -> None:
    first = PostgresServer()
    try:
        url = first.new_database()
        run_id = await a_run(url)
        await (await Records.open(url)).aclose()
        standby = PostgresServer(copied_from=url)
        try:
            other = standby.url(url.rpartition("/")[2])
            saved = await asyncio.to_thread(cli, "backup", "copy", url=other)
            assert saved.exit_code == 0, saved.output
            log = await asyncio.to_thread(cli, "runs", "export", run_id, "--data-dir", "copy")
            assert len(log.stdout.splitlines()) == 3
            writing = (await found(other))["writing"]
            assert (writing.state, writing.advice) == ("broken", "name the primary server")
        finally:
            standby.close()
    finally:
        first.close()
