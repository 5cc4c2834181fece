"""What `unspool doctor` says of the webhook and the traces."""

from __future__ import annotations

import json
from importlib import util
from typing import Any

import pytest
from typer.testing import CliRunner

from unspool.cli import app
from unspool.core.telemetry import traces

SECRET = "whsec_" + "QUJD" * 10
HOOK = "https://hooks.test/canary"

pytestmark = pytest.mark.usefixtures("somewhere_else")


def findings(**env: str) -> dict[str, Any]:
    """Doctor's findings by name, without a server."""
    result = CliRunner().invoke(app, ["doctor", "--json"], env={"UNSPOOL_PORT": "0", **env})
    assert "canary" not in result.output
    assert SECRET not in result.output
    return {each["name"]: each for each in json.loads(result.stdout)}


@pytest.mark.parametrize(
    ("env", "state", "words"),
    [
        ({"UNSPOOL_WEBHOOK_SECRET": SECRET}, "ok", "signed, to hooks.test"),
        ({}, "broken", "UNSPOOL_WEBHOOK_SECRET"),
        ({"UNSPOOL_WEBHOOK_SECRET": "whsec_QQ=="}, "broken", "UNSPOOL_WEBHOOK_SECRET"),
    ],
)
def test_a_webhook_is_checked(env: dict[str, str], state: str, words: str) -> None:
    found = findings(UNSPOOL_WEBHOOK_URL=HOOK, **env)["webhook"]
    assert (found["state"], words in found["what"]) == (state, True)


def test_a_webhook_at_a_private_address_is_refused_where_models_are() -> None:
    env = {"UNSPOOL_WEBHOOK_URL": "http://10.0.0.1/canary", "UNSPOOL_WEBHOOK_SECRET": SECRET}
    assert findings(**env)["webhook"]["state"] == "ok"
    refused = findings(**env, UNSPOOL_ALLOW_PRIVATE_UPSTREAMS="false")["webhook"]
    assert refused["state"] == "broken"


def test_traces_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not {"webhook", "traces"} & findings().keys()
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.test:4318"}
    assert findings(**env)["traces"]["what"] == "to collector.test"
    real = util.find_spec
    monkeypatch.setattr(
        traces, "find_spec", lambda name: None if name.startswith("opentelemetry") else real(name)
    )
    assert findings(**env)["traces"]["advice"] == "pip install 'unspool[otel]'"
