"""Secrets that are planted everywhere, and looked for in all that operators see."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.keys import made
from support.readers import until
from support.receivers import receiving
from support.servers import clean_env
from support.upstream import KEY, Upstream, answer, refusal

MARKER = "canary-in-a-prompt-5b1e"
SECRET = "whsec_" + base64.b64encode(b"canary-of-a-webhook-secret-7f").decode()
PATH = "/hook/canary-of-an-address"


@dataclass
class Program:
    """A server of its own process, all of whose log is kept."""

    process: asyncio.subprocess.Process
    url: str
    log: Path

    async def stop(self) -> str:
        """Stop it in good order; return its log."""
        self.process.terminate()
        await self.process.wait()
        return self.log.read_text()


async def serve(data_dir: Path, form: str, env: dict[str, str]) -> Program:
    log = data_dir.with_suffix(".log")
    words = ("serve", "--port", "0", "--data-dir", str(data_dir), "--no-sample-data", "--json")
    more = {"UNSPOOL_LOG_LEVEL": "DEBUG", "UNSPOOL_LOG_FORMAT": form, "UNSPOOL_ACCESS": "keys"}
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "unspool", *words),
            env=clean_env(**more, **env),
            cwd=data_dir,
            stdout=asyncio.subprocess.PIPE,
            stderr=file,
        )
    assert process.stdout is not None
    line = await process.stdout.readline()
    assert line, log.read_text()
    return Program(process, str(json.loads(line)["url"]), log)


def found(secrets: dict[str, str], where: dict[str, str]) -> list[tuple[str, str]]:
    """Which secret stands in which place."""
    return [
        (name, place)
        for name, secret in secrets.items()
        for place, text in where.items()
        if secret in text
    ]


async def errors(client: httpx.AsyncClient, url: str, secrets: dict[str, str]) -> str:
    """The answers to wrong requests that hold secrets."""
    headers = {"authorization": f"Bearer {secrets['key']}"}
    wrong = {"flow": "chat", "input": {"prompt": {"no": MARKER}}}
    replies = [
        await client.post(f"{url}/v1/runs", json=wrong, headers=headers),
        await client.post(f"{url}/v1/runs", content=f'{{"{MARKER}', headers=headers),
        await client.get(f"{url}/v1/runs?key={secrets['key']}"),
        await client.get(f"{url}/v1/runs?ticket={secrets['ticket']}x"),
        await client.get(f"{url}/v1/runs?ticket={secrets['ticket']}"),
        await client.get(f"{url}/v1/runs", headers={"x-api-key": secrets["key"] + "x"}),
        await client.get(f"{url}/v1/nothing", headers=headers),
    ]
    assert all(reply.status_code >= 400 for reply in replies)
    return "".join(f"{reply.headers}{reply.text}" for reply in replies)


async def told(client: httpx.AsyncClient, url: str, texts: dict[str, str]) -> dict[str, str]:
    """Let a server do all that it tells of; return the secrets that it met."""
    headers = {"authorization": f"Bearer {texts['admin']}"}
    body = {"flow": "chat", "model": "tested", "input": {"prompt": MARKER}}
    runs = []
    for _ in range(2):
        reply = await client.post(f"{url}/v1/runs", json=body, headers=headers)
        runs.append(str(reply.json()["id"]))
        await client.get(f"{url}/v1/runs/{runs[-1]}/events", headers=headers)
    preset = {"name": "mine", "template": MARKER, "system_prompt": MARKER}
    await client.post(f"{url}/api/presets", json=preset, headers=headers)
    asked = {"run": runs[1], "scope": "runs:read"}
    reply = await client.post(f"{url}/v1/tickets", json=asked, headers=headers)
    ticket = str(reply.json()["ticket"])
    seen = await client.get(f"{url}/v1/runs/{runs[1]}/events?ticket={ticket}")
    assert seen.status_code == 200
    where = f"{url.replace('http', 'ws')}/v1/runs/{runs[1]}/ws?ticket="
    with suppress(InvalidStatus, ConnectionClosed):
        async with websockets.connect(where + ticket) as socket:
            await socket.recv()
    with suppress(InvalidStatus):
        async with websockets.connect(where + ticket + "x"):
            pass
    return {
        "provider": KEY,
        "key": texts["admin"],
        "ticket": ticket,
        "address": PATH,
        "prompt": MARKER,
        "webhook": SECRET,
        "half": SECRET.removeprefix("whsec_"),
        "run": runs[1],
    }


@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_secret_is_in_anything_that_operators_see(
    form: str, tmp_path: Path, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [refusal(401, f"Incorrect API key provided: {KEY}"), answer("今天", MARKER)]
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    texts = await made(data_dir)
    async with receiving(PATH) as hook, receiving() as collector:
        env = {"UNSPOOL_WEBHOOK_URL": hook.url, "UNSPOOL_WEBHOOK_SECRET": SECRET}
        env |= {"LLM_API_KEY": KEY, "LLM_BASE_URL": upstream.url, "LLM_MODEL": "tested"}
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        program = await serve(data_dir, form, env)
        try:
            secrets = await told(client, program.url, texts)
            run_id = secrets.pop("run")
            answers = await errors(client, program.url, secrets)
            await until(lambda: len(hook.got) == 2)
            headers = {"authorization": f"Bearer {texts['admin']}"}
            metrics = (await client.get(f"{program.url}/metrics", headers=headers)).text
            events = (
                await client.get(f"{program.url}/v1/runs/{run_id}/events", headers=headers)
            ).text
        finally:
            log = await program.stop()
    where = {"log": log, "answers": answers, "metrics": metrics}
    where["traces"] = collector.bodies.decode("latin-1")
    where["webhooks"] = hook.bodies.decode() + str([{**h, ":path": ""} for h, _ in hook.got])
    where["outbox"] = (data_dir / "webhooks.db").read_bytes().decode("latin-1")
    assert all(where.values())
    assert run_id in log
    if form == "json":
        lines = [json.loads(line) for line in log.splitlines()]
        assert run_id in {line.get("run") for line in lines}
    assert found(secrets, where) == []
    # The log of a run has its prompt and its answer, and nothing else of these.
    assert found(secrets, {"events": events}) == [("prompt", "events")]
