"""What the built-in model makes of tools: plausible calls, the same for the same question."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.provider_probe import WEATHER, ask
from unspool import Model, Prompt
from unspool.formats.json_schema import misfits
from unspool.providers import Tool

pytestmark = pytest.mark.usefixtures("quick_model")

OFFLINE = Model("offline", "offline")


def tool(name: str, properties: dict[str, Any], *required: str, says: str = "") -> Tool:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return Tool(name, says, schema)


TEXT = {"type": "string"}
SUM = tool("calculate", {"expression": TEXT}, "expression", says="Works out arithmetic")
TIME = tool("current_time", {"timezone": TEXT}, says="What time it is")
PRODUCT = tool(
    "find_product", {"sku": TEXT, "count": {"type": "integer"}}, "sku", "count", says="查询商品信息"
)
ORDER = tool(
    "book_table",
    {
        "guests": {"type": "integer", "minimum": 2},
        "kind": {"enum": ["indoor", "terrace"]},
        "smoking": {"type": "boolean"},
        "names": {"type": "array", "items": TEXT},
        "at": {"type": "object", "properties": {"place": TEXT}, "required": ["place"]},
        "price": {"type": ["number", "null"]},
        "version": {"const": 2},
        "note": {"type": "string", "maxLength": 5},
        "nothing": {"type": "null"},
        "greeting": {"type": "string", "default": "hi"},
    },
    *("guests", "kind", "smoking", "names", "at", "price", "version", "note", "nothing"),
    "greeting",
    says="Book a table",
)
ALL = (WEATHER, SUM, TIME, PRODUCT, ORDER)


async def calls(question: str, *tools: Tool, **params: Any) -> list[tuple[str, dict[str, Any]]]:
    prompt = Prompt(Prompt.of(question).messages, tools=tools or ALL, params=params)
    heard = await ask(OFFLINE, prompt)
    assert heard.finish == ("tool_calls" if heard.calls else "stop")
    assert bool(heard.calls) != bool(heard.text)
    by_index: dict[int, str] = {}
    for fragment in heard.fragments:
        by_index[fragment.index] = by_index.get(fragment.index, "") + fragment.arguments
    assert [json.loads(text) for text in by_index.values()] == [it for _, it in heard.calls]
    return heard.calls


@pytest.mark.parametrize(
    ("question", "called"),
    [
        ("北京天气怎么样", [("get_weather", {"city": "北京"})]),
        ("北京和上海的天气？", [("get_weather", {"city": it}) for it in ("北京", "上海")]),
        (
            "weather in Tokyo and London",
            [("get_weather", {"city": i}) for i in ("Tokyo", "London")],
        ),
        ("12 × (3 + 4) 等于多少", [("calculate", {"expression": "12 × (3 + 4)"})]),
        ("What time is it in London?", [("current_time", {"timezone": "Europe/London"})]),
        ("上海现在几点", [("current_time", {"timezone": "Asia/Shanghai"})]),
        ("现在几点", [("current_time", {})]),
        ("查 3 件商品 8WZ01CM1", [("find_product", {"sku": "8WZ01CM1", "count": 3})]),
        ("商品“云感慢跑鞋”", [("find_product", {"sku": "云感慢跑鞋", "count": 1})]),
        ("讲个笑话", []),
        ("", []),
    ],
)
async def test_it_calls_what_fits_and_fills_in_what_the_question_says(
    question: str, called: list[tuple[str, dict[str, Any]]]
) -> None:
    assert await calls(question) == called
    assert await calls(question) == called


async def test_every_kind_of_argument_is_filled_in_as_its_schema_says() -> None:
    ((_, arguments),) = await calls("Book a table on the terrace for 4 in Paris", ORDER)
    assert misfits(ORDER.parameters, arguments) == []
    assert (arguments["guests"], arguments["kind"], arguments["version"]) == (4, "terrace", 2)
    assert (arguments["at"], arguments["note"]) == ({"place": "Paris"}, "Book ")
    ((_, plain),) = await calls("book me a table", ORDER)
    assert misfits(ORDER.parameters, plain) == []
    assert (plain["guests"], plain["kind"]) == (2, "indoor")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": 3, "required": "x"},
        {"required": ["x"]},
        {"properties": {"x": 3}, "required": ["x", 4]},
        {"properties": {"x": {"enum": []}}, "required": ["x"]},
        {"properties": {"x": {"type": []}}, "required": ["x"]},
        {"properties": {"x": {"type": "array", "items": 3}}, "required": ["x"]},
        {"properties": {"x": {"$ref": "#"}}, "required": ["x"]},
    ],
)
async def test_an_odd_schema_is_no_reason_to_fail(schema: dict[str, Any]) -> None:
    ((name, _),) = await calls("find it", Tool("find", "", schema))
    assert name == "find"


async def test_objects_within_objects_are_filled_in_to_a_depth() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}, "required": ["x"]}
    for _ in range(9):
        schema = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    ((_, arguments),) = await calls("find it", Tool("find", "", schema))
    assert json.dumps(arguments).count("x") < 9


async def test_a_choice_of_tools_is_obeyed() -> None:
    assert await calls("北京天气", tool_choice="none") == []
    assert [name for name, _ in await calls("讲个笑话", tool_choice="required")] == ["get_weather"]


def since(*answers: tuple[str, Any], question: str = "北京的天气？") -> Prompt:
    called = [
        {"id": str(n), "name": name, "arguments": {"city": name}}
        for n, (name, _) in enumerate(answers)
    ]
    came = [
        {"role": "tool", "tool_call_id": str(n), "name": name, "content": content}
        for n, (name, content) in enumerate(answers)
    ]
    asked = {"role": "user", "content": question}
    said = {"role": "assistant", "content": "", "tool_calls": called}
    return Prompt((asked, said, *came), tools=ALL)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (
            since(("北京", '{"celsius": 3, "sky": "晴"}')),
            "查到的结果如下：北京：celsius 3，sky 晴。",
        ),
        (
            since(("Paris", "rain"), ("Rome", "[1]"), question="weather?"),
            "Here is what came back: \n- Paris: rain.\n- Rome: [1].",
        ),
        (
            since(("北京", '{"error": {"message": "没有"}}')),
            "查到的结果如下：北京：没有成功，没有。",
        ),
    ],
)
async def test_it_tells_what_came_back(prompt: Prompt, text: str) -> None:
    heard = await ask(OFFLINE, prompt)
    assert (heard.text, heard.calls) == (text, [])


async def test_what_came_back_to_an_earlier_question_is_past() -> None:
    old = since(("北京", "晴"))
    prompt = Prompt((*old.messages, {"role": "user", "content": "讲个笑话"}), tools=ALL)
    assert "查到" not in (await ask(OFFLINE, prompt)).text


async def test_it_goes_on_from_a_text_and_does_not_call_in_the_middle_of_it() -> None:
    prompt = Prompt(Prompt.of("北京天气").messages, prefix="从前", tools=ALL)
    heard = await ask(OFFLINE, prompt)
    assert (heard.calls, heard.finish) == ([], "stop")
