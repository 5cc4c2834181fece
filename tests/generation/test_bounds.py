"""A text that a flow bounds ends at the same character, however the model cuts it in pieces."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from unspool.flows import Context, Flow
from unspool.testing import Played, play

TEXTS = {
    "鞋面是飞织的。走一天也不闷脚！“回弹好。”下班顺路走两站。": ["鞋面是飞织的。走一天也不闷脚！"],
    "It weighs 3.5 ounces. Light. Then more. And more of it. On and on.": ["It weighs 3.5 ounces."],
    "第一句“很短。”第二句更长一些，还没有完。第三句。": [
        "第一句“很短。”第二句更长一些，还没有完。"
    ],
    "第一行没有标点\n第二行也没有标点符号\n第三行": ["第一行没有标点\n第二行也没有标点符号"],
    "短。": ["短。"],
}


class Empty(BaseModel):
    pass


class Bounded(Flow[Empty]):
    """Asks for one text."""

    input_model = Empty

    def __init__(self, max_chars: int) -> None:
        self.max_chars = max_chars

    async def run(self, ctx: Context, request: Empty) -> None:
        ctx.result(await ctx.generate("?", step="text", max_chars=self.max_chars))


async def written(text: str, size: int, max_chars: int) -> Played:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    script = [{"text": piece} for piece in pieces]
    return await play(Bounded(max_chars), Empty(), says=[[*script, {"finish": "stop"}]])


@pytest.mark.parametrize("text", TEXTS)
async def test_the_end_does_not_depend_on_the_pieces(text: str) -> None:
    ends = {(await written(text, size, 15)).run.result for size in (1, 2, 3, 5, 8, 100)}
    assert list(ends) == TEXTS[text]


async def test_a_text_within_its_bound_is_whole() -> None:
    text = next(iter(TEXTS))
    played = await written(text, 3, len(text))
    assert played.run.result == text
    assert played.of("attempt.finished")[0]["finish_reason"] == "stop"


async def test_a_sentence_that_does_not_end_is_given_up_and_nobody_else_is_asked() -> None:
    played = await written("这句话很长" * 3 + "还没有完" * 20, 4, 20)
    assert (played.run.status, len(played.run.attempts)) == ("incomplete", 1)
    assert played.run.error is not None
    assert played.run.error["code"] == "too_long"
    assert len(played.run.text) == 20 * 1.5
