"""Why a call got its verdict, in English and in Chinese, by a stable word for programs."""

from __future__ import annotations

from typing import Final, Literal

Reason = Literal[
    "stream_true",
    "stream_false",
    "stream_absent",
    "stream_unknown",
    "stream_parameter",
    "streams",
    "waits",
    "made_streaming",
    "not_awaited",
]

_WORDS: Final[dict[Reason, tuple[str, str]]] = {
    "stream_true": ("stream is true", "stream 为真"),
    "stream_false": ("stream is false", "stream 为假"),
    "stream_absent": ("nothing is said of stream", "没有写 stream"),
    "stream_unknown": (
        "stream is something that cannot be followed",
        "stream 的值无法从代码中看出",
    ),
    "stream_parameter": (
        "stream is a parameter that is not called with here",
        "stream 是参数，这里没有传入",
    ),
    "streams": ("it always streams", "这个接口总是流式"),
    "waits": ("it waits for the whole answer", "这个接口要等完整回答"),
    "made_streaming": ("made with streaming", "创建时打开了流式"),
    "not_awaited": (
        "a coroutine is iterated without await; write `async for … in await …`",
        "缺少 await：协程不能直接用 async for 遍历，应写成 async for … in await …",
    ),
}


def words_of(reason: Reason, through: str, *, chinese: bool = False) -> str:
    """Return the reason as a sentence; `through` is the function that passes the call on."""
    english, zh = _WORDS[reason]
    if chinese:
        return f"{zh}，经由 {through}" if through else zh
    return f"{english}, through {through}" if through else english
