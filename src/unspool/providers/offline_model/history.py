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
1950年，英国数学家艾伦·图灵写下一个问题：机器能思考吗？|图灵的问题|中景|夜里的书房，图灵伏\
在桌前写字，台灯照着一叠稿纸|艾伦·图灵
他设想了一场模仿游戏：隔着屏幕聊天，如果分不出对面是人还是机器，就算机器会思考。|模仿游戏|全\
景|一道隔板把房间分成两半，两边各有一台打字机，纸条从缝里递过来

1956年夏天，麦卡锡和几位同行在美国达特茅斯学院开会，“人工智能”这个名字从这里传开。|达特茅斯\
的夏天|远景|校园的草坪和白色小楼，几个人抱着书走进门|约翰·麦卡锡
没过几年，感知机学会了辨认简单的图形，聊天程序伊丽莎也能用打字和人对话。|第一批学生|近景|老\
式电传打字机自己动起来，一行字慢慢打在纸上

可是算力太小，数据太少，七十年代的经费被砍掉，人们把那段日子叫作人工智能的寒冬。|寒冬|远景\
|空荡荡的机房，窗外下着雪，一台机柜的灯灭了
八十年代的专家系统热闹过一阵，后来也因为太贵、太难维护而冷了下去。|专家系统|中景|一面墙的磁\
带柜，工程师翻着厚厚的规则手册

1997年，深蓝在国际象棋上战胜了世界冠军卡斯帕罗夫。|深蓝落子|特写|棋盘上的一枚棋子被轻轻放下，\
棋钟跳了一格|卡斯帕罗夫
2012年，一个叫AlexNet的神经网络在图像识别比赛里把别人远远甩开，深度学习火了起来。|学会看图\
|近景|屏幕上飞快闪过猫、汽车和花的照片，每张下面跳出一个名字
2016年，AlphaGo以四比一战胜围棋棋手李世石。|围棋之夜|特写|围棋盘的一角，黑白棋子交错，一只\
手停在半空|李世石

2017年，谷歌的研究者提出了Transformer，后来的大语言模型大多从它长出来。|一张新图纸|中景|白\
板上画满方框和箭头，有人擦掉一角又重画
2022年底，ChatGPT上线，普通人第一次可以像聊天一样用上人工智能。|人人都能聊|近景|地铁里，一\
部手机的对话框里正一个字一个字地冒出回答
从一个问题到随手可用的工具，这条路走了七十多年，而图灵的问题还在等一个答案。|还在路上|全景\
|清晨的城市，窗户一扇扇亮起来
""")

EN: Final = _told("""
In 1950 the British mathematician Alan Turing wrote down a question: can machines think?|Turing's \
question|medium shot|A study at night, Turing writes under a desk lamp on a pile of paper|Alan \
Turing
He imagined a game: you chat with somebody behind a wall, and if you cannot tell a machine \
from a person, the machine may be said to think.|The imitation game|wide shot|A wall divides \
a room, with a typewriter on either side, and a note comes through a slit

In the summer of 1956 John McCarthy and a few others met at Dartmouth College, and the name \
artificial intelligence spread from there.|The summer at Dartmouth|extreme wide shot|A lawn \
and a white building, a few people carry books through the door|John McCarthy
A few years later the perceptron learned to tell simple shapes apart, and a program named \
ELIZA talked with people by typewriter.|The first pupils|medium close-up|An old teletype begins \
to move by itself and prints a line

But computers were small and data was scarce, money was cut in the seventies, and people called \
that time the AI winter.|Winter|extreme wide shot|An empty machine room, snow behind the window, \
a lamp on a cabinet goes out
Expert systems were the fashion of the eighties, until they proved too costly to maintain.\
|Expert systems|medium shot|A wall of tape drives, an engineer turns the pages of a thick \
book of rules

In 1997 Deep Blue beat Garry Kasparov, the world champion of chess.|Deep Blue moves|close-up\
|A chess piece is put down gently and the clock jumps|Garry Kasparov
In 2012 a neural network named AlexNet won a contest in recognising images by a wide margin, \
and deep learning took off.|Learning to see|medium close-up|Photos of cats, cars and flowers \
flash by on a screen, each with a name below
In 2016 AlphaGo beat the Go player Lee Sedol by four games to one.|The night of Go|close-up\
|A corner of a Go board, black and white stones, a hand stops in the air|Lee Sedol

In 2017 researchers at Google described the Transformer, from which most large language models \
have grown.|A new blueprint|medium shot|A whiteboard full of boxes and arrows, somebody wipes \
a corner and draws again
At the end of 2022 ChatGPT opened, and everybody could use artificial intelligence by chatting.\
|Everybody talks|medium close-up|On the underground, an answer appears word by word on a phone
From a question to a tool at hand it took more than seventy years, and the question of Turing \
still waits for its answer.|Still on the way|wide shot|A city at dawn, the windows light up \
one by one
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
