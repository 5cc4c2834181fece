"""Webhooks: signed, at least once, never in the way of a run."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from support.readers import until
from support.receivers import Receiver, receiving
from support.runs import left_behind, start, until_ended
from support.servers import Serve, Served, Tune, clean_env
from unspool import Settings, open_core
from unspool.core.telemetry import outbox as outboxes
from unspool.core.telemetry import webhooks
from unspool.core.telemetry.outbox import Outbox
from unspool.errors import SetupError

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
CHAT = {"flow": "chat", "input": {"prompt": "a prompt of canary"}}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving("/hook/secret-path") as made:
        yield made


def read(receiver: Receiver) -> list[dict[str, Any]]:
    """Check the signatures of all messages and return them."""
    return [Webhook(SECRET).verify(body, headers) for headers, body in receiver.got]


def ids(receiver: Receiver) -> list[str]:
    return [headers["webhook-id"] for headers, _ in receiver.got]


def hooked(receiver: Receiver) -> dict[str, str]:
    return {"webhook_url": receiver.url, "webhook_secret": SECRET}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tries, with less waiting between them."""
    monkeypatch.setattr(webhooks, "FIRST_WAIT_S", 0.01)


async def test_the_ending_of_a_run_is_told_signed_and_without_its_text(
    serve_with: Serve, quick_model: None, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    served = serve_with(**hooked(receiver))
    run_id = await start(client, served, CHAT)
    await until_ended(client, served, run_id)
    await until(lambda: len(receiver.got) == 1)
    (message,) = read(receiver)
    assert message["type"] == "run.completed"
    data = message["data"]
    assert (data["run"], data["flow"], data["tenant"]) == (run_id, "chat", "default")
    assert data["completion_tokens"] > 0
    assert ids(receiver) == [f"run_{run_id}"]
    assert "canary" not in str(receiver.got)
    headers, body = receiver.got[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"default", b"another"), headers)


async def test_a_receiver_that_fails_is_asked_again_with_the_same_id(
    serve_with: Serve,
    quick_model: None,
    client: httpx.AsyncClient,
    receiver: Receiver,
    impatient: None,
) -> None:
    receiver.statuses = [500, 302, 404]
    served = serve_with(**hooked(receiver))
    await until_ended(client, served, await start(client, served, CHAT))
    await until(lambda: len(receiver.got) == 4)
    assert len(set(ids(receiver))) == 1
    await until(lambda: served.core.webhooks.waiting == 0)
    text = (await client.get(f"{served.url}/metrics")).text
    assert 'unspool_webhooks_total{outcome="failed",worker="0"} 3.0' in text
    assert 'unspool_webhooks_total{outcome="delivered",worker="0"} 1.0' in text


async def test_a_message_that_was_not_delivered_is_sent_after_the_next_start(
    tune: Tune, quick_model: None, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.statuses = [503] * 9
    served = Served(tune(**hooked(receiver))).start()
    run_id = await start(client, served, CHAT)
    await until_ended(client, served, run_id)
    await until(lambda: bool(receiver.got))
    await asyncio.to_thread(served.stop)
    receiver.statuses = []
    with closing(sqlite3.connect(served.settings.data_dir / "webhooks.db")) as db, db:
        db.execute("update messages set due_ms = 0")
    receiver.got.clear()
    served = Served(served.settings).start()
    await until(lambda: served.core.webhooks.waiting == 0)
    await asyncio.to_thread(served.stop)
    assert ids(receiver) == [f"run_{run_id}"]


async def test_an_ending_that_nobody_heard_of_is_told_after_the_next_start(
    tune: Tune, quick_model: None, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    settings = tune(**hooked(receiver))
    served = Served(settings).start()
    told = await start(client, served, CHAT)
    untold = await start(client, served, CHAT)
    for run_id in (told, untold):
        await until_ended(client, served, run_id)
    await until(lambda: len(receiver.got) == 2)
    await asyncio.to_thread(served.stop)
    with closing(sqlite3.connect(settings.data_dir / "webhooks.db")) as db, db:
        db.execute("delete from messages where id = ?", (f"run_{untold}",))
    receiver.got.clear()
    served = Served(settings).start()
    await until(lambda: bool(receiver.got))
    await served.call(served.core.telemetry.settled)
    await until(lambda: served.core.webhooks.waiting == 0)
    await asyncio.to_thread(served.stop)
    assert ids(receiver) == [f"run_{untold}"]


@pytest.mark.slow
async def test_an_ending_is_told_though_the_server_was_killed_right_after_it(
    tune: Tune, quick_model: None, client: httpx.AsyncClient, receiver: Receiver, tmp_path: Path
) -> None:
    settings = tune(**hooked(receiver))
    settings.data_dir.mkdir(exist_ok=True)
    env = {"UNSPOOL_WEBHOOK_URL": receiver.url, "UNSPOOL_WEBHOOK_SECRET": SECRET}
    words = ("serve", "--port", "0", "--data-dir", str(settings.data_dir), "--json")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "unspool", *words),
        env=clean_env(UNSPOOL_CRASH_AT="runner.ended:1", **env),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        url = json.loads(await process.stdout.readline())["url"]
        run_id = (await client.post(f"{url}/v1/runs", json=CHAT)).json()["id"]
        assert await process.wait() in {-9, 137}
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    assert receiver.got == []
    served = Served(settings).start()
    await until(lambda: bool(receiver.got))
    await asyncio.to_thread(served.stop)
    assert ids(receiver) == [f"run_{run_id}"]


async def test_a_run_that_ends_as_it_is_taken_over_is_told_too(
    tune: Tune, quick_model: None, receiver: Receiver
) -> None:
    settings = tune(**hooked(receiver))
    served = Served(settings).start()
    await asyncio.to_thread(served.stop)
    run_id = await left_behind(served, deaths=6)
    served = Served(settings).start()
    await until(lambda: bool(receiver.got))
    await asyncio.to_thread(served.stop)
    (message,) = read(receiver)
    assert (message["type"], message["data"]["run"]) == ("run.incomplete", run_id)


async def test_other_parts_send_messages_of_their_own(
    settings: Settings, tune: Tune, receiver: Receiver
) -> None:
    async with open_core(settings) as core:
        core.webhooks.send("budget.threshold", {"tenant": "default"})  # nobody wants it
    async with open_core(tune(**hooked(receiver))) as core:
        core.webhooks.send("budget.threshold", {"tenant": "default"}, id="b1")
        core.webhooks.send("budget.threshold", {"tenant": "default"}, id="b1")
        await until(lambda: core.webhooks.waiting == 0)
    assert ids(receiver) == ["b1"]
    assert read(receiver)[0]["data"] == {"tenant": "default"}


async def test_a_private_address_is_refused_where_models_at_one_are(
    tune: Tune, receiver: Receiver, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_core(tune(**hooked(receiver), allow_private_upstreams=False)) as core:
        core.webhooks.send("budget.threshold", {})
        await until(lambda: any("Webhook " in line for line in caplog.messages))
    assert receiver.got == []
    assert "secret-path" not in caplog.text


@pytest.mark.parametrize(
    ("url", "secret", "words"),
    [
        ("https://example.com/", None, "UNSPOOL_WEBHOOK_SECRET"),
        ("https://example.com/", "whsec_c2hvcnQ=", "UNSPOOL_WEBHOOK_SECRET"),
        ("https://example.com/", "not base64: äöü", "UNSPOOL_WEBHOOK_SECRET"),
        ("ftp://example.com/", SECRET, "UNSPOOL_WEBHOOK_URL"),
        ("https://[", SECRET, "UNSPOOL_WEBHOOK_URL"),
    ],
)
async def test_a_wrong_setting_is_told_at_the_start(
    tune: Tune, url: str, secret: str | None, words: str
) -> None:
    with pytest.raises(SetupError, match=words) as told:
        async with open_core(tune(webhook_url=url, webhook_secret=secret)):
            pass
    assert secret is None or secret not in str(told.value)


def test_an_outbox_takes_no_more_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outboxes, "MOST", 2)
    monkeypatch.setattr(outboxes, "KEPT", 1)
    outbox = Outbox(tmp_path / "o.db")
    assert outbox.was_closed
    assert [outbox.add(f"m{n}", "{}") for n in range(3)] == [True, True, False]
    while outbox.waiting:
        message, _ = outbox.next()
        assert message is not None
        outbox.done(message)
    assert outbox.next() == (None, 3600.0)
    assert [outbox.has(f"m{n}") for n in range(3)].count(True) == 1
    outbox._db.close()  # it dies
    assert not Outbox(tmp_path / "o.db").was_closed


async def test_without_an_address_old_messages_are_forgotten(
    tune: Tune, receiver: Receiver
) -> None:
    receiver.statuses = [503] * 9
    settings = tune(**hooked(receiver))
    async with open_core(settings) as core:
        core.webhooks.send("budget.threshold", json.loads("{}"))
    assert (settings.data_dir / "webhooks.db").exists()
    async with open_core(tune()) as core:
        assert not core.webhooks.is_on
    assert not (settings.data_dir / "webhooks.db").exists()
