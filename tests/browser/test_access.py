"""No serious violation of accessibility on any page, in both languages and both themes."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from support.images import data_url

from .axe import violations
from .conftest import Open
from .stage import ADVICE, Stage, broken, model, whole

PAGES = (
    "/runs",
    "/runs?first=1",
    "/runs?q=晨跑&status=completed",
    "/usage?days=7&by=flow",
    "/runs/{run}",
    "/view/{run}",
    "/runs/{run}?tab=attempts",
    "/runs/{run}?tab=feedback&at=9",
    "/pages/debug.html?models=1,2,3&run={run}",
    "/debug?c={conversation}&models=1&temperature=0.5",
    "/cases",
    "/copy",
    "/copy?run={copy}",
    "/copy?batch={batch}",
    "/experiments",
    "/flows?flow=copywriting",
    "/models?model=whole",
    "/extraction",
    "/graph",
    "/graph?show=patterns",
    "/graph?show=dropOff",
    "/story",
    "/story/{story}?stage=storyboard",
    "/story/{story}?stage=camera",
    "/prompts",
    "/prompts?preset=1",
    "/tools?tool=1",
    "/tools?tool=new",
    "/data/products",
    "/data/behaviors",
    "/data/people",
    "/data/people?id=user_0007",
    "/data/import",
    "/usage",
    "/guide",
    "/keys",
    "/settings",
    "/states",
)


@pytest.fixture(scope="module")
def run(stage: Stage) -> str:
    down = [{"fail": "refused", "code": "overloaded", "message": "no"}]
    thought = [{"reasoning": "先想"}]
    stage.register(
        model("broken", {"attempts": [broken(ADVICE, 40, 500, silence_s=0), down]}),
        model("whole", whole(ADVICE, 500, first_s=0, before=thought)),
    )
    stage.route("best", "broken", "whole")
    return str(stage.wait(stage.ask("明天适合晨跑吗？", "best"))["id"])


@pytest.fixture(scope="module")
def story(stage: Stage) -> int:
    """A project whose storyboard and camera have findings, and whose camera is stale."""
    board = {
        "characters": [{"name": "老人", "look": "白胡子"}],
        "scenes": [{"description": "灯塔", "duration_s": 9999, "characters": ["船长"]}],
    }
    moves = {"cameras": [{"scene": 1, "movement": "teleport"}]}
    for name, said in (("boards", board), ("moves", moves)):
        stage.register(model(name, whole(json.dumps(said), 2000)))
    number = stage.post("/api/v1/projects/", {"name": "灯塔", "original_topic": "一封信"})["id"]
    place = f"{stage.url}/api/v1/projects/{number}"
    drafts = (("rewrite", "offline"), ("storyboard", "boards"), ("camera", "moves"))
    for kind, name in (*drafts, ("storyboard", "boards")):
        httpx.post(f"{place}/{kind}-stream/", json={"model": name}, timeout=60, trust_env=False)
    wish = {"model": "boards", "wish": "再来"}
    httpx.post(f"{place}/scenes/1/rewrite-stream/", json=wish, timeout=60, trust_env=False)
    return int(number)


@pytest.fixture(scope="module")
def copy(stage: Stage) -> str:
    """Posts of the template after refused drafts, one of them edited."""
    bad = {"attempts": [whole("只要 9 元，全网最低。", 2000, first_s=0)]}
    stage.register(model("bad", bad))
    asked = {"sku": "8WZ01CM1", "reveal": "checked", "tone": "warm"}
    run = str(stage.wait(stage.start("copywriting", asked, "bad"))["id"])
    text = {"text": "自己写的一篇。"}
    place = f"{stage.url}/api/copies/{run}/posts/1"
    httpx.put(place, json=text, trust_env=False).raise_for_status()
    return run


@pytest.fixture(scope="module")
def batch(stage: Stage) -> str:
    items = [{"sku": sku, "count": 1} for sku in ("8WZ01CM1", "nothing")]
    return str(stage.wait(stage.start("batch", {"flow": "copywriting", "items": items}))["id"])


@pytest.fixture(scope="module")
def made(run: str, story: int, conversation: int, copy: str, batch: str) -> dict[str, Any]:
    return {
        "run": run,
        "story": story,
        "conversation": conversation,
        "copy": copy,
        "batch": batch,
    }


@pytest.fixture(scope="module")
def conversation(stage: Stage) -> int:
    """Two answers to one question with an image, and a turn before them."""
    number = int(stage.post("/api/conversations", {"name": "看图"})["id"])
    for after in (0, 1, 1):
        turn = {"model_id": 1, "prompt": "看", "conversation_id": number, "after_turn": after}
        stage.post("/api/debug/chat", {**turn, "images": [data_url()]})
    return number


@pytest.mark.parametrize("path", PAGES)
def test_no_serious_violation(path: str, made: dict[str, Any], open_page: Open) -> None:
    page = open_page(path.format(**made))
    page.wait_for_load_state("networkidle")
    found = violations(page, page.locator(".toggles button"))
    assert not found, found[:6]
