"""Messages that wait move with their conversation, and begin where they have come."""

from __future__ import annotations

from pathlib import Path

import httpx
from pydantic import SecretStr

from support.postgres import shared_server
from support.servers import ServeModel
from support.talks import Talk
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool.core.backup import back_up
from unspool.core.moving import migrate

SECRET = SecretStr("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")


async def test_messages_move_into_a_database_and_begin_there(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    upstream.play = [[chunk("一"), SILENCE]]
    here = serve_model(data_dir=tmp_path / "here", sample_data=False, secret_key=SECRET)
    talk = await Talk.begin(client, here.url)
    await talk.send("一")
    await talk.send("二", params={"temperature": 0.5}, headers={"Unspool-User": "ann"})
    await upstream.until(lambda: upstream.open == 1)
    here.stop()
    url = shared_server().new_database()
    await migrate(tmp_path / "here", url, lambda *_: None)
    upstream.play = [answer("好")]
    place = {"database_url": SecretStr(url), "data_dir": tmp_path / "there"}
    there = serve_model(**place, sample_data=False, secret_key=SECRET)
    turns = await talk.at(there.url).rest(2)
    assert [turn["prompt"] for turn in turns] == ["一", "二"]
    (started,) = [request for request in upstream.requests if request.question == "二"]
    assert started.body["temperature"] == 0.5


async def test_a_backup_has_the_messages_that_wait(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    upstream.play = [[chunk("一"), SILENCE], answer("好")]
    here = serve_model(data_dir=tmp_path / "here", sample_data=False, secret_key=SECRET)
    talk = await Talk.begin(client, here.url)
    await talk.send("一")
    await talk.send("二")
    await upstream.until(lambda: upstream.open == 1)
    back_up(tmp_path / "here", tmp_path / "copy")
    here.stop()
    copy = serve_model(data_dir=tmp_path / "copy", sample_data=False, secret_key=SECRET)
    turns = await talk.at(copy.url).rest(2)
    assert [turn["prompt"] for turn in turns] == ["一", "二"]
