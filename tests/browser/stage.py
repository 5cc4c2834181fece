"""
A server with models and runs worth looking at: one that breaks and is gone on with, one that
stalls, one that is slow, one that is refused.

The models are `scripted` and say their texts at the pace of real ones; what happens to them is
what happens to any model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx

POSTS = (
    "今天推荐这双云感慢跑鞋。上周末穿着它沿江跑了八公里，脚踝和膝盖都没有平时那种酸胀。鞋面是一体"
    "针织的，透气，出汗也不闷；中底踩下去软，回弹却不拖沓。灰白配色很好搭，下班换上就能直接去操场。",
    "常有人问，通勤和运动能不能只带一双鞋。我的答案是可以：它一只只有 238 克，放进包里几乎没感觉；"
    "鞋头留了半指的余量，走上一整天也不挤脚。雨后的地砖我试过，橡胶大底抓得很稳，急停也不打滑。",
    "如果你刚开始跑步，不必急着追配速。先找一双不让你难受的鞋，再把三公里跑舒服。这双的缓震偏软，"
    "后跟杯也稳，对体重大一些的朋友很友好。尺码正常，脚背高的话建议大半码。先走起来，再跑起来。",
)

LETTER = (
    "通知是夹在米袋里送来的。老周把它读了两遍，叠好，压在煤油灯下面。三十一年，他给这座塔换过四次"
    "灯泡，补过十一回墙，现在塔要自己亮了。\n\n月底前他开始收拾。两只碗，一件雨衣，半本潮了的日历。"
    "抽屉卡住，他跪下去拽，最底下滑出一封信。邮票贴得端正，地址是他的字，只是墨色淡得像隔了一场雾。"
    "\n\n天没亮，他提着灯下了石阶。补给船正在解缆，他把信递过去，手没有马上松开。船老大问他还有没有"
    "别的要带。他摇头，说塔上的灯，今晚记得看一眼。"
)

ADVICE = (
    "适合。明早多云，12 到 16 ℃，空气优，风不大。\n6:40 热身十分钟，以快走和摆腿为主；\n6:50 起跑，"
    "前两公里配速放在 6 分半，身体热了再提到 6 分；\n7:25 收尾，慢走五分钟，再补半杯温水。\n\n如果"
    "起来时在下雨，就改到傍晚，风会更小。"
)

Steps = list[dict[str, Any]]


def spoken(text: str, per_s: float, *, seed: int = 5) -> Steps:
    """A text in pieces of one to four characters, at about so many tokens a second."""
    steps: Steps = []
    at = 0
    while at < len(text):
        seed = (seed * 16807) % 2147483647
        size = (1, 2, 2, 3, 4)[seed % 5]
        piece = text[at : at + size]
        steps += [
            {"text": piece},
            {"pause_s": round(len(piece) / 1.5 / per_s * (0.5 + seed % 100 / 100), 4)},
        ]
        at += size
    return steps


def whole(text: str, per_s: float, *, first_s: float = 0.3, before: Steps | None = None) -> Steps:
    """An answer that is all there, with a count of what it took."""
    used = {"usage": {"prompt_tokens": 96, "completion_tokens": round(len(text) / 1.5)}}
    return [{"pause_s": first_s}, *(before or []), *spoken(text, per_s), used, {"finish": "stop"}]


def begun(text: str) -> Steps:
    """The beginning of an answer, and no more of it for as long as a test takes."""
    return [{"text": text}, {"pause_s": 600}]


def broken(text: str, at: int, per_s: float, *, silence_s: float = 0.8) -> Steps:
    """An answer that breaks off in the middle, after a silence."""
    cut = {"pause_s": silence_s}
    return [
        {"pause_s": 0.3},
        *spoken(text[:at], per_s),
        cut,
        {
            "fail": "interrupted",
            "code": "truncated",
            "message": "the provider's stream stopped before its end",
        },
    ]


def model(name: str, script: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "provider": "scripted",
        "params": {"script": script},
        "prefill": "assistant",
        **more,
    }


class Stage:
    """One server's models and runs, set up over HTTP as anybody would."""

    def __init__(self, url: str, key: str = "") -> None:
        self.url = url
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def register(self, *models: dict[str, Any]) -> None:
        for each in models:
            self._http.post("/api/models", json=each).raise_for_status()

    def route(self, name: str, *models: str, strategy: str = "ordered") -> None:
        body = {"name": name, "strategy": strategy, "models": list(models)}
        self._http.post("/api/routes", json=body).raise_for_status()

    def get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return self._http.patch(path, json=body).raise_for_status().json()

    def delete(self, path: str) -> None:
        self._http.delete(path).raise_for_status()

    def start(self, flow: str, asked: dict[str, Any], model: str = "") -> str:
        answer = self._http.post("/v1/runs", json={"flow": flow, "input": asked, "model": model})
        answer.raise_for_status()
        return str(answer.json()["id"])

    def ask(self, prompt: str, model: str = "", **more: Any) -> str:
        return self.start("chat", {"prompt": prompt, **more}, model)

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._http.get(f"/v1/runs/{run_id}").raise_for_status().json()
        return found

    def cancel(self, run_id: str) -> None:
        self._http.post(f"/v1/runs/{run_id}/cancel").raise_for_status()

    def wait(self, run_id: str) -> dict[str, Any]:
        """Follow a run to its end."""
        with self._http.stream("GET", f"/v1/runs/{run_id}/events", timeout=60) as events:
            for _ in events.iter_lines():
                pass
        return self.run(run_id)

    def until(
        self, run_id: str, holds: Callable[[dict[str, Any]], bool], within_s: float = 15
    ) -> None:
        """Wait until the run is as wanted."""
        end = time.monotonic() + within_s
        while not holds(self.run(run_id)):
            assert time.monotonic() < end, f"{run_id} did not come so far"
            time.sleep(0.03)

    def events(self, run_id: str) -> list[dict[str, Any]]:
        with self._http.stream(
            "GET", f"/v1/runs/{run_id}/events", params={"dialect": "native"}
        ) as told:
            lines = [line[6:] for line in told.iter_lines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines]
