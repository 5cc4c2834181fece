"""The dashboard, the alerts and the unit of `deploy/`, read by the programs they are for."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from support.documents import DOCS, ROOT
from support.runs import start, until_ended
from support.servers import Serve
from unspool.cli import app
from unspool.core.telemetry.webhooks import Webhooks

DEPLOY = ROOT / "deploy"
ALERTS, UNIT = DEPLOY / "alerts.yaml", DEPLOY / "unspool.service"
DASHBOARD = DEPLOY / "grafana-dashboard.json"
PAGES = [DOCS / "telemetry.md", DOCS / "telemetry.zh-CN.md"]
CHAT = {"flow": "chat", "input": {"prompt": "请介绍运动鞋"}}


def needs(program: str) -> pytest.MarkDecorator:
    is_missing = shutil.which(program) is None
    return pytest.mark.skipif(is_missing, reason=f"{program} is not installed")


def expressions() -> list[str]:
    """Every query of the dashboard and the alerts, as Prometheus gets it."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    of_panels = [target["expr"] for panel in panels for target in panel["targets"]]
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    of_alerts = [rule["expr"] for group in groups for rule in group["rules"]]
    assert len(of_panels) > 10
    assert len(of_alerts) > 5
    return [
        expr.replace("$__rate_interval", "1m").replace("$job", ".*")
        for expr in of_panels + of_alerts
    ]


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\bunspool_[a-z_]+", text))


async def families(client: httpx.AsyncClient, url: str) -> dict[str, str]:
    """The metrics of a server that has done nothing yet, and their kinds."""
    text = (await client.get(f"{url}/metrics")).text
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))


async def test_what_is_named_exists(
    serve_with: Serve, quick_model: None, client: httpx.AsyncClient
) -> None:
    known = await families(client, serve_with().url)
    ends = ("", "_bucket", "_sum", "_count")
    there = {f"{name}{end}" for name, kind in known.items() for end in ends if kind == "histogram"}
    there |= known.keys()
    asked = set().union(*map(names_in, expressions()))
    assert len(asked) > 12
    assert asked - there == set()
    for page in PAGES:
        rows = re.findall(r"^\| `(unspool_[a-z_]+)` \| (\w+)", page.read_text(), re.M)
        assert dict(rows) == known, page.name


def test_both_pages_tell_the_types_of_webhooks() -> None:
    for page in PAGES:
        types = re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", page.read_text(), re.M)
        endings = ["run.completed", "run.failed", "run.cancelled", "run.incomplete"]
        assert types == [*endings, "budget.threshold"]
    assert Webhooks.send.__doc__


@needs("promtool")
def test_the_alerts_are_rules_of_prometheus() -> None:
    command = ["promtool", "check", "rules", str(ALERTS)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs("systemd-analyze")
def test_the_unit_is_one_of_systemd_and_closed(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/unspool/bin/unspool", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (checked.returncode, UNIT.name in checked.stderr) == (0, False), checked.stderr
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout[-300:]


def test_the_unit_starts_a_command_that_there_is() -> None:
    (line,) = re.findall(r"^ExecStart=\S+/unspool (\S+)$", UNIT.read_text(), re.M)
    assert line in {command.name or command.callback.__name__ for command in commands()}


def commands() -> list[Any]:
    return [command for command in app.registered_commands if command.callback]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.slow
@needs("prometheus")
@pytest.mark.timeout(60)
async def test_prometheus_reads_a_server_and_understands_every_query(
    serve_with: Serve, quick_model: None, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    served = serve_with()
    await until_ended(client, served, await start(client, served, CHAT))
    await served.call(served.core.telemetry.settled)
    target = {"targets": [f"127.0.0.1:{served.port}"]}
    config = {
        "global": {"scrape_interval": "200ms", "evaluation_interval": "200ms"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{"job_name": "unspool", "static_configs": [target]}],
    }
    file, port = tmp_path / "prometheus.yml", free_port()
    file.write_text(yaml.safe_dump(config))
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stderr=asyncio.subprocess.DEVNULL,
    )
    api = f"http://127.0.0.1:{port}/api/v1"

    async def query(expr: str) -> dict[str, Any]:
        return dict((await client.get(f"{api}/query", params={"query": expr})).json())

    async def until_true(expr: str) -> None:
        result: list[Any] = []
        while not result:
            with suppress(httpx.HTTPError, KeyError):  # it is not up yet
                result = (await query(expr))["data"]["result"]
            await asyncio.sleep(0.1)

    try:
        async with asyncio.timeout(45):
            await until_true('unspool_runs_total{flow="chat",status="completed"} == 1')
            answers = {expr: (await query(expr))["status"] for expr in expressions()}
            await until_true('up{job="unspool"} == 1')
            groups = (await client.get(f"{api}/rules")).json()["data"]["groups"]
            while any(rule["health"] == "unknown" for g in groups for rule in g["rules"]):
                await asyncio.sleep(0.1)
                groups = (await client.get(f"{api}/rules")).json()["data"]["groups"]
    finally:
        process.terminate()
        await process.wait()
    assert set(answers.values()) == {"success"}, answers
    assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
