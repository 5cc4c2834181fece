"""What the built-in model writes for the stages of a story: from the text that it was given."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from .text import Dice, Messages, question_in

MAX_SENTENCES: Final = 12
"""Of a text that is rewritten or broken down; a model of no wit is short."""

MAX_SCENES: Final = 6

_REWRITE: Final = re.compile(
    r"请改写下面的文案.*?\n原文：\n(.+?)(?:\n\n另外的要求：|\Z)", re.DOTALL
)
_BOARD: Final = re.compile(r"写分镜.*?\n文案：\n(.+?)(?:\n\n另外的要求：|\Z)", re.DOTALL)
_CAMERA: Final = re.compile(r"选一种运镜.*?\n分镜：\n(.+?)(?:\n\n另外的要求：|\Z)", re.DOTALL)

_OPENINGS: Final = ("先说一件事。", "你有没有想过这样一个问题？", "今天讲一个小故事。")
_LINKS: Final = ("", "接着往下看，", "再说下去，", "换个角度，")
_CLOSINGS: Final = ("故事讲到这里，剩下的留给你来想。", "就先说到这里，下回再接着讲。")
_SHOTS: Final = ("近景", "全景", "特写", "中景")
_MOVES: Final = ("push", "pan", "static", "follow", "pull", "truck")
_REASONS: Final = ("让视线慢慢靠近画面的中心", "交代环境", "停下来，让话落地", "跟着人物走")


def answer(messages: Messages) -> str | None:
    """Return what a stage of a story wants; None where the question is another."""
    question = question_in(messages)
    dice = Dice(messages)
    if found := _REWRITE.search(question):
        return _rewritten(found[1], dice)
    if found := _BOARD.search(question):
        return _written({"scenes": _scenes(found[1], dice)})
    if found := _CAMERA.search(question):
        return _written({"cameras": _cameras(found[1], dice)})
    return None


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)


def _sentences(text: str) -> list[str]:
    found = re.findall(r"[^。！？!?\n]+[。！？!?]?", text)
    return [part.strip() for part in found if part.strip()][:MAX_SENTENCES]


def _rewritten(text: str, dice: Dice) -> str:
    sentences = _sentences(text)
    if len(sentences) < 2:  # a topic: something is to be said about it
        topic = sentences[0].rstrip("。！？!?") if sentences else text.strip()
        sentences = [
            f"{topic}，听起来有点远，其实就在身边",
            f"说起{topic}，每个人想到的都不一样",
            "有人从头讲起，有人只记得其中一幕",
            "把这些片段连在一起，就有了今天的样子",
        ]
    opening = _OPENINGS[dice.number("opening", len(_OPENINGS))]
    linked = [
        f"{_LINKS[dice.number(f'link {n}', len(_LINKS))] if n else ''}{sentence.rstrip('。')}。"
        for n, sentence in enumerate(sentences)
    ]
    half = (len(linked) + 1) // 2
    closing = _CLOSINGS[dice.number("closing", len(_CLOSINGS))]
    return "\n\n".join([opening + "".join(linked[:half]), "".join(linked[half:]) + closing])


def _scenes(text: str, dice: Dice) -> list[dict[str, Any]]:
    sentences = _sentences(text)
    size = max(1, -(-len(sentences) // MAX_SCENES))
    groups = [sentences[at : at + size] for at in range(0, len(sentences), size)]
    return [
        {
            "number": number,
            "title": f"镜头 {number}",
            "description": f"{_SHOTS[dice.number(f'shot {number}', len(_SHOTS))]}："
            f"画面对应“{group[0].rstrip('。！？!?')[:30]}”",
            "narration": "".join(group),
            "characters": [],
            "duration_s": max(3, round(sum(map(len, group)) / 5)),
        }
        for number, group in enumerate(groups, start=1)
    ]


def _cameras(text: str, dice: Dice) -> list[dict[str, Any]]:
    numbers = [int(number) for number in re.findall(r"^(\d{1,4})\. ", text, re.MULTILINE)]
    return [
        {
            "scene": number,
            "movement": _MOVES[dice.number(f"move {number}", len(_MOVES))],
            "reason": _REASONS[dice.number(f"reason {number}", len(_REASONS))],
        }
        for number in numbers
    ]
