"""Messages about invalid requests, in the reader's language."""

from __future__ import annotations

import httpx
import pytest

from support.servers import Served
from unspool.server.validation import is_chinese

COPY = "/ai/generate/copy"


@pytest.mark.parametrize(
    ("header", "is_it"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", True),
        ("zh", True),
        ("en-US,en;q=0.9,zh;q=0.8", False),
        ("de, zh;q=0.5", True),
        ("zh;q=0", False),
        ("zh;q=x", False),
        ("*", False),
        ("", False),
        ("zhongwen", False),
    ],
)
def test_the_language_is_that_which_the_client_likes_best(header: str, is_it: bool) -> None:
    assert is_chinese(header) is is_it


@pytest.mark.parametrize(
    ("sent", "chinese", "english"),
    [
        ({"sku": "8WZ01CM1", "count": 99}, "body.count：不能大于 10", "less than or equal to 10"),
        ({}, "body.sku：缺少这一项", "body.sku: Field required"),
        ({"sku": "8WZ01CM1", "style": "loud"}, "只能是", "Input should be"),
        ({"sku": 7}, "body.sku：应当是一段文字", "valid string"),
    ],
)
async def test_a_wrong_field_is_named_in_the_language_of_the_reader(
    shared_server: Served, client: httpx.AsyncClient, sent: object, chinese: str, english: str
) -> None:
    for language, words in (("zh-CN", chinese), ("en", english), ("", english)):
        headers = {"accept-language": language}
        answer = await client.post(shared_server.url + COPY, json=sent, headers=headers)
        assert answer.status_code == 422
        assert words in answer.json()["error"]["message"]


async def test_a_body_that_is_no_json_is_called_that(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    headers = {"content-type": "application/json", "accept-language": "zh"}
    answer = await client.post(shared_server.url + COPY, content=b"not json", headers=headers)
    assert answer.json()["error"]["message"] == "请求体不是 JSON（第 1 个字符）"
    del headers["accept-language"]
    answer = await client.post(shared_server.url + COPY, content=b"not json", headers=headers)
    assert answer.json()["error"]["message"] == "the body is no JSON: character 1"


async def test_a_change_of_a_record_is_refused_in_the_language_of_the_reader(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    headers = {"accept-language": "zh-CN"}
    url = shared_server.url + "/api/tools/1"
    answer = await client.patch(url, json={"limit_s": -1, "colour": 1}, headers=headers)
    assert answer.status_code == 422
    assert "没有这一项" in answer.json()["error"]["message"]
