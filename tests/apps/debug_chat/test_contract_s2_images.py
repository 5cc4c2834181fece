"""S2.1, `images`: pictures beside a question, and what becomes of them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from support.debug_chat import CHAT, frames, made
from support.images import EACH, GIF, PNG, data_url, digest
from support.models import refused
from support.runs import until_ended
from support.servers import Desk, Serve, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool.records.images import forget_images

SHOWN = {"type": "image_url", "image_url": {"url": data_url()}}
TEXT = {"type": "text", "text": "这是什么？"}
STORED = {"sha256": digest(), "type": "image/png", "bytes": len(PNG)}


def asked(model: int, *images: Any, **more: Any) -> dict[str, Any]:
    return {"model_id": model, "prompt": "这是什么？", "images": list(images), **more}


async def test_s2_1_an_image_reaches_the_model_and_the_log_names_it_by_its_digest(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [answer("一个点")]
    response = await client.post(desk.url + CHAT, json=asked(desk.model_id, data_url()))
    assert response.json()["output"] == "一个点"
    assert upstream.requests[-1].body["messages"][-1]["content"] == [SHOWN, TEXT]
    run_id = response.headers["x-run-id"]
    log = (
        await client.get(f"{desk.url}/v1/runs/{run_id}/events", params={"dialect": "native"})
    ).text
    assert digest() in log
    assert "base64" not in log
    image = await client.get(f"{desk.url}/api/images/{digest()}")
    assert (image.content, image.headers["content-type"]) == (PNG, "image/png")
    assert "sandbox" in image.headers["content-security-policy"]
    assert image.headers["x-content-type-options"] == "nosniff"


async def test_s2_1_a_stored_image_is_named_by_its_digest_and_later_turns_have_it_too(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [answer("一个点"), answer("还是它"), answer("又是它")]
    number = (await made(client, desk, "conversations", {}))["id"]
    first = asked(desk.model_id, data_url(), conversation_id=number)
    assert (await client.post(desk.url + CHAT, json=first)).status_code == 200
    again = asked(desk.model_id, {"sha256": digest()}, conversation_id=number)
    assert (await client.post(desk.url + CHAT, json=again)).status_code == 200
    messages = upstream.requests[-1].body["messages"]
    assert [it["content"] for it in messages if it["role"] == "user"] == [[SHOWN, TEXT]] * 2
    turns = (await client.get(f"{desk.url}/api/conversations/{number}")).json()["last_turns"]
    assert [turn["images"] for turn in turns] == [[STORED]] * 2
    fork = await client.post(f"{desk.url}/v1/runs/{turns[0]['run']}/fork", json={"after": 0})
    await until_ended(client, desk, fork.json()["id"])
    assert upstream.requests[-1].body["messages"][-1]["content"] == [SHOWN, TEXT]


async def test_an_image_is_there_when_the_next_server_goes_on(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("一个"), SILENCE], answer("一个点")]
    served = serve_model()
    body = {"flow": "chat", "input": {"prompt": "这是什么？", "images": [data_url()]}}
    run_id = (await client.post(f"{served.url}/v1/runs", json=body)).json()["id"]
    await upstream.until(lambda: len(upstream.requests) == 1)
    served.stop()
    again = serve_model()
    run = await until_ended(client, again, run_id)
    assert run["status"] == "completed"
    assert upstream.requests[-1].body["messages"][1]["content"] == [SHOWN, TEXT]


async def test_the_largest_question_is_taken_and_not_a_longer_one(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with(max_body_bytes=20_000, max_image_body_bytes=100_000)
    large = [data_url(PNG + bytes([n]) * 30_000) for n in range(3)]
    taken = await client.post(served.url + CHAT, json=asked(1, *large[:2]))
    assert taken.status_code == 200
    assert "看不到图片" in taken.json()["output"], "the built-in model claims to see nothing"
    await refused(await client.post(served.url + CHAT, json=asked(1, *large)), status=413)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("http://127.0.0.1:9/x.png", "none is fetched"),
        ("https://example.org/x.png", "none is fetched"),
        (data_url(b"<svg/>", "image/svg+xml"), "image/png"),
        (data_url(GIF), "first bytes"),
        (data_url(b"\x89PN"), "first bytes"),
        ("data:image/png;base64,????", "base64"),
        ({"sha256": "0" * 64}, "no image with the digest"),
        ({"sha256": "../../etc"}, "sha256"),
        ({"url": "http://127.0.0.1"}, "url"),
        (7, "images"),
    ],
)
async def test_what_is_no_image_is_refused_before_anything_streams(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream, image: Any, words: str
) -> None:
    response = await client.post(desk.url + CHAT, json=asked(desk.model_id, image))
    assert response.status_code in {404, 422}
    assert words in response.json()["error"]["message"]
    assert not upstream.requests


async def test_there_are_at_most_four_images(client: httpx.AsyncClient, desk: Desk) -> None:
    five = [data_url(data, type_) for type_, data in EACH.items()] + [data_url()]
    await refused(await client.post(desk.url + CHAT, json=asked(desk.model_id, *five)), "images")


async def test_a_route_passes_over_a_model_that_takes_no_images(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [answer("看到了"), answer("读到了")]
    base = {"base_url": upstream.url, "api_key": "k"}
    blind = {"name": f"blind-{desk.model_id}", "quirks": ["no_images"], **base}
    number = (await made(client, desk, "models", blind))["id"]
    whole = asked(number, data_url())
    failed = await frames(client, desk, **whole)
    assert failed[-1]["status"] == "error"
    assert "takes no images" in failed[-1]["error"]
    assert not upstream.requests
    seeing = {"name": f"seeing-{desk.model_id}", **base}
    await made(client, desk, "models", seeing)
    route = f"eyes-{desk.model_id}"
    await client.post(
        f"{desk.url}/api/routes", json={"name": route, "models": [blind["name"], seeing["name"]]}
    )
    for images, writer in (([data_url()], seeing["name"]), ([], blind["name"])):
        body = {"flow": "chat", "model": route, "input": {"prompt": "？", "images": images}}
        run_id = (await client.post(f"{desk.url}/v1/runs", json=body)).json()["id"]
        run = await until_ended(client, desk, run_id)
        assert [it["model"] for it in run["attempts"]] == [writer]


async def test_images_go_when_no_run_of_the_journal_can_name_them(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    await client.post(served.url + CHAT, json=asked(1, data_url()))
    url = f"{served.url}/api/images/{digest()}"
    await client.post(f"{served.url}/api/prune", json={"older_than_s": 0})
    assert (await client.get(url)).status_code == 200, "used today"
    soon_ms = 10**15
    gone = await served.call(lambda: forget_images(served.core.records, before_ms=soon_ms))
    assert gone == 1
    await refused(await client.get(url), "no image with the digest", status=404)
