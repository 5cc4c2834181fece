"""The tools that are here from the start."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from support.debug_chat import tried
from support.servers import Served


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("(459 - 60) * 3 / 2", 598.5),
        ("2^10", 1024),
        ("7 // 2 + 7 % 4", 6),
        ("-3 × +2", -6),
        ("9**9**9", "exponent"),
        ("10**300 * 10**300", "too large"),
        ("1/0", "zero"),
        ("(-8) ** 0.5", "not a real number"),
        ("__import__('os')", "only numbers"),
        ("True + 1", "only numbers"),
        ("1 +", "not arithmetic"),
        ("(" * 400 + "1" + ")" * 99, "not arithmetic"),
        ("1+" * 300 + "1", "at most"),
    ],
)
async def test_arithmetic_is_worked_out_and_nothing_else(
    client: httpx.AsyncClient, shared_server: Served, expression: str, value: Any
) -> None:
    came = await tried(client, shared_server, {"id": 2}, expression=expression)
    content = json.loads(came["content"])
    if isinstance(value, str):
        assert value in content["error"]["message"]
    else:
        assert content["value"] == value


async def test_the_time_is_told_of_a_place(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    before = time.time()
    came = json.loads(
        (await tried(client, shared_server, {"id": 3}, timezone="Asia/Shanghai"))["content"]
    )
    assert came["time"].endswith("+08:00")
    assert came["time"][:10] >= time.strftime("%Y-%m-%d", time.gmtime(before))
    wrong = await tried(client, shared_server, {"id": 3}, timezone="../../etc/passwd")
    assert "no time zone" in wrong["content"]
