"""S2.1, `conversation_id`: talks of several turns; and `/api/conversations`."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from support.debug_chat import CHAT, frames, made
from support.models import refused
from support.servers import Desk, Serve, Served, ServeModel
from support.upstream import CUT, SILENCE, Upstream, answer, chunk, refusal
from unspool import RunSpec, open_journal
from unspool.execution.conversations import MAX_CONTEXT_CHARS, MAX_CONTEXT_TURNS, MAX_TURNS
from unspool.journals import Claim, sqlite_url
from unspool.records.conversations import save_turn


async def begun(client: httpx.AsyncClient, served: Served | Desk, name: str = "") -> int:
    return int((await made(client, served, "conversations", {"name": name}))["id"])


async def ask(
    client: httpx.AsyncClient, served: Served | Desk, number: int, prompt: str, **more: Any
) -> httpx.Response:
    headers = more.pop("headers", {})
    model = served.model_id if isinstance(served, Desk) else 1
    body = {"model_id": model, "prompt": prompt, "conversation_id": number, **more}
    return await client.post(f"{served.url}{CHAT}", json=body, headers=headers)


async def read(client: httpx.AsyncClient, served: Served | Desk, number: int, **query: Any) -> Any:
    url = f"{served.url}/api/conversations/{number}"
    return (await client.get(url, params=query)).json()


def talk(upstream: Upstream, place: int = -1) -> list[tuple[str, str]]:
    return [(said["role"], said["content"]) for said in upstream.requests[place].body["messages"]]


async def test_s2_1_earlier_turns_are_told_to_the_model_and_each_turn_is_a_run(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [answer("我是", "小助手"), answer("刚说过")]
    served = desk
    number = await begun(client, served)
    await ask(client, served, number, "你是谁？", system_prompt="简短")
    told = await frames(
        client, served, prompt="再说一遍", conversation_id=number, system_prompt="简短"
    )
    assert told[-1]["final_response"]["output"] == "刚说过"
    assert talk(upstream) == [
        ("system", "简短"),
        ("user", "你是谁？"),
        ("assistant", "我是小助手"),
        ("user", "再说一遍"),
    ]
    facts = await read(client, served, number)
    assert (facts["name"], facts["turns"]) == ("你是谁？", 2)
    turns = [(it["number"], it["prompt"], it["text"], it["status"]) for it in facts["last_turns"]]
    assert turns == [
        (1, "你是谁？", "我是小助手", "completed"),
        (2, "再说一遍", "刚说过", "completed"),
    ]
    for turn in facts["last_turns"]:
        run = (await client.get(f"{served.url}/v1/runs/{turn['run']}")).json()
        assert (run["text"], run["model"]) == (turn["text"], turn["model"])


async def test_s2_1_a_turn_that_broke_stays_with_what_was_written(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("从前有"), CUT], refusal(401), answer("好")]
    served = desk
    number = await begun(client, served)
    for prompt in ("讲故事", "再讲"):
        assert (await ask(client, served, number, prompt)).json()["status"] == "error"
    await ask(client, served, number, "继续")
    # What got no word in return is not told: two questions in a row are refused by some.
    assert talk(upstream) == [("user", "讲故事"), ("assistant", "从前有"), ("user", "继续")]
    turns = (await read(client, served, number))["last_turns"]
    assert [turn["status"] for turn in turns] == ["incomplete", "failed", "completed"]
    assert [turn["text"] for turn in turns] == ["从前有", "", "好"]
    assert turns[1]["error"]["code"] == "auth"


async def test_s2_1_while_a_going_on_another_is_409_and_a_cancel_makes_room(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("从前有"), SILENCE], answer("好")]
    served = desk
    number = await begun(client, served)
    first = asyncio.create_task(ask(client, served, number, "讲故事"))
    await upstream.until(lambda: upstream.open == 1)
    response = await ask(client, served, number, "快点")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "going_on")
    (turn,) = (await read(client, served, number))["last_turns"]
    assert turn["run"] in response.json()["error"]["message"]
    await client.post(f"{served.url}/v1/runs/{turn['run']}/cancel")
    assert (await first).json()["status"] == "error"
    assert (await ask(client, served, number, "快点")).json()["output"] == "好"


async def test_s2_1_of_two_posts_at_once_one_is_a_turn(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("好"), SILENCE]]
    served = desk
    number = await begun(client, served)
    both = [asyncio.create_task(ask(client, served, number, word)) for word in ("一", "二")]
    done, (waiting,) = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result().status_code for task in done] == [409]
    (turn,) = (await read(client, served, number))["last_turns"]
    await client.post(f"{served.url}/v1/runs/{turn['run']}/cancel")
    assert (await waiting).status_code == 200


async def test_s2_1_the_same_request_under_the_same_key_is_the_same_turn(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    served = desk
    number = await begun(client, served)
    key = {"Idempotency-Key": "k-1", "Unspool-Cache": "read"}
    runs = [
        (await ask(client, served, number, "你好", headers=key)).headers["x-run-id"]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    other = await ask(client, served, number, "再见", headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "key_reused")
    assert (await read(client, served, number))["turns"] == 1
    # Without a key an equal question is another turn, whatever the cache would say.
    equal = await ask(client, served, number, "你好", headers={"Unspool-Cache": "read"})
    assert equal.headers["x-run-id"] != runs[0]


async def test_s2_1_a_turn_whose_place_was_not_written_down_is_found_by_the_next(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    served = serve_model()
    number = await begun(client, served)
    served.stop()
    journal = await open_journal(sqlite_url(served.settings.data_dir / "journal.db"))
    spec = RunSpec("chat", {"prompt": "丢了的问题"}, dialect="debug_chat")
    pen = await journal.create(spec, Claim(f"\x1fturn {number} 1", "lost with the server"))
    await journal.aclose()
    upstream.play = [answer("找到了"), answer("好")]
    again = serve_model()
    await client.get(f"{again.url}/v1/runs/{pen.run_id}/events")  # it is carried on to its end
    await ask(client, again, number, "下一个")
    turns = (await read(client, again, number))["last_turns"]
    assert [turn["prompt"] for turn in turns] == ["丢了的问题", "下一个"]
    assert talk(upstream)[1:] == [
        ("assistant", "找到了"),
        ("user", "下一个"),
    ]


async def test_s2_1_of_a_long_talk_the_model_is_told_the_end_and_the_log_says_so(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    served = desk
    number = await begun(client, served, "长谈")

    async def fill() -> None:
        for place in range(1, MAX_CONTEXT_TURNS + 3):
            run_id = await served.core.admission.admit(RunSpec("chat", {"prompt": f"问{place}"}))
            await served.core.runner.ended(run_id, patience_s=5)
            await save_turn(
                served.core.records, number, place, (run_id, str(place)), parent=place - 1
            )

    await desk.served.call(fill)
    response = await ask(client, served, number, "现在呢")
    assert len(talk(upstream)) == 2 * MAX_CONTEXT_TURNS + 1
    assert talk(upstream)[0] == ("user", "问3")
    run = (await client.get(f"{served.url}/v1/runs/{response.headers['x-run-id']}")).json()
    assert run["warnings"] == ["the model is not told of 2 earlier turns; they stay in view"]
    page = await read(client, served, number, limit=2, before=10)
    assert [turn["number"] for turn in page["last_turns"]] == [8, 9]


async def test_s2_1_a_turn_too_long_to_be_told_and_all_before_it_are_left_out(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [answer("短"), answer("长" * MAX_CONTEXT_CHARS), answer("短")]
    served = desk
    number = await begun(client, served)
    for prompt in ("一", "二", "三"):
        await ask(client, served, number, prompt)
    assert talk(upstream) == [("user", "三")]
    await ask(client, served, number, "四")
    assert talk(upstream)[:-1] == [("user", "三"), ("assistant", "短")]


async def test_s2_1_a_turn_whose_run_was_pruned_keeps_its_place(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    served = desk
    number = await begun(client, served)
    await ask(client, served, number, "一")
    await ask(client, served, number, "二")
    await client.post(f"{served.url}/api/prune", json={"older_than_s": 0})
    first, second = (await read(client, served, number))["last_turns"]
    assert (first["number"], first["status"], first["prompt"], first["text"]) == (1, *[None] * 3)
    assert second["prompt"] == "二"
    response = await ask(client, served, number, "三")
    assert [content for _, content in talk(upstream)] == ["二", "你好", "三"]
    run = (await client.get(f"{served.url}/v1/runs/{response.headers['x-run-id']}")).json()
    assert len(run["warnings"]) == 1


async def test_s2_1_a_conversation_is_full_some_time(client: httpx.AsyncClient, desk: Desk) -> None:
    served = desk
    number = await begun(client, served)

    async def fill() -> None:
        for place in range(1, MAX_TURNS + 1):
            await save_turn(
                served.core.records, number, place, ("gone", str(place)), parent=place - 1
            )

    await desk.served.call(fill)
    await refused(await ask(client, served, number, "还有"), "begin another")


async def test_conversations_are_listed_renamed_and_forgotten(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    url = f"{served.url}/api/conversations"
    first, second, third = [await begun(client, served, name) for name in ("a", "b", "")]
    page = (await client.get(url, params={"limit": 2})).json()
    assert [it["id"] for it in page["conversations"]] == [third, second]
    rest = (await client.get(url, params={"before": page["next"]})).json()
    assert ([it["id"] for it in rest["conversations"]], rest["next"]) == ([first], None)
    renamed = await client.patch(f"{url}/{first}", json={"name": "新名字"})
    assert renamed.json()["name"] == "新名字"
    run_id = (await ask(client, served, first, "你好")).headers["x-run-id"]
    assert (await client.delete(f"{url}/{first}")).status_code == 204
    gone = (
        client.get(f"{url}/{first}"),
        client.delete(f"{url}/{first}"),
        client.patch(f"{url}/{first}", json={"name": "x"}),
        ask(client, served, first, "你好"),
    )
    for response in gone:
        await refused(await response, "no conversation", status=404)
    assert (await client.get(f"{served.url}/v1/runs/{run_id}")).status_code == 200
    assert await begun(client, served) > third, "a number is given once"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", {"name": "x" * 201}),
        ("", {"name": "a\nb"}),
        ("", {"title": "x"}),
        ("/0", None),
        ("/x", None),
        ("?limit=0", None),
        ("/1?before=0", None),
    ],
)
async def test_what_is_no_request_of_a_conversation_is_refused(
    client: httpx.AsyncClient, shared_server: Served, path: str, body: Any
) -> None:
    method = "GET" if body is None else "POST"
    url = f"{shared_server.url}/api/conversations{path}"
    await refused(await client.request(method, url, json=body))


async def test_a_conversation_that_is_forgotten_during_a_turn_has_none(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()

    async def write() -> None:
        await save_turn(served.core.records, 77, 1, ("run", "asked"), parent=0)

    await served.call(write)
    assert await begun(client, served) == 1
