"""`/api/models`: default models, names, and how the newest requests ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from support.models import add, body, client_of, refused, request_digest
from support.servers import Serve
from support.upstream import Upstream, refusal
from unspool.runs.events import Event
from unspool.runs.timeline import Timeline
from unspool.viewing.outcomes import outcomes_of

pytestmark = pytest.mark.usefixtures("somewhere_else")


# Default models


async def test_a_default_model_is_chosen_for_all_flows_or_for_one_and_stays_after_a_restart(
    serve_with: Serve, upstream: Upstream, tmp_path: Path
) -> None:
    served = serve_with(data_dir=tmp_path / "kept")
    async with client_of(served.url) as api:
        await add(api, body(upstream))
        assert (await api.get("/api/models")).json()["default"] == "m"
        chosen = {"model": "offline", "flows": {"copywriting": "m"}}
        facts = (await api.patch("/api/models/defaults", json=chosen)).json()
        assert (facts["default"], facts["chosen"]) == ("offline", "offline")
        assert facts["default_for_flows"]["copywriting"] == "m"
        assert facts["default_for_flows"]["chat"] == "offline"
        run = await request_digest(api, "")
        assert run["attempts"][0]["model"] == "offline"
        # A model that is gone is not the default of anything.
        assert (await api.delete("/api/models/2")).status_code == 204
        facts = (await api.get("/api/models")).json()
        assert facts["default_for_flows"]["copywriting"] == "offline"
    served.stop()
    served = serve_with(data_dir=tmp_path / "kept")
    async with client_of(served.url) as api:
        assert (await api.get("/api/models")).json()["chosen"] == "offline"
        withdrawn = await api.patch("/api/models/defaults", json={"model": None})
        assert withdrawn.json()["chosen"] is None


@pytest.mark.parametrize(
    "choice",
    [
        {"model": "nobody"},
        {"flows": {"nothing": "offline"}},
        {"flows": {"chat": "nobody"}},
        {"x": 1},
    ],
)
async def test_a_default_that_cannot_be_is_refused(
    refusing: httpx.AsyncClient, choice: dict[str, Any]
) -> None:
    answer = await refusing.patch("/api/models/defaults", json=choice)
    assert answer.status_code in {404, 422}, answer.text


async def test_a_model_and_a_route_may_have_a_name_in_any_script(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    await add(api, body(upstream, name="通义千问"))
    route = {"name": "最好的", "strategy": "ordered", "models": [{"model": "通义千问"}]}
    added = await api.post("/api/routes", json=route)
    assert added.status_code == 201, added.text
    assert added.headers["location"].isascii()
    read = await api.get(added.headers["location"])
    assert read.json()["name"] == "最好的"
    for wrong in ("两 词", "a\nb", 'a"b', "名" * 129, ""):
        await refused(await api.post("/api/models", json=body(upstream, name=wrong)))


# How the newest requests ended


async def test_a_model_that_fails_is_shown_as_failing_after_a_restart_too(
    serve_with: Serve, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play = [refusal(500)]
    served = serve_with(data_dir=tmp_path / "kept", retries=0)
    async with client_of(served.url) as api:
        await add(api, body(upstream))
        for number in range(4):
            asked = {"input": {"prompt": str(number)}}
            run = await api.post("/v1/runs", json=asked, headers={"Accept": "text/event-stream"})
            assert "run.failed" in run.text
    served.stop()
    served = serve_with(data_dir=tmp_path / "kept")
    async with client_of(served.url) as api:
        _, model = (await api.get("/api/models")).json()["models"]
        assert model["recent"] == {
            "requests": 4,
            "failures": 4,
            "failures_in_row": 4,
            "cause": "server",
        }


def test_requests_that_we_closed_ourselves_are_no_failures_of_a_model() -> None:
    timeline = Timeline()
    for number, code in enumerate(["cancelled", "timeout", "cancelled"], start=1):
        about = {"step": "answer", "number": number}
        asked = {**about, "model": "m", "strategy": "first"}
        timeline.apply(Event(2 * number - 1, "attempt.started", 0, asked))
        timeline.apply(Event(2 * number, "attempt.failed", 0, {**about, "code": code}))
    (found,) = outcomes_of([timeline]).values()
    assert (found.requests, found.failures, found.cause) == (1, 1, "timeout")
