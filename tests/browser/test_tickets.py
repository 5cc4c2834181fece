"""A page of another origin follows a run with a ticket: cut, back again, and out when revoked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .cutting import Beside
from .serving import Program
from .stage import LETTER, Stage, model, spoken
from .test_keys import program, stage  # noqa: F401 - a server that wants keys

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SOURCE = """
([url, run, ticket]) => {
  const source = new EventSource(`${url}/v1/runs/${run}/events?dialect=native&ticket=${ticket}`)
  Object.assign(window, { seen: [], opens: 0, ends: [], isOver: false })
  source.onopen = () => { opens += 1 }
  source.onmessage = ({ lastEventId }) => seen.push(Number(lastEventId))
  source.onerror = () => {
    ends.push(Date.now())
    isOver = source.readyState === EventSource.CLOSED
  }
}
"""

SOCKET = """
([url, run, ticket]) => {
  const base = `${url.replace("http", "ws")}/v1/runs/${run}/ws?dialect=native&ticket=${ticket}`
  Object.assign(window, { seen: [], opens: 0, ends: [], isOver: false, codes: [] })
  const connect = () => {
    let hasOpened = false
    const socket = new WebSocket(`${base}&after=${seen.at(-1) ?? 0}`)
    socket.onopen = () => { opens += 1; hasOpened = true }
    socket.onmessage = ({ data }) => {
      const { id } = JSON.parse(data)
      if (id) seen.push(Number(id))
    }
    socket.onclose = ({ code }) => {
      ends.push(Date.now())
      codes.push(code)
      isOver = !hasOpened
      if (hasOpened) setTimeout(connect, 50)
    }
  }
  connect()
}
"""

pytestmark = pytest.mark.timeout(90)

PATIENCE_MS = 25_000
"""A browser waits three seconds before it comes back, and longer beside other work."""

CUTS = 2

GENEROUS_S = 10.0
"""The promise is a second; a busy machine may be late, a stream that stays open is later."""


@pytest.fixture
def beside(program: Program) -> Iterator[Beside]:  # noqa: F811 - the fixture
    with Beside(int(program.url.rpartition(":")[2])) as beside:
        yield beside


@pytest.fixture
def page(browser: Browser, beside: Beside) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(beside.page)
    yield page
    context.close()


def begun(stage: Stage) -> str:  # noqa: F811 - the fixture
    """Start a run that speaks for some seconds, and then says nothing for longer than a test."""
    script = [*spoken(LETTER, 30), {"pause_s": 100}]
    stage.register(model("endless", script))
    return stage.ask("讲完灯塔的故事", "endless")


def reader(stage: Stage, *origins: str) -> dict[str, Any]:  # noqa: F811 - the fixture
    body = {"name": "page", "scopes": ["runs:read"], "origins": list(origins)}
    return dict(stage.post("/api/keys", body))


def ticket_of(stage: Stage, key: str, run: str) -> str:  # noqa: F811 - the fixture
    reply = httpx.post(
        f"{stage.url}/v1/tickets",
        json={"run": run, "ttl_s": 600},
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
    )
    return str(reply.json()["ticket"])


@pytest.fixture(autouse=True)
def no_model_stays(stage: Stage) -> Iterator[None]:  # noqa: F811 - the fixture
    yield
    for each in stage.get("/api/models")["models"]:
        if each["name"] == "endless":
            stage.delete(f"/api/models/{each['id']}")


@pytest.mark.parametrize("script", [SOURCE, SOCKET], ids=["EventSource", "WebSocket"])
def test_a_page_of_another_origin_comes_back_twice_and_is_out_when_its_key_is_revoked(
    stage: Stage,  # noqa: F811 - the fixture
    page: Page,
    beside: Beside,
    script: str,
) -> None:
    run, key = begun(stage), reader(stage, beside.page)
    ticket = ticket_of(stage, key["key"], run)
    page.evaluate(script, [beside.line, run, ticket])
    for cut in range(1, CUTS + 1):
        page.wait_for_function("most => opens === most && seen.length > 5 * most", arg=cut)
        assert beside.cut() >= 1
    page.wait_for_function("most => opens === most", arg=CUTS + 1)
    stage.until(run, lambda whole: LETTER[-6:-1] in whole["text"])
    last = stage.run(run)["last_seq"]
    page.wait_for_function("last => seen.at(-1) === last", arg=last)
    assert page.evaluate("seen") == list(range(1, last + 1)), "every event once, and in order"

    before = len(page.evaluate("ends"))
    stage.delete(f"/api/keys/{key['id']}")
    page.wait_for_function("() => isOver")
    revoked = datetime.fromisoformat(stage.get(f"/api/keys/{key['id']}")["revoked_at"])
    late_s = page.evaluate("ends")[before] / 1000 - revoked.timestamp()
    print(f"the stream ended {late_s:.2f} s after the key was revoked")
    assert 0 <= late_s < GENEROUS_S
    assert page.evaluate("opens") == CUTS + 1, "a reconnect is refused"
    if script is SOCKET:
        assert page.evaluate("codes") == [1006, 1006, 1008, 1006]
    assert stage.run(run)["status"] == "running", "the run itself is not touched"
    stage.cancel(run)


@pytest.mark.parametrize("script", [SOURCE, SOCKET], ids=["EventSource", "WebSocket"])
def test_a_page_that_the_key_does_not_list_gets_nothing_with_its_ticket(
    stage: Stage,  # noqa: F811 - the fixture
    page: Page,
    beside: Beside,
    script: str,
) -> None:
    run, key = begun(stage), reader(stage, "https://another.example")
    page.evaluate(script, [stage.url, run, ticket_of(stage, key["key"], run)])
    page.wait_for_function("() => isOver")
    assert page.evaluate("[opens, seen.length]") == [0, 0]
    stage.cancel(run)
