"""`/api/settings`: what a server is and how it was set up; never a secret."""

from __future__ import annotations

import httpx

from support.servers import Serve
from unspool.settings import Settings

CANARY = "sk-canary-5e77"
ADDRESS = f"http://{CANARY}:{CANARY}@127.0.0.1:9/v1?key={CANARY}"


async def test_every_setting_is_told_with_its_default_and_no_secret(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with(keep_days=30.0, llm_api_key=CANARY, llm_base_url=ADDRESS)
    answer = await client.get(f"{served.url}/api/settings")
    told = answer.json()
    listed = {each["name"]: each for each in told["settings"]}
    assert len(listed) == len(Settings.model_fields)
    days = listed["UNSPOOL_KEEP_DAYS"]
    assert (days["value"], days["default"], days["is_set"]) == (30.0, None, True)
    key = listed["LLM_API_KEY"]
    assert (key["is_secret"], key["is_set"], key["value"]) == (True, True, None)
    assert listed["LLM_BASE_URL"]["value"] == "http://127.0.0.1:9/v1"
    assert not listed["OPENAI_API_KEY"]["is_set"]
    assert CANARY not in answer.text
    assert told["version"]
    assert told["journal_bytes"] > 0
    assert told["free_bytes"] > 0
