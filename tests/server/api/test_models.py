"""`/api/models`: registering, changing and trying models, and what is refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from support.models import END, KEY, add, body, client_of, deep, refused, request_digest
from support.servers import Serve, Served, Tune
from support.upstream import RESET, Upstream, answer, refusal
from unspool import open_core
from unspool.errors import SpecError
from unspool.models.definitions import ModelInput
from unspool.models.health import Health
from unspool.models.registry import ModelRegistry
from unspool.providers.upstream.http import open_http
from unspool.records import Records

pytestmark = pytest.mark.usefixtures("somewhere_else")


# What is there


async def test_a_fresh_start_has_the_built_in_model_as_number_one(api: httpx.AsyncClient) -> None:
    found = (await api.get("/api/models")).json()
    assert found["default"] == "offline"
    (model,) = found["models"]
    assert (model["id"], model["name"], model["source"]) == (1, "offline", "built_in")
    assert (model["has_key"], model["key_end"], model["is_default"]) == (False, None, True)


async def test_the_model_of_the_environment_is_number_one_and_keeps_its_number(
    tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbers(registry: ModelRegistry) -> dict[str, int]:
        return {entry.name: entry.id for entry in registry.catalog.entries()}

    monkeypatch.setenv("MISTRAL_API_KEY", KEY)
    given = {"llm_api_key": KEY, "llm_base_url": "http://127.0.0.1:1/v1", "llm_model": "z"}
    async with open_core(tune(**given)) as core:
        first = numbers(core.registry)
    assert first == {"z": 1, "mistral": 2, "offline": 3}
    async with open_core(tune()) as core:
        assert numbers(core.registry) == {"mistral": 2, "offline": 3}
        assert core.catalog.default == "mistral"
    async with open_core(tune(**given)) as core:
        assert numbers(core.registry) == first
        assert core.catalog.default == "z"


# Registering


async def test_a_registered_model_is_asked_at_once_and_adding_it_connects_to_nothing(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    model = await add(api, body(upstream, upstream_name="m-1", params={"temperature": 0.5}))
    assert (model["id"], model["source"], model["is_default"]) == (2, "database", True)
    assert upstream.requests == []
    facts = await request_digest(api, "m")
    assert facts["text"] == "你好"
    (asked,) = upstream.requests
    assert asked.body["model"] == "m-1"
    assert asked.body["temperature"] == 0.5
    assert asked.headers["authorization"] == f"Bearer {KEY}"


async def test_a_key_is_told_of_by_its_last_characters_at_most(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    model = await add(api, body(upstream))
    assert (model["has_key"], model["key_end"]) == (True, END)
    short = await add(api, body(upstream, name="n", api_key="short-key"))
    assert (short["has_key"], short["key_end"]) == (True, None)


async def test_a_model_is_changed_field_by_field_and_removed(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    before = await add(api, body(upstream, limits={"idle_s": 3}, params={"seed": 1}))
    path = f"/api/models/{before['id']}"
    changed = (await api.patch(path, json={"params": {"seed": 2}, "prefill": "assistant"})).json()
    assert (changed["params"], changed["prefill"], changed["goes_on"]) == (
        {"seed": 2},
        "assistant",
        "assistant",
    )
    assert (changed["limits"]["idle_s"], changed["has_key"]) == (3, True)
    assert changed == (await api.get(path)).json()
    assert (await request_digest(api, "m"))["text"] == "你好"
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"

    keyless = (await api.patch(path, json={"api_key": None})).json()
    assert keyless["has_key"] is False
    assert (await api.delete(path)).status_code == 204
    await refused(await api.get(path), "no model with the number", status=404)
    await refused(await api.delete(path), status=404)
    again = await add(api, body(upstream))
    assert again["id"] > before["id"], "a number is never given twice"


async def test_a_model_that_is_switched_off_is_kept_and_not_asked(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    model = await add(api, body(upstream, is_active=False))
    await refused(await api.post("/v1/runs", json={"model": "m"}), "switched off")
    tried = (await api.post(f"/api/models/{model['id']}/test")).json()
    assert tried["ok"], "trying it comes before switching it on"
    await api.patch(f"/api/models/{model['id']}", json={"is_active": True})
    assert (await request_digest(api, "m"))["status"] == "completed"


async def test_a_key_is_not_sent_to_another_place_than_it_was_given_for(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    model = await add(api, body(upstream))
    path = f"/api/models/{model['id']}"
    elsewhere = "http://127.0.0.1:9/v1"
    await refused(await api.patch(path, json={"base_url": elsewhere}), "send `api_key` too")
    await refused(await api.patch(path, json={"provider": "ollama"}), "send `api_key` too")
    assert (await api.get(path)).json() == model
    moved = await api.patch(path, json={"base_url": elsewhere, "api_key": KEY})
    assert moved.json()["base_url"] == elsewhere
    same = await api.patch(path, json={"base_url": f"{elsewhere}/chat/completions"})
    assert same.status_code == 200, "another path of the same place"
    nowhere = {"base_url": "", "provider": "scripted", "api_key": KEY}
    assert (await api.patch(path, json=nowhere)).json()["base_url"] == ""
    assert (await api.patch(path, json={"prefill": "none"})).status_code == 200
    await refused(await api.patch(path, json={"base_url": elsewhere}), "send `api_key` too")


async def test_two_who_change_different_fields_at_once_both_do(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    path = f"/api/models/{(await add(api, body(upstream)))['id']}"
    changes: list[dict[str, Any]] = [{"prefill": "prefix"}, {"params": {"seed": 4}}]
    changes += [{"limits": {"idle_s": 9}}, {"quirks": ["no_stream_options"]}]
    await asyncio.gather(*(api.patch(path, json=change) for change in changes))
    facts = (await api.get(path)).json()
    assert (facts["prefill"], facts["params"], facts["quirks"], facts["limits"]["idle_s"]) == (
        "prefix",
        {"seed": 4},
        ["no_stream_options"],
        9,
    )


async def test_of_many_who_register_one_name_one_does(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    answers = await asyncio.gather(
        *(api.post("/api/models", json=body(upstream)) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + 7 * [422]
    await refused(await api.post("/api/models", json=body(upstream)), "registered already")


async def test_two_programs_that_write_at_once_do_not_lose_each_others_models(
    tune: Tune, upstream: Upstream
) -> None:
    settings = tune()
    async with open_core(settings) as core, open_http() as http:
        records = await Records.open(settings.data_dir / "records.db")
        other = await ModelRegistry.open(settings, records, http, Health())
        said = [ModelInput.model_validate(body(upstream, name=f"m{n}")) for n in range(12)]
        await asyncio.gather(
            *((core.registry, other)[place % 2].add(each) for place, each in enumerate(said))
        )
        with pytest.raises(SpecError, match="registered already"):
            await other.add(said[0])
        await other.add(ModelInput.model_validate(body(upstream, name="last")))
        await records.aclose()
    async with open_core(settings) as core:
        names = {entry.name for entry in core.catalog.entries()}
        assert names == {"offline", "last", *(f"m{n}" for n in range(12))}
        assert {e.model.api_key for e in core.catalog.entries()} == {"", KEY}


async def test_a_registered_model_hides_the_one_of_the_environment_until_it_is_removed(
    serve_with: Serve, upstream: Upstream
) -> None:
    given = {"llm_api_key": "k", "llm_base_url": "http://127.0.0.1:1/v1", "llm_model": "m"}
    served = serve_with(**given)
    async with client_of(served.url) as api:
        await refused(
            await api.patch("/api/models/1", json={"prefill": "none"}),
            "comes from the environment: change it there",
        )
        await refused(await api.delete("/api/models/1"), "comes from the environment")
        hiding = await add(api, body(upstream))
        assert (hiding["id"], hiding["source"], hiding["is_default"]) == (1, "database", True)
        assert (await request_digest(api, ""))["text"] == "你好"
        assert (await api.delete("/api/models/1")).status_code == 204
        under = (await api.get("/api/models/1")).json()
        assert (under["source"], under["base_url"]) == ("environment", "http://127.0.0.1:1/v1")


# What is refused

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": ({"modle": "x"}, "modle"),
    "an unknown provider": ({"provider": "opnai"}, "have: anthropic"),
    "a name with a space": ({"name": "two words"}, "name"),
    "a name with a line end": ({"name": "m\n"}, "name"),
    "no name": ({"name": ""}, "name"),
    "a long name": ({"name": "m" * 129}, "name"),
    "the built-in model": ({"name": "offline"}, "built-in"),
    "no address": ({"base_url": ""}, "its address is missing"),
    "metadata": ({"base_url": "http://169.254.169.254/latest"}, "the address of m"),
    "a file": ({"base_url": "file:///etc/passwd"}, "not an address"),
    "another scheme": ({"base_url": "ftp://127.0.0.1/"}, "the address of m"),
    "a password": ({"base_url": "http://user:secret@h/"}, "no user, password"),
    "half an address": ({"base_url": "http://[::1"}, "not an address"),
    "an address that is none": ({"base_url": "http://h:99999/"}, "not an address"),
    "an address in two lines": ({"base_url": "http://h/\nX-Evil: 1"}, "not an address"),
    "an address with a space": ({"base_url": "http://h /"}, "not an address"),
    "an address without a host": ({"base_url": "http:///v1"}, "not an address"),
    "an address without a scheme": ({"base_url": "api.example.com/v1"}, "not an address"),
    "a name that is no text": ({"upstream_name": "\ud800"}, "upstream_name"),
    "an address that is no text": ({"base_url": "http://h/\ud800"}, "base_url"),
    "a long address": ({"base_url": "http://h/" + "x" * 3000}, "base_url"),
    "deep parameters": ({"params": {"a": deep(40)}}, "levels"),
    "large parameters": ({"params": {"a": "x" * 20_000}}, "characters"),
    "half a surrogate": ({"params": {"a": "\ud800"}}, "is not JSON"),
    "a limit of nothing": ({"limits": {"idle_s": 0}}, "limits.idle_s"),
    "an endless limit": ({"limits": {"idle_s": 1e300}}, "limits.idle_s"),
    "a negative price": ({"prices": {"prompt": -1, "completion": 1}}, "prices.prompt"),
    "many quirks": ({"quirks": ["no_stream_options"] * 5000}, "quirks"),
    "an unknown prefill": ({"prefill": "maybe"}, "have: none, assistant"),
    "a key of two words": ({"api_key": f"{KEY} {KEY}"}, "one word"),
    "a key with a line end": ({"api_key": f"{KEY}\nX-Evil: 1"}, "one word"),
    "a long key": ({"api_key": "k" * 5000}, "api_key"),
    "no key for a public address": (
        {"base_url": "https://api.example.com/v1", "api_key": ""},
        "the key of m is missing",
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_registration_is_refused_with_what_would_be_right(
    refusing: httpx.AsyncClient, case: str
) -> None:
    change, words = WRONG[case]
    raw = json.dumps({**body("http://127.0.0.1:9/v1"), **change})
    headers = {"content-type": "application/json"}
    await refused(await refusing.post("/api/models", content=raw, headers=headers), words)
    assert len((await refusing.get("/api/models")).json()["models"]) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b'{"name": "m", "provider": "ollama", "params": {"a": NaN}}',
        b'{"name": "m", "provider": "ollama", "params": {"a": 1e999}}',
        b'{"name": "m", "provider": "ollama", "limits": {"idle_s": Infinity}}',
        b'{"name": "m", "params": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b'{"name": "m", "params": {"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
        b"[]",
        b"null",
        b'"' + KEY.encode(),
        b"\xff",
    ],
    ids=range(9),
)
async def test_hostile_bodies_are_refused_in_our_words(
    refusing: httpx.AsyncClient, raw: bytes
) -> None:
    headers = {"content-type": "application/json"}
    for method, path in (("POST", "/api/models"), ("PATCH", "/api/models/1")):
        response = await refusing.request(method, path, content=raw, headers=headers)
        assert 400 <= response.status_code < 500
        assert set(response.json()["error"]) == {"code", "message"}
        assert KEY not in response.text
    assert (await refusing.get("/healthz")).status_code == 200


@pytest.mark.parametrize("number", ["0", "-1", "99", "9" * 18, "9" * 19, "9" * 400, "x", "1.5"])
async def test_a_number_that_no_model_has_is_refused(
    refusing: httpx.AsyncClient, number: str
) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        content = b"{}" if method == "PATCH" else None
        response = await refusing.request(method, f"/api/models/{number}", content=content)
        assert response.status_code in {404, 422}
        assert response.json()["error"]["message"]


@pytest.mark.parametrize(
    "change", [{"name": "n"}, {"modle": 1}, {"id": 7}, {"params": {"a": deep(40)}}]
)
async def test_a_wrong_change_is_refused_and_changes_nothing(
    api: httpx.AsyncClient, upstream: Upstream, change: dict[str, Any]
) -> None:
    before = await add(api, body(upstream))
    path = f"/api/models/{before['id']}"
    await refused(await api.patch(path, json={**change, "prefill": "prefix"}))
    assert (await api.get(path)).json() == before


async def test_private_addresses_are_refused_where_the_setting_says_so(serve_with: Serve) -> None:
    served = serve_with(allow_private_upstreams=False)
    async with client_of(served.url) as api:
        for url in ("http://127.0.0.1:1/v1", "http://10.0.0.1/v1"):
            await refused(await api.post("/api/models", json=body(url)), "the address of m")


async def test_a_local_model_needs_no_key(api: httpx.AsyncClient) -> None:
    for place, url in enumerate(("http://127.0.0.1:1/v1", "http://10.1.2.3/v1", "http://gpu:1/v1")):
        model = await add(api, {"name": f"m{place}", "base_url": url})
        assert model["has_key"] is False
    ollama = await add(api, {"name": "o", "provider": "ollama"})
    assert ollama["base_url"] == "http://127.0.0.1:11434"


# Trying


async def test_trying_a_model_asks_one_small_question(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    model = await add(api, body(upstream))
    tried = (await api.post(f"/api/models/{model['id']}/test")).json()
    assert (tried["ok"], tried["text"], tried["error"]) == (True, "你好", None)
    assert tried["usage"] == {"prompt_tokens": 10, "completion_tokens": 20, "basis": "measured"}
    assert 0 <= tried["first_token_ms"] <= tried["total_ms"]
    (asked,) = upstream.requests
    assert asked.body["max_tokens"] == 16


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (refusal(401, f"bad key {KEY}"), "auth"),
        (refusal(429), "rate_limit"),
        ([RESET], "connection"),
    ],
)
async def test_a_model_that_fails_says_how_without_its_key(
    api: httpx.AsyncClient, upstream: Upstream, script: Any, code: str
) -> None:
    upstream.play = [script]
    model = await add(api, body(upstream))
    response = await api.post(f"/api/models/{model['id']}/test")
    assert response.status_code == 200
    assert (response.json()["ok"], response.json()["error"]["code"]) == (False, code)
    assert KEY not in response.text
    assert len(upstream.requests) == 1, "no retries: somebody waits"


async def test_a_model_that_was_mended_need_not_wait_until_it_has_rested(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    upstream.play = [refusal(401), answer("好")]
    model = await add(api, body(upstream))
    path = f"/api/models/{model['id']}"
    assert (await request_digest(api, "m"))["status"] == "failed"
    assert (await api.get(path)).json()["health"]["is_resting"] is True
    await api.post(f"{path}/test")
    assert (await api.get(path)).json()["health"]["is_resting"] is False


async def test_a_model_that_cannot_be_asked_is_removed_like_any_other(
    server: Served, client: httpx.AsyncClient
) -> None:
    facts = {"name": "tired", "provider": "scripted", "params": {"script": []}, "is_active": False}
    made = await client.post(f"{server.url}/api/models", json=facts)
    assert made.status_code == 201, made.text
    assert (await client.delete(f"{server.url}/api/models/{made.json()['id']}")).status_code == 204
