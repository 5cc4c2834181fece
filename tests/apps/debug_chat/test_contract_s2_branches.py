"""S2.1, `after_turn`: conversations that branch."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from support.debug_chat import CHAT, made
from support.models import refused
from support.servers import Desk
from support.upstream import SILENCE, Upstream, answer, chunk


class Talk:
    """A conversation, as a client sees it."""

    def __init__(self, client: httpx.AsyncClient, desk: Desk, upstream: Upstream) -> None:
        self._client, self._desk, self._upstream = client, desk, upstream
        self.number = 0

    async def begin(self) -> None:
        self.number = (await made(self._client, self._desk, "conversations", {}))["id"]

    async def ask(self, prompt: str, after: int | None = None, **more: Any) -> httpx.Response:
        body = {"model_id": self._desk.model_id, "prompt": prompt, **more}
        body |= {} if after is None else {"after_turn": after}
        body["conversation_id"] = self.number
        return await self._client.post(self._desk.url + CHAT, json=body)

    async def path(self, **query: Any) -> list[tuple[int, int, str]]:
        """Number, parent and question of each turn."""
        url = f"{self._desk.url}/api/conversations/{self.number}"
        found = (await self._client.get(url, params=query)).json()["last_turns"]
        return [(turn["number"], turn["parent"], turn["prompt"]) for turn in found]

    async def siblings(self) -> list[list[int]]:
        url = f"{self._desk.url}/api/conversations/{self.number}"
        found = (await self._client.get(url)).json()["last_turns"]
        return [turn["siblings"] for turn in found]

    async def choose(self, turn: int) -> httpx.Response:
        url = f"{self._desk.url}/api/conversations/{self.number}"
        return await self._client.patch(url, json={"current": turn})

    def told(self) -> list[str]:
        said = self._upstream.requests[-1].body["messages"]
        return [each["content"] for each in said if each["role"] != "system"]


async def test_an_edited_question_is_a_branch_and_the_old_one_stays(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [answer(word) for word in ("甲", "乙", "丙", "丁", "戊")]
    talk = Talk(client, desk, upstream)
    await talk.begin()
    await talk.ask("一")
    await talk.ask("二")
    await talk.ask("二，改过", after=1)
    assert talk.told() == ["一", "甲", "二，改过"]
    assert await talk.path() == [(1, 0, "一"), (3, 1, "二，改过")]
    assert await talk.siblings() == [[1], [2, 3]]
    await talk.ask("三")
    assert talk.told() == ["一", "甲", "二，改过", "丙", "三"]
    assert (await talk.choose(2)).json()["current"] == 2
    assert await talk.path() == [(1, 0, "一"), (2, 1, "二")]
    await talk.ask("四")
    assert talk.told() == ["一", "甲", "二", "乙", "四"]
    assert (await talk.choose(3)).json()["current"] == 4, "a branch is gone to as far as it goes"
    assert await talk.path() == [(1, 0, "一"), (3, 1, "二，改过"), (4, 3, "三")]
    assert await talk.path(turn=2) == [(1, 0, "一"), (2, 1, "二")]
    assert await talk.path(turn=0) == []


async def test_turns_that_follow_the_same_one_may_run_at_once(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [answer("甲"), [chunk("乙"), SILENCE], answer("丙")]
    talk = Talk(client, desk, upstream)
    await talk.begin()
    await talk.ask("一")
    slow = asyncio.create_task(talk.ask("二", after=1))
    await upstream.until(lambda: len(upstream.requests) == 2)
    assert (await talk.ask("二", after=1)).json()["output"] == "丙"
    await refused(await talk.ask("三", after=2), "last turn", status=409)
    assert await talk.siblings() == [[1], [2, 3]]
    slow.cancel()


async def test_a_conversation_is_found_by_its_name_its_questions_and_its_answers(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [answer("幂等就是按两次电梯"), answer("别的话")]
    first, second = Talk(client, desk, upstream), Talk(client, desk, upstream)
    for talk, question in ((first, f"什么叫幂等性 {desk.model_id}"), (second, "今天吃什么好呢")):
        await talk.begin()
        await talk.ask(question)
    url = f"{desk.url}/api/conversations"

    async def found(q: str) -> list[int]:
        listed = (await client.get(url, params={"q": q})).json()["conversations"]
        return [it["id"] for it in listed if it["id"] in {first.number, second.number}]

    assert await found("什么叫幂等") == [first.number]
    assert await found("按两次电梯") == [first.number]
    assert await found("今天吃") == [second.number]
    await client.patch(f"{url}/{second.number}", json={"name": "100% 晚饭_计划"})
    assert await found("0% 晚") == [second.number]
    assert await found("晚饭%计划") == []
    assert await found("没有这句话") == []
    await refused(await client.get(url, params={"q": "x" * 201}), "q")


async def test_a_turn_that_is_not_there_is_followed_by_none(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    talk = Talk(client, desk, upstream)
    await talk.begin()
    await refused(await talk.ask("一", after=7), "no turn 7")
    await refused(await talk.ask("一", after=-1), "after_turn")
    await refused(await talk.choose(7), "no turn 7", status=404)
    assert not upstream.requests
