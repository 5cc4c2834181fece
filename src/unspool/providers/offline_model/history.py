"""
The one story that the built-in model knows: the history of AI, in Chinese and English.

Each line of `TOLD` is a sentence, with the scene that shows it. The facts are common knowledge.
An empty line begins a paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

ABOUT: Final = re.compile(
    r"(?:\bAI\b|AI(?=[\u3400-\u9fff])|人工智能|artificial intelligence)", re.IGNORECASE
)
OVER_TIME: Final = re.compile(
    r"历史|历程|发展|演变|演进|起源|由来|简史|history|development|evolution|origins?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence, and its scene."""

    sentence: str
    title: str
    shot_size: str
    description: str
    characters: Sequence[str] = ()


def _told(text: str) -> list[list[Told]]:
    paragraphs: list[list[Told]] = [[]]
    for line in text.strip().splitlines():
        if not line:
            paragraphs.append([])
            continue
        sentence, title, size, description, *names = (part.strip() for part in line.split("|"))
        paragraphs[-1].append(Told(sentence, title, size, description, names))
    return paragraphs


ZH: Final = _told("""
1950年，图灵问了一个问题：机器能思考吗？|图灵的问题|中景|夜里的书房，图灵伏在桌前写字|艾伦·图灵
他设想了一场游戏：隔着墙聊天，分不出是人还是机器，就算机器会思考。|模仿游戏|全景|\
一道隔板，两边各有一台打字机，纸条从缝里递过来

1956年的达特茅斯会议上，“人工智能”有了自己的名字。|达特茅斯的夏天|远景|\
草坪和白色小楼，几个人抱着书走进门|约翰·麦卡锡
可是算力太小，经费被砍，七十年代成了人工智能的寒冬。|寒冬|远景|\
空荡荡的机房，窗外下着雪，一盏灯灭了

1997年，深蓝战胜国际象棋冠军卡斯帕罗夫。|深蓝落子|特写|一枚棋子被放下，棋钟跳了一格|卡斯帕罗夫
2012年，AlexNet让深度学习火了起来。|学会看图|近景|屏幕上闪过猫和花的照片，每张跳出一个名字
2016年，AlphaGo战胜围棋棋手李世石。|围棋之夜|特写|棋盘一角，黑白交错，一只手停在半空|李世石

2017年，Transformer出现，大语言模型从它长出来。|一张新图纸|中景|白板上画满方框和箭头，有人擦掉重画
2022年底，ChatGPT上线，人人都能和人工智能聊天。|人人都能聊|近景|手机的对话框里，一个字一个字冒出回答
七十多年过去，图灵的问题还在等一个答案。|还在路上|全景|清晨的城市，窗户一扇扇亮起来
""")

EN: Final = _told("""
In 1950 Alan Turing asked a question: can machines think?|Turing's question|medium shot|\
A study at night, Turing writes under a lamp|Alan Turing
He imagined a game: if you cannot tell a machine from a person through a wall, it thinks.|\
The imitation game|wide shot|A wall with a typewriter on either side, a note comes through a slit

At Dartmouth in 1956 artificial intelligence got its name.|The summer at Dartmouth|\
extreme wide shot|A lawn and a white building, a few people carry books inside|John McCarthy
But computers were small, money was cut, and the seventies became the AI winter.|Winter|\
extreme wide shot|An empty machine room, snow behind the window, a lamp goes out

In 1997 Deep Blue beat Garry Kasparov, the champion of chess.|Deep Blue moves|close-up|\
A chess piece is put down and the clock jumps|Garry Kasparov
In 2012 AlexNet made deep learning take off.|Learning to see|medium close-up|\
Photos of cats and flowers flash by, each with a name
In 2016 AlphaGo beat the Go player Lee Sedol.|The night of Go|close-up|\
A corner of a Go board, a hand stops in the air|Lee Sedol

In 2017 came the Transformer, from which large language models have grown.|A new blueprint|\
medium shot|A whiteboard full of boxes and arrows, somebody draws again
At the end of 2022 ChatGPT opened, and everybody could chat with AI.|Everybody talks|\
medium close-up|An answer appears word by word on a phone
Over seventy years later, the question of Turing still waits for its answer.|Still on the way|\
wide shot|A city at dawn, the windows light up one by one
""")

LOOKS: Final[Mapping[str, str]] = {
    "艾伦·图灵": "三十多岁的英国数学家，深色西装，头发整齐",
    "约翰·麦卡锡": "年轻的美国教师，戴眼镜，衬衫",
    "卡斯帕罗夫": "三十多岁的国际象棋冠军，深色头发，西装",
    "李世石": "三十多岁的韩国围棋棋手，西装，神情专注",
    "Alan Turing": "a British mathematician in his thirties, dark suit, tidy hair",
    "John McCarthy": "a young American teacher with glasses and a shirt",
    "Garry Kasparov": "a chess champion in his thirties, dark hair, suit",
    "Lee Sedol": "a Korean Go player in his thirties, suit, all attention",
}

SCENES: Final[Mapping[str, Told]] = {
    told.sentence: told for story in (ZH, EN) for paragraph in story for told in paragraph
}
"""By their sentences."""


def story_of(topic: str, *, is_chinese: bool) -> str | None:
    """Return the story if a topic asks for it."""
    if not ABOUT.search(topic) or not OVER_TIME.search(topic):
        return None
    between = "" if is_chinese else " "
    paragraphs = ZH if is_chinese else EN
    return "\n\n".join(between.join(told.sentence for told in part) for part in paragraphs)
