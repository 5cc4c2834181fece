"""A page of another origin imports the client from the server, and follows a run with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .stage import LETTER, Stage, model, spoken
from .test_keys import program, stage  # noqa: F401 - a server that wants keys
from .test_tickets import beside, page, reader, ticket_of  # noqa: F401 - a page of another origin

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from .cutting import Beside

FOLLOW = """
async ([url, line, run, ticket, module, name]) => {
  const client = await import(`${url}/client/${module}`)
  window.seen = []
  const options = { ticket: async () => ({ ticket }) }
  const reading = client[name](`${line}/v1/runs/${run}`, options)
  for await (const event of reading) seen.push(event.seq)
  return [reading.state.status, reading.state.text]
}
"""

END = [{"usage": {"prompt_tokens": 9, "completion_tokens": 99}}, {"finish": "stop"}]


@pytest.mark.parametrize(
    ("module", "name"), [("unspool-client.js", "followRun"), ("shared.js", "shareRun")]
)
def test_a_page_of_another_origin_follows_a_run_with_the_client_of_the_server(
    stage: Stage,  # noqa: F811 - the fixture
    page: Page,  # noqa: F811 - the fixture
    beside: Beside,  # noqa: F811 - the fixture
    module: str,
    name: str,
) -> None:
    letter = f"letter-{name}"
    stage.register(model(letter, [*spoken(LETTER, 400), *END]))
    run, key = stage.ask("讲完灯塔的故事", letter), reader(stage, beside.page)
    ticket = ticket_of(stage, key["key"], run)
    facts = [stage.url, beside.line, run, ticket, module, name]
    status, text = page.evaluate(FOLLOW, facts)
    assert (status, text) == ("completed", LETTER)
    whole = stage.run(run)
    assert whole["text"] == text
    assert page.evaluate("seen") == list(range(1, whole["last_seq"] + 1))
