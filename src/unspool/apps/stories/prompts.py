"""The prompts for the stages of a story."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .records import StageKind
from .request import MOVEMENTS, Story

SYSTEM: Final[Mapping[StageKind, str]] = {
    "rewrite": "你是一名短视频文案编辑，把给你的文字改写成适合口播的文案，不改变事实。",
    "storyboard": "你是一名分镜师，把文案拆成可以拍摄的镜头。",
    "camera": "你是一名摄影指导，为每个镜头选一种运镜。",
}

MAX_SCENES: Final = 40
"""In one storyboard: a film of five minutes."""


def stage_prompt(request: Story, kind: StageKind, given: Any) -> str:
    """Return the prompt of a stage; `given` is the result of the stage before it."""
    lines = _WRITERS[kind](given)
    wish = ["", f"另外的要求：{request.wish}"] if request.wish else []
    return "\n".join([*lines, *wish])


def _rewrite(text: str) -> list[str]:
    return [
        "请改写下面的文案，使它口语、连贯、有画面，适合做短视频的旁白。",
        "",
        "要求：",
        "1. 不改变原意，不添加没有的事实。",
        "2. 分成几个自然段，句子短一些。",
        "3. 直接写改写后的文案，不要标题，不要解释。",
        "",
        "原文：",
        text,
    ]


def _storyboard(text: str) -> list[str]:
    shape = {
        "scenes": [
            {
                "number": 1,
                "title": "…",
                "description": "…",
                "narration": "…",
                "characters": ["…"],
                "duration_s": 5,
            }
        ]
    }
    return [
        f"请为下面的文案写分镜，按顺序，2 到 {MAX_SCENES} 个镜头。",
        "description 写画面里看到什么，narration 是这个镜头的旁白，取自文案；",
        "characters 是出现的人物，没有就留空；duration_s 是秒数。",
        "只回答一个 JSON 对象，不要解释，也不要代码块，形式如下：",
        json.dumps(shape, ensure_ascii=False),
        "",
        "文案：",
        text,
    ]


def _camera(scenes: Sequence[Mapping[str, Any]]) -> list[str]:
    kinds = "、".join(f"{name}（{word}）" for name, word in MOVEMENTS.items())
    shape = {"cameras": [{"scene": 1, "movement": "push", "reason": "…"}]}
    return [
        "请为下面的每个分镜选一种运镜，每个分镜一种。",
        f"movement 只能是：{kinds}。reason 用一句话说为什么。",
        "只回答一个 JSON 对象，不要解释，也不要代码块，形式如下：",
        json.dumps(shape, ensure_ascii=False),
        "",
        "分镜：",
        *(f"{scene['number']}. {scene['title']} {scene['description']}" for scene in scenes),
    ]


_WRITERS: Final[Mapping[StageKind, Callable[[Any], list[str]]]] = {
    "rewrite": _rewrite,
    "storyboard": _storyboard,
    "camera": _camera,
}
