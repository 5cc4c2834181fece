"""
The built-in model and tools: which of them it calls, with what, and what it makes of the answer.

It goes by words. A tool fits a question when they have words in common (its name, what it is
described as, what its parameters are called); arguments are looked for in the question by what
the schema says of them. The same question gets the same call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from .. import Prompt, Tool, ToolCall
from .text import Dice, Messages, text_of

MAX_CALLS: Final = 4
"""Side by side: one for each thing that the question names."""

MAX_DEPTH: Final = 4
"""Of objects that are filled in within objects."""

MAX_CONTEXT_CHARS: Final = 600
"""Of one answer, when it is told."""

MAX_LABEL_CHARS: Final = 60
"""Of what an answer is called by."""

_MEANINGS: Final = (
    ("weather", "forecast", "temperature", "天气", "气温", "下雨"),
    ("time", "clock", "now", "date", "today", "时间", "几点", "日期", "今天", "星期"),
    ("calculate", "compute", "sum", "add", "multiply", "计算", "等于", "算一下", "多少是", "乘"),
    ("price", "cost", "价格", "多少钱", "售价"),
    ("search", "find", "lookup", "look", "搜索", "查找", "查一下", "查询", "搜"),
    ("order", "订单"),
    ("stock", "inventory", "库存"),
    ("translate", "translation", "翻译"),
    ("product", "sku", "商品", "产品"),
    ("user", "customer", "用户", "顾客"),
)
"""Words of one meaning, so that a question in one language finds a tool in the other."""

_EMPTY: Final = frozenset(
    re.findall(
        r"\w+",
        "a an and are at be by do does for from get give has have how i in is it me my of on or "
        "please tell the this to use was what when where which who will with you",
    )
)

_PLACES: Final = {
    "北京": "Beijing",
    "上海": "Shanghai",
    "广州": "Guangzhou",
    "深圳": "Shenzhen",
    "杭州": "Hangzhou",
    "成都": "Chengdu",
    "武汉": "Wuhan",
    "西安": "Xi'an",
    "南京": "Nanjing",
    "香港": "Hong Kong",
    "东京": "Tokyo",
    "纽约": "New York",
    "伦敦": "London",
    "巴黎": "Paris",
}
"""Places that it knows by both names."""

_ZONES: Final = {"东京": "Asia/Tokyo", "纽约": "America/New_York", "伦敦": "Europe/London"} | {
    "巴黎": "Europe/Paris",
    "香港": "Asia/Hong_Kong",
}
"""Of places outside of China; all others are in one zone."""

_SUM: Final = re.compile(r"[(（]*-?\d[\d.\s()（）+\-*/×÷^%]*\d[)）]*")
_NUMBER: Final = re.compile(r"(?<![A-Za-z0-9_.])-?\d+(?:\.\d+)?(?![A-Za-z0-9_])")
_QUOTED: Final = re.compile(r"[“\"‘「《']([^”\"’」》']{1,80})[”\"’」》']")
_CODE: Final = re.compile(r"\b(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9][A-Za-z0-9_-]{3,31}\b")
_HAN: Final = re.compile(r"[\u3400-\u9fff]+")


def answer(messages: Messages) -> str | None:
    """Return what came back from tools, in words; None: nothing has since the last question."""
    answers = _answers(messages)
    request = [text_of(message) for message in messages if message["role"] == "user"]
    return _told(request[-1] if request else "", answers) if answers else None


# Which tool


def calls_for(prompt: Prompt) -> Sequence[ToolCall]:
    """Return the calls that the prompt is answered by; empty: it is answered in words."""
    is_open = prompt.tools and not prompt.prefix and prompt.params.get("tool_choice") != "none"
    if not is_open or _answers(prompt.messages):
        return ()
    question = prompt.question
    scored = [(_fit(tool, question), -place, tool) for place, tool in enumerate(prompt.tools)]
    score, _, tool = max(scored, key=lambda it: it[:2])
    if not score and prompt.params.get("tool_choice") not in {"required", "any"}:
        return ()
    dice = Dice([question, tool.name])
    return [
        ToolCall(index, f"call_{dice.number(f'id {index}', 10**8):08d}", tool.name, arguments)
        for index, arguments in enumerate(_sets(tool, question))
    ]


def _fit(tool: Tool, question: str) -> int:
    """Return how much a tool and a question have in common; its name counts most."""
    request = _words(question)
    properties = tool.parameters.get("properties")
    named = properties if isinstance(properties, Mapping) else {}
    return (
        4 * len(request & _words(tool.name.replace("-", "_").replace("_", " ")))
        + 2 * len(request & _words(tool.description))
        + len(request & _words(" ".join(map(str, named))))
        + (3 if "expression" in named and _SUM.search(question) else 0)
    )


def _words(text: str) -> set[str]:
    """Return what a text is about: Latin words, pairs of Chinese characters, and meanings."""
    small = text.casefold()
    words = set(re.findall(r"[a-z]{2,}", small)) - _EMPTY
    for run in _HAN.findall(text):
        words |= {run[at : at + 2] for at in range(len(run) - 1)}
    for group in _MEANINGS:
        if any(word in words or (word in text and not word.isascii()) for word in group):
            words.add(f"#{group[0]}")
    return words


# With what


def _sets(tool: Tool, question: str) -> list[dict[str, Any]]:
    """Return the arguments of each call: one, or one for each place that is named."""
    schema = tool.parameters
    places = list(_places(question))[:MAX_CALLS]
    if len(places) > 1 and any(_is_of_place(name) for name in _wanted(schema)):
        return [_filled(schema, question, place) for place in places]
    return [_filled(schema, question, places[0] if places else "")]


def _is_of_place(name: str) -> bool:
    return bool(re.search(r"city|place|location|town|timezone|城市|地点", name.casefold()))


def _places(question: str) -> Iterator[str]:
    found = [(question.find(name), name) for name in _PLACES if name in question]
    small = question.casefold()
    found += [
        (small.find(name.casefold()), name) for name in _PLACES.values() if name.casefold() in small
    ]
    return (name for _, name in sorted(found))


def _wanted(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schemas of what must be given."""
    properties, required = schema.get("properties"), schema.get("required")
    named = properties if isinstance(properties, Mapping) else {}
    wanted = required if isinstance(required, list) else []
    return {str(name): named.get(name, {}) for name in wanted}


def _filled(
    schema: Mapping[str, Any], question: str, place: str, depth: int = MAX_DEPTH
) -> dict[str, Any]:
    properties = schema.get("properties")
    named = dict(properties) if isinstance(properties, Mapping) else {}
    wanted = _wanted(schema)
    # What may be left out is given where the question plainly says it.
    plain = {
        name: it
        for name, it in named.items()
        if name not in wanted and ((_is_of_place(name) and place) or _chosen(it, question))
    }
    return {
        name: _value(name, it if isinstance(it, Mapping) else {}, question, place, depth)
        for name, it in {**wanted, **plain}.items()
    }


def _chosen(schema: Any, question: str) -> Any:
    """Return what of an enumeration the question names; None: nothing."""
    choices = schema.get("enum") if isinstance(schema, Mapping) else None
    small = question.casefold()
    choices = choices if isinstance(choices, list) else []
    return next((it for it in choices if str(it).casefold() in small), None)


def _value(name: str, schema: Mapping[str, Any], question: str, place: str, depth: int) -> Any:
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        chosen = _chosen(schema, question)
        return schema["enum"][0] if chosen is None else chosen
    return _made(name, schema, question, place, depth)


def _made(name: str, schema: Mapping[str, Any], question: str, place: str, depth: int) -> Any:
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    value: Any = None
    match kind:
        case "integer" | "number":
            value = _number(schema, question, kind)
        case "boolean":
            value = schema.get("default", True)
        case "array":
            item = schema.get("items")
            item = item if isinstance(item, Mapping) and depth else {}
            value = [_value(name, item, question, place, depth - 1)]
        case "object":
            value = _filled(schema, question, place, depth - 1) if depth else {}
        case "null":
            pass
        case _:
            value = _string(name, schema, question, place)
    return value


def _number(schema: Mapping[str, Any], question: str, kind: str) -> Any:
    found = _NUMBER.search(question)
    number = float(found[0]) if found else schema.get("default", schema.get("minimum", 1))
    return int(number) if kind == "integer" or float(number).is_integer() else number


def _string(name: str, schema: Mapping[str, Any], question: str, place: str) -> str:
    if "timezone" in name.casefold():
        chinese = next((it for it, other in _PLACES.items() if other == place), place)
        return _ZONES.get(chinese, "Asia/Shanghai") if place else "UTC"
    if _is_of_place(name) and place:
        return place
    if "expression" in name.casefold() and (found := _SUM.search(question)):
        return found[0].strip()
    for pattern in (_QUOTED, _CODE):
        if found := pattern.search(question):
            return found[found.lastindex or 0].strip()
    given = schema.get("default")
    most = schema.get("maxLength")
    text = given if isinstance(given, str) else question.strip()
    return text[: most if isinstance(most, int) and most > 0 else 200]


# What came back


def _answers(messages: Messages) -> list[tuple[str, str]]:
    """Return what tools have answered since a person spoke last, each with what it was called."""
    since: list[Mapping[str, Any]] = []
    for message in messages:
        since = [] if message["role"] == "user" else [*since, message]
    calls = {
        call["id"]: call["arguments"] for said in since for call in said.get("tool_calls") or ()
    }
    return [
        (_label(calls.get(said["tool_call_id"], {})) or str(said["name"]), text_of(said))
        for said in since
        if said["role"] == "tool"
    ]


def _label(arguments: Mapping[str, Any]) -> str:
    """Return what a call was about: 北京, and not the name of the tool."""
    said = [str(it) for it in arguments.values() if isinstance(it, str | int | float)]
    return " ".join(said)[:MAX_LABEL_CHARS]


def _told(question: str, answers: Sequence[tuple[str, str]]) -> str:
    is_chinese = bool(_HAN.search(question))
    lines = [_line(name, content, is_chinese) for name, content in answers]
    head = "查到的结果如下：" if is_chinese else "Here is what came back: "
    if len(lines) == 1:
        return head + lines[0]
    return head + "\n" + "\n".join(f"- {line}" for line in lines)


def _line(name: str, content: str, is_chinese: bool) -> str:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = content
    colon, comma, stop = ("：", "，", "。") if is_chinese else (": ", ", ", ".")
    if isinstance(value, dict) and isinstance(error := value.get("error"), dict):
        told = ("没有成功，" if is_chinese else "it did not work: ") + str(error.get("message"))
    elif isinstance(value, dict):
        told = comma.join(f"{key} {_short(it)}" for key, it in value.items())
    else:
        told = _short(value)
    return f"{name}{colon}{told[:MAX_CONTEXT_CHARS]}{stop}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
