"""
The words of the built-in model, in Chinese and in English.

A `[kind]` of answer is a row of slots; a slot (`-`) is a choice of sentences, one to a
line. A sentence is used only where all words in its braces are known; `/` is a line
break. To add a kind: a block in both languages, and a pattern of its name in both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Voice:
    """One language. `endings`: what ends another's text after a full stop, a comma, a word."""

    shapes: Mapping[str, list[list[str]]]
    patterns: Mapping[str, re.Pattern[str]]
    space: str
    endings: tuple[str, str, str]


def _shapes(text: str) -> dict[str, list[list[str]]]:
    shapes: dict[str, list[list[str]]] = {}
    for line in text.strip().splitlines():
        if line.startswith("["):
            slots = shapes.setdefault(line.strip("[]"), [])
            continue
        if line.startswith("- "):
            slots.append([])
        slots[-1].append(line[2:].replace("/", "\n"))
    return shapes


def _patterns(**patterns: str) -> dict[str, re.Pattern[str]]:
    return {name: re.compile(pattern, re.IGNORECASE) for name, pattern in patterns.items()}


ZH: Final = Voice(
    shapes=_shapes("""
[sales]
- 今天想和你聊聊{name}。
  正在找{category}的话，可以看看{name}。
  {name}，值得花一分钟认识一下。
  先把{name}说清楚，合不合适由你来定。
- 它的特点写得明明白白：{points}。
  说几句实在的：{points}。
- 挑{thing}，先看脚感，再看透气和防滑，然后才轮到颜色。
- 材质是{material}，颜色是{color}，照着衣柜想一想就有画面了。
  {color}这个颜色，配什么都由你做主。
  用的材质是{material}。
- 平日里{scenes}，都可以想到它。
- 标价{price}，可以先收藏，再慢慢比较。
- 更多细节，欢迎到详情页看看。
  合适的话，就让它陪你走一段吧。
[shoes]
- {thing}具有舒适、轻便、透气、耐磨等特点，日常走路和一般的运动都适合。
  {thing}的特点，可以归结为舒适、轻便、透气和防滑，为的是走得稳、动得开。
  说到{thing}，大家看重的多半是脚感：软硬适中，轻便透气，落地也稳。
- 鞋底一般分两层：中底负责缓震，减轻落地时的冲击；外底负责抓地和耐磨。
  脚下的感觉主要来自鞋底：中底软一些，缓震好；硬一些，支撑足。
- 鞋面常用网布或针织面料，透气、贴脚，也比较容易打理。
  鞋面多用透气的织物，鞋头和后跟再做加固，既不闷脚，也不容易走形。
- 挑选时先想好主要在什么地方穿，再看脚型和尺码；傍晚脚会略胀，那时试穿更准。
  买之前不妨穿上走几步：脚趾前留一点空间，后跟不滑脱，就差不多合适了。
[greeting]
- 你好！很高兴见到你。
- 我是内置的离线模型，不需要密钥，也不联网，可以陪你把整个流程先走一遍。
- {key}
[poem]
- 《{subject}》//我在纸上写下{subject}，/风从字缝里经过。/有人问它要去哪里，/灯影轻轻动了一动。
  《{subject}》//夜深了，窗还亮着，/{subject}坐在灯下，不说话。/远处有车驶过，/像一句没写完的问候。
- //话说到一半停住，/像茶还温着。/剩下的那一半，/留给读到这里的你。
  //天亮以后，/旧的问题长出新的叶子。/我们数着，记着，/把名字一个个叫出来。
- {note}
[joke]
- 一台服务器去看医生：“总有人在叫我。”“叫你什么？”“每隔十五秒问一声：你还在吗？”
  我问打印机为什么不干活，它说等纸。纸放好了，它说等墨。墨也换了，它说：那就等下班吧。
- {note}
[note]
- //（我是内置的离线模型。{key}）
[reply]
- 关于“{subject}”，可以分三步来看：它指的是什么，用在什么地方，和相近的有何不同。
  “{subject}”值得细说。可以先列出要点，再逐个找可靠的资料核对。
- 我是内置的离线模型，不联网，也查不了资料，所以不在这里编造具体内容。
  要说明一下：现在回答你的是内置的离线模型，手头没有资料，具体内容就不乱说了。
- {key}
[key]
- 想要真正的回答，请设置 LLM_API_KEY、LLM_BASE_URL 和 LLM_MODEL（环境变量或 .env），再重新启动。
"""),
    patterns=_patterns(
        shoes=r"(运动|跑步|慢跑|健步|训练|篮球|网球|羽毛球|徒步|登山|休闲|跑)鞋",
        sales="文案|推荐|种草|广告|推销|卖点",
        greeting=r"^(你好|您好|嗨|哈喽|早上好|晚上好|在吗)|介绍一?下?(你|您)?自己|你是谁",
        poem="写.{0,4}(诗|词)|的(小|短|现代)?诗",
        joke="笑话|段子",
        number=r"第\s*(\d{1,4})\s*[条篇段]",
        one_sentence="一句",
        courtesy=r"^(请问|请|麻烦|您|你|[帮给替]我|能不能|能否|可以|用[^，。]{1,4}话|介绍|解释|说明|"
        r"说说|讲讲|谈谈|聊聊|说|讲|写一?[首篇段个]?|一下|什么是|关于|如何|怎么|为什么|一?个|\s)+",
        tail="(是什么意思|是什么|怎么样|吗|呢|吧|的[小短]?诗|的故事|的文章)+$",
    ),
    space="",
    endings=(
        "这一段先说到这里，具体情况请以实际资料为准。",
        "其余的细节，请以实际资料为准。",
        "……这里先说到这儿，其余的细节，请以实际资料为准。",
    ),
)

EN: Final = Voice(
    shapes=_shapes("""
[sales]
- Let us talk about {name} today.
  If you are looking for {category}, have a look at {name}.
  Worth a minute of your time: {name}.
- What is on offer is easy to name: {points}.
  What stands out: {points}.
- With {thing}, begin with how they feel, then the grip, and leave the colour for last.
- The material is {material} and the colour is {color}.
  The colour is {color}; what goes with it is up to you.
  The material is {material}.
- Made for {scenes}.
- The price is {price}.
- The product page has the rest.
  Have a second look; there is no hurry.
[shoes]
- Good {thing} are comfortable, light, breathable and hard-wearing.
  What people look for in {thing} is comfort, low weight, fresh air and a steady grip.
- The sole usually has two layers: one that softens each landing and one that grips.
  Most of the feel comes from the sole: soft ones cushion more, firm ones support better.
- The upper is often mesh or knit, which lets air through and is easy to clean.
  Uppers tend to be knit, with firmer material at the toe and the heel.
- Feet swell a little towards evening, which makes it a good time to try a pair on.
  Before you buy, walk a few steps: some room at the toes and a firm heel is about right.
[greeting]
- Hello! Good to meet you.
- I am the built-in offline model: no key, no network, enough to try the whole way.
- {key}
[poem]
- I wrote a word on {subject}/and left the window wide./A little wind came in to read/and stayed.
  Late light, an open notebook,/{subject} on the line,/a question crossing over/to mine.
- //The rest is still unwritten,/the tea is not yet cold;/who turns the page may have it/to hold.
- {note}
[joke]
- A server tells its doctor: "Somebody keeps asking if I am alive." "And?" "So far."
  I asked the printer why it would not print. It wanted paper, then ink. Now it wants Friday.
- {note}
[note]
- //(I am the built-in offline model. {key})
[reply]
- On "{subject}", three questions help: what it is, what it is for, what comes close to it.
  With "{subject}", make the question smaller: what is known, what is missing, what for.
- I am the built-in offline model and have nothing to look things up in, so I make up nothing.
  This is the built-in offline model speaking; without sources it leaves out the details.
- {key}
[key]
- For real answers set LLM_API_KEY, LLM_BASE_URL, LLM_MODEL (environment or .env) and restart.
"""),
    patterns=_patterns(
        shoes=r"\b((sports?|running|training|tennis|hiking) )?(shoes|sneakers|trainers)\b",
        sales=r"\b(copy|ad|advert\w*|promot\w+|sell|sales|recommend\w*)\b",
        greeting=r"^(hello|hi|hey|good (morning|evening))\b|who are you|introduce yourself",
        poem=r"\b(poem|verse|haiku)\b",
        joke=r"\bjokes?\b",
        number=r"\b(?:post|number|no\.)\s*(\d{1,4})",
        one_sentence=r"\b(one|a single) sentence\b",
        courtesy=r"^((please|can|could|would|you|tell|give|show|me|us|explain|describe|introduce|"
        r"write|make|what|who|how|why|is|are|do|does|i|to|about|on|a|an|the|short|poem|some)\b[\s,]*)+",
        tail=r"[\s?]+$",
    ),
    space=" ",
    endings=(
        " That is as far as this goes; please check the details against your own sources.",
        " and the rest is best checked against your own sources.",
        "… and so on; please check the details against your own sources.",
    ),
)
