"""Posts that models write, and what a run of copy knows."""

from __future__ import annotations

import json
from typing import Any

import httpx

from .servers import Served

LONG = "这款鞋的鞋面是飞织的，走一天也不闷脚，下班顺路走两站刚刚好。"


async def input_of(client: httpx.AsyncClient, served: Served, run_id: str) -> dict[str, Any]:
    """Return the input of a run as its log has it."""
    url = f"{served.url}/v1/runs/{run_id}/events?dialect=native"
    lines = (await client.get(url)).text.splitlines()
    first = next(line for line in lines if line.startswith("data: "))
    return dict(json.loads(first[6:])["data"]["input"])
