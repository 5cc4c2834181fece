"""What `deploy/` says: the files fit each other, and nginx does as its configuration claims."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
import yaml

from support.documents import ROOT
from support.nginx import CONFIG, PROGRAM, nginx_before
from support.servers import Serve, Served
from support.upstream import KEY, SILENCE, Upstream, chunk
from unspool import Settings
from unspool.server.worker import STOP_S

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
FILES = sorted(path for path in DEPLOY.iterdir() if path.is_file())

needs_nginx = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def kubernetes() -> dict[str, Any]:
    parts = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return {part["kind"]: part for part in parts}


# The files


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_names_only_settings_that_there_are(path: Path) -> None:
    known = {f"UNSPOOL_{name.upper()}" for name in Settings.model_fields} | {"UNSPOOL_LOG_FORMAT"}
    assert set(re.findall(r"\bUNSPOOL_[A-Z_]+", path.read_text())) <= known


def test_nginx_knows_the_servers_of_the_compose_file() -> None:
    services = compose()["services"]
    apps = {name for name, service in services.items() if service.get("image") == "unspool"}
    assert len(apps) == 3
    assert set(re.findall(r"server (\S+):8000 ", CONFIG.read_text())) == apps
    addresses = [services[app]["networks"]["inside"]["ipv4_address"] for app in apps]
    assert len(set(addresses)) == 3
    used = {volume.partition(":")[0] for app in apps for volume in services[app]["volumes"]}
    assert used | {"postgres"} == set(compose()["volumes"])


def test_every_secret_of_the_compose_file_is_in_the_example() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text()))
    given = re.findall(r"^([A-Z_]+)=", (DEPLOY / "env.example").read_text(), re.M)
    assert asked == set(given)


def test_the_parts_in_kubernetes_are_of_one_another() -> None:
    parts = kubernetes()
    pods = parts["Deployment"]["spec"]
    labels = pods["template"]["metadata"]["labels"]
    assert pods["selector"]["matchLabels"] == labels
    assert parts["Service"]["spec"]["selector"] == labels
    assert parts["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert parts["PodDisruptionBudget"]["spec"]["minAvailable"] < pods["replicas"]
    (container,) = pods["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": parts["Secret"]["metadata"]["name"]}}]
    (rule,) = parts["Ingress"]["spec"]["rules"]
    assert {"name": "UNSPOOL_ALLOWED_HOSTS", "value": rule["host"]} in container["env"]
    paths = {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness")}
    assert paths == {"/readyz"}


def test_a_server_has_time_to_end_in_good_order() -> None:
    for name, service in compose()["services"].items():
        if service.get("image") == "unspool":
            assert float(service["stop_grace_period"].rstrip("s")) > STOP_S, name
    pod = kubernetes()["Deployment"]["spec"]["template"]["spec"]
    _, pause = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > float(pause) + STOP_S


def test_the_image_is_made_of_what_its_context_has() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert all((ROOT / name).exists() for name in kept)
    project = (ROOT / "pyproject.toml").read_text()
    assert {"README.md", "LICENSE", "src", "console"} <= kept
    assert 'readme = "README.md"' in project
    copied = re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE, re.M)
    assert set(copied) - {"."} <= kept
    assert re.search(r"^USER (?!0|root)", DOCKERFILE, re.M)


# nginx


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "nginx"
    made.mkdir()
    return made


def address(served: Served) -> str:
    return f"127.0.0.1:{served.port}"


def serve_two(serve_with: Serve, tmp_path: Path, **changes: Any) -> tuple[Served, Served]:
    first, second = (serve_with(data_dir=tmp_path / name, **changes) for name in ("a", "b"))
    return first, second


@needs_nginx
@pytest.mark.slow
async def test_a_stream_comes_through_nginx_piece_by_piece(
    serve_with: Serve, tmp_path: Path, folder: Path, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天推荐"), SILENCE]]
    model = {"llm_api_key": KEY, "llm_base_url": upstream.url, "llm_model": "tested"}
    two = serve_two(serve_with, tmp_path, **model)
    asked = {"flow": "chat", "input": {"prompt": "你好"}}
    accept = {"Accept": "text/event-stream"}
    with nginx_before(folder, *map(address, two)) as url:
        async with client.stream("POST", f"{url}/v1/runs", json=asked, headers=accept) as answer:
            assert answer.status_code in {200, 201}
            # The model is silent from here on: a proxy that waits for more would wait for ever.
            async for line in answer.aiter_lines():
                if "今天推荐" in line:
                    break
            assert upstream.open == 1


@needs_nginx
@pytest.mark.slow
async def test_nginx_holds_nothing_back(folder: Path, client: httpx.AsyncClient) -> None:
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while piece := await pieces.get():
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with nginx_before(folder, address) as url:
            async with client.stream("GET", f"{url}/anything") as answered:
                coming = answered.aiter_bytes()
                for piece in (b"one", b"two", b"three"):
                    pieces.put_nowait(piece)
                    assert await anext(coming) == piece
            pieces.put_nowait(b"")


@needs_nginx
@pytest.mark.slow
async def test_a_socket_comes_through_nginx(
    serve_with: Serve, tmp_path: Path, folder: Path, client: httpx.AsyncClient
) -> None:
    server = serve_with()
    with nginx_before(folder, address(server)) as url:
        asked = {"flow": "chat", "input": {"prompt": "你好"}}
        run_id = (await client.post(f"{url}/v1/runs", json=asked)).json()["id"]
        place = f"{url.replace('http', 'ws', 1)}/v1/runs/{run_id}/ws"
        async with websockets.connect(place, origin=url, proxy=None) as sock:  # type: ignore[arg-type]
            told = [json.loads(message) async for message in sock]
    assert any("run.completed" in json.dumps(one) for one in told)


@needs_nginx
@pytest.mark.slow
async def test_a_server_that_is_gone_is_not_felt_behind_nginx(
    serve_with: Serve, tmp_path: Path, folder: Path, client: httpx.AsyncClient
) -> None:
    first, second = serve_two(serve_with, tmp_path)
    with nginx_before(folder, address(first), address(second)) as url:
        first.stop()
        asked = {"flow": "chat", "input": {"prompt": "你好"}}
        for _ in range(6):  # it never got this POST, so the other one may have it
            assert (await client.post(f"{url}/v1/runs", json=asked)).is_success
            assert (await client.get(f"{url}/readyz")).status_code == 200


@asynccontextmanager
async def deaf(heard: list[str]) -> AsyncIterator[str]:
    """A server that hears a request, and dies before it answers."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).split()[0].decode())
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@needs_nginx
@pytest.mark.slow
@pytest.mark.parametrize(("method", "times"), [("POST", 1), ("GET", 2)])
async def test_nginx_sends_again_what_may_be_asked_twice_and_no_post(
    method: str, times: int, folder: Path, client: httpx.AsyncClient
) -> None:
    heard: list[str] = []
    async with deaf(heard) as first, deaf(heard) as second:
        with nginx_before(folder, first, second) as url:
            answer = await client.request(method, f"{url}/v1/runs")
    assert answer.status_code == 502
    assert heard == [method] * times
