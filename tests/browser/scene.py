"""
What the screenshots show: models of several kinds, runs of every ending, two that go on.

All of it is made over HTTP, so the pages show what a server of anybody would.
"""

from __future__ import annotations

from typing import Any

from .stage import ADVICE, LETTER, POSTS, Stage, Steps, broken, model, spoken, whole

CNY = {"currency": "CNY"}
WEATHER = {"index": 0, "id": "c1", "name": "get_weather"}
THOUGHT = (
    "用户想知道明早适不适合跑步。先看天气：气温、风、空气，再按他的习惯排时间。回答要短，先说结论。"
)


def _counted(text: str) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": 96, "completion_tokens": round(len(text) / 1.5)}}


def _thoughtful(text: str, per_s: float) -> Steps:
    return [
        {"pause_s": 0.3},
        *[
            {"reasoning": piece["text"]} if "text" in piece else piece
            for piece in spoken(THOUGHT, 60)
        ],
        *spoken(text, per_s),
        _counted(THOUGHT + text),
        {"finish": "stop"},
    ]


def register(stage: Stage) -> None:
    """Models as people have them; what befalls each is in its script."""
    down = [
        {"pause_s": 0.9},
        {"fail": "unavailable", "code": "overloaded", "status": 529, "message": "overloaded"},
    ]
    cheap = {**CNY, "prompt": 0.8, "completion": 2}
    usual = {**CNY, "prompt": 1, "completion": 2}
    dear = {"currency": "USD", "prompt": 3, "completion": 15}
    refusal = {"fail": "refused", "code": "auth", "status": 401, "message": "invalid x-api-key"}
    posts = {"attempts": [whole(POSTS[0], 34), whole(POSTS[2], 30)]}
    stage.register(
        model("deepseek-chat", _thoughtful(ADVICE, 36), prices=usual),
        model("qwen-plus", whole(ADVICE, 42), prices=cheap),
        model("qwen3-8b", whole(LETTER, 20)),
        model("deepseek-long", {"attempts": [broken(LETTER, 118, 34), down]}, prices=usual),
        model("qwen-long", whole(LETTER, 40), prices=cheap),
        model("claude-sonnet", [refusal], prices=dear),
        model("small-local", broken(LETTER, 90, 22, silence_s=0.2)),
        model("deepseek-copy", posts, prices=usual),
        model("qwen-copy", whole(POSTS[1], 38), prices=cheap),
        model("slow-local", whole(POSTS[2], 9)),
    )
    stage.route("story-default", "deepseek-long", "qwen-long")
    stage.route("copy-default", "deepseek-copy", "qwen-copy", strategy="round_robin")


ASKED = "请把这段梗概改写成三段短文：守塔人与最后一封信。少用形容词，多用动作。"


FOR_A_READER = {"sku": "8WZ01CM1", "style": "natural", "user_id": "user_0007"}


def play(stage: Stage) -> dict[str, str]:
    """Let runs end in every way there is; return their ids by what they show."""
    runs = {
        "seam": stage.ask(ASKED, "story-default"),
        "offline": stage.ask("解释一下什么是幂等，用一个生活里的例子。", "offline"),
        "advice": stage.ask("上海明天适合晨跑吗？先查天气，再给我一个安排。", "deepseek-chat"),
        "advice-2": stage.ask("上海明天适合晨跑吗？先查天气，再给我一个安排。", "qwen-plus"),
        "refused": stage.ask("把这段话改得更像人写的。", "claude-sonnet"),
        "incomplete": stage.ask("把灯塔的故事讲完。", "small-local"),
        "copy": stage.start("copywriting", FOR_A_READER, "copy-default"),
        "copy-2": stage.start("copywriting", {"sku": "8AC05OR1", "style": "funny"}, "offline"),
        "slow": stage.ask(ASKED, "qwen3-8b"),
    }
    cancelled = stage.ask("写一段两百字的开场白。", "slow-local")
    runs["cancelled"] = cancelled
    stage.until(cancelled, lambda run: len(run["text"]) > 24)
    stage.cancel(cancelled)
    for run_id in runs.values():
        stage.wait(run_id)
    return runs
