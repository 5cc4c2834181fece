"""Images of a question, each vendor's way, as they go over the wire."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from support.images import GIF, PNG, data_url
from support.provider_probe import ask, at
from support.upstream import Upstream, refusal
from unspool import Prompt
from unspool.providers import Image
from unspool.providers.upstream.engines import can_render

B64 = base64.b64encode(PNG).decode()
B64_GIF = base64.b64encode(GIF).decode()

TALK: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": "这是什么？", "images": [Image("image/png", PNG)]},
    {"role": "assistant", "content": "一个点。"},
    {
        "role": "user",
        "content": "这两张呢？",
        "images": [Image("image/png", PNG), Image("image/gif", GIF)],
    },
)
SAID = {"role": "assistant", "content": "一个点。"}


def _openai(*urls: str, text: str) -> dict[str, Any]:
    shown = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": "user", "content": [*shown, {"type": "text", "text": text}]}


def _anthropic(*images: tuple[str, str], text: str) -> dict[str, Any]:
    shown = [
        {"type": "image", "source": {"type": "base64", "media_type": type_, "data": data}}
        for type_, data in images
    ]
    return {"role": "user", "content": [*shown, {"type": "text", "text": text}]}


def _gemini(*images: tuple[str, str], text: str) -> dict[str, Any]:
    shown = [{"inlineData": {"mimeType": type_, "data": data}} for type_, data in images]
    return {"role": "user", "parts": [*shown, {"text": text}]}


def _responses(*urls: str, text: str) -> dict[str, Any]:
    shown = [{"type": "input_image", "image_url": url} for url in urls]
    return {"role": "user", "content": [*shown, {"type": "input_text", "text": text}]}


ONE = (("image/png", B64),)
TWO = (*ONE, ("image/gif", B64_GIF))
URL, URL_GIF = data_url(), data_url(GIF, "image/gif")

WAYS: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
    "openai": (
        "/v1",
        "messages",
        [
            _openai(URL, text="这是什么？"),
            SAID,
            _openai(URL, URL_GIF, text="这两张呢？"),
        ],
    ),
    "anthropic": (
        "",
        "messages",
        [_anthropic(*ONE, text="这是什么？"), SAID, _anthropic(*TWO, text="这两张呢？")],
    ),
    "gemini": (
        "/v1beta",
        "contents",
        [
            _gemini(*ONE, text="这是什么？"),
            {"role": "model", "parts": [{"text": "一个点。"}]},
            _gemini(*TWO, text="这两张呢？"),
        ],
    ),
    "ollama": (
        "",
        "messages",
        [
            {"role": "user", "content": "这是什么？", "images": [B64]},
            SAID,
            {"role": "user", "content": "这两张呢？", "images": [B64, B64_GIF]},
        ],
    ),
    "responses": (
        "/v1",
        "input",
        [
            _responses(URL, text="这是什么？"),
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "一个点。"}],
            },
            _responses(URL, URL_GIF, text="这两张呢？"),
        ],
    ),
}


@pytest.mark.parametrize("provider", WAYS)
async def test_images_stand_before_the_text_of_their_question(
    upstream: Upstream, provider: str
) -> None:
    path, field, written = WAYS[provider]
    upstream.play = [refusal(400)]
    await ask(at(upstream, provider, path), Prompt(TALK))
    (asked,) = upstream.requests
    assert asked.body[field] == written


@pytest.mark.parametrize("provider", WAYS)
@pytest.mark.parametrize(
    "words",
    [
        "Invalid content type. image_url is only supported by certain models.",
        "messages[0]: unknown variant `image_url`, expected `text`",
        "this model does not support vision",
        "该模型不支持图片输入",
    ],
)
async def test_a_model_that_refuses_images_says_so_by_a_code(
    upstream: Upstream, provider: str, words: str
) -> None:
    model = at(upstream, provider, WAYS[provider][0])
    upstream.play = [refusal(400, words)]
    heard = await ask(model, Prompt(TALK))
    assert heard.failure == ("refused", "no_images")
    assert words in str(heard.error)
    upstream.play = [refusal(400, words)]
    heard = await ask(model, Prompt.of("没有图"))
    assert heard.failure == ("refused", "invalid_request")


async def test_an_engine_without_eyes_is_not_asked_again(upstream: Upstream) -> None:
    words = "image input is not supported - hint: you may need to provide the mmproj"
    upstream.play = [refusal(500, words)]
    heard = await ask(at(upstream, "openai", WAYS["openai"][0]), Prompt(TALK))
    assert heard.failure == ("refused", "no_images")
    assert words in str(heard.error)
    assert len(upstream.requests) == 1


def test_a_template_of_the_engine_writes_no_images() -> None:
    assert can_render(Prompt.of("没有图"))
    assert not can_render(Prompt(TALK))


def test_the_text_beside_images_is_the_question() -> None:
    assert Prompt(TALK).question == "这两张呢？"
    assert "89504e47" not in repr(Prompt(TALK)).lower()
    assert B64 not in repr(replace(Prompt(TALK), prefix="一"))
