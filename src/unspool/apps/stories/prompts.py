"""The prompts for the stages of a story."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .film import MOVEMENTS, SHOT_SIZES
from .records import StageKind
from .request import Story

SYSTEM: Final[Mapping[StageKind, str]] = {
    "rewrite": "你是一名短视频文案编辑，把给你的文字改写成适合口播的文案，不改变事实。",
    "storyboard": "你是一名分镜师，把文案拆成可以拍摄的镜头。",
    "camera": "你是一名摄影指导，为每个镜头选一种运镜。",
}

MAX_SCENES: Final = 40
"""In one storyboard: a film of five minutes."""

MAX_SHOWN_CHARS: Final = 6000
"""Of the text around one scene, in its prompt."""

_SCENE: Final = {
    "number": 1,
    "title": "…",
    "shot_size": "中景",
    "description": "…",
    "narration": "…",
    "characters": ["…"],
    "duration_s": 5,
}
_SIZES: Final = "、".join(SHOT_SIZES.values())
_FIELDS: Final = (
    "description 写画面里看到什么，narration 是这个镜头的旁白，取自文案；",
    f"shot_size 是景别：{_SIZES}之一；duration_s 是秒数；",
)
_ONLY_JSON: Final = "只回答一个 JSON 对象，不要解释，也不要代码块，形式如下："


def stage_prompt(request: Story, kind: StageKind, given: Any) -> str:
    """Return the prompt of a stage; `given` is the result of the stage before it."""
    lines = _WRITERS[kind](given)
    if request.scene is not None and request.board is not None:
        lines = _one_scene(request.scene, request.board.scenes, request.board.characters, given)
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
    shape = {"characters": [{"name": "…", "look": "…"}], "scenes": [_SCENE]}
    return [
        f"请为下面的文案写分镜，按顺序，2 到 {MAX_SCENES} 个镜头，合起来讲完整篇文案。",
        "先列出 characters：故事里的人物和外貌（look，始终一致）；没有人物就留空。",
        *_FIELDS,
        "镜头里的 characters 是出现的人物，用上面的名字，没有就留空。",
        _ONLY_JSON,
        json.dumps(shape, ensure_ascii=False),
        "",
        "文案：",
        text,
    ]


def _one_scene(
    number: int,
    scenes: Sequence[Mapping[str, Any]],
    characters: Sequence[Mapping[str, Any]],
    text: str,
) -> list[str]:
    old = next(scene for scene in scenes if scene["number"] == number)
    at = scenes.index(old)
    before, after = scenes[max(0, at - 1) : at], scenes[at + 1 : at + 2]
    cast = [f"- {one['name']}：{one['look']}" for one in characters]
    shown = {**old, "shot_size": SHOT_SIZES.get(old.get("shot_size", ""), "")}
    return [
        f"请重写分镜的第 {number} 个镜头，讲的内容不变，画面换一种拍法，并和前后的镜头接得上。",
        *_FIELDS,
        "characters 是出现的人物，只用人物表里的名字，没有就留空。",
        _ONLY_JSON,
        json.dumps({"scenes": [{**_SCENE, "number": number}]}, ensure_ascii=False),
        "",
        *(["人物表：", *cast, ""] if cast else []),
        *(f"前一个镜头：{scene['title']} {scene['description']}" for scene in before),
        *(f"后一个镜头：{scene['title']} {scene['description']}" for scene in after),
        "这个镜头现在是：",
        json.dumps(shown, ensure_ascii=False),
        "",
        "文案：",
        text[:MAX_SHOWN_CHARS],
    ]


def _camera(scenes: Sequence[Mapping[str, Any]]) -> list[str]:
    kinds = "、".join(f"{name}（{word}）" for name, word in MOVEMENTS.items())
    shape = {"cameras": [{"scene": 1, "movement": "push", "reason": "…"}]}
    return [
        "请为下面的每个分镜选一种运镜，每个分镜一种，和它的景别配得上。",
        f"movement 只能是：{kinds}。reason 用一句话说为什么，说的要和 movement 一致。",
        _ONLY_JSON,
        json.dumps(shape, ensure_ascii=False),
        "",
        "分镜：",
        *(_shot_line(scene) for scene in scenes),
    ]


def _shot_line(scene: Mapping[str, Any]) -> str:
    size = SHOT_SIZES.get(scene.get("shot_size", ""))
    line = f"{scene['number']}. {scene['title']} {scene['description']}"
    return f"{line}（{size}）" if size else line


_WRITERS: Final[Mapping[StageKind, Callable[[Any], list[str]]]] = {
    "rewrite": _rewrite,
    "storyboard": _storyboard,
    "camera": _camera,
}
