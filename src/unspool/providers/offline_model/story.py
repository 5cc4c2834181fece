"""
What the built-in model writes for the stages of a story.

It knows the history of AI (`history`). Of anything else it says only what the given words say, and
adds in one line that this is an example of the offline model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .history import LOOKS, SCENES, story_of
from .text import Dice, Messages, question_in

MAX_SENTENCES: Final = 12
"""Of a text that is rewritten or broken down; a model of no wit is short."""

MAX_SCENES: Final = 6
MAX_TITLE_CHARS: Final = 16
MAX_TITLE_WORDS: Final = 8
MAX_QUOTED_CHARS: Final = 40

_END: Final = r"(?:\n\n另外的要求：|\Z)"
_REWRITE: Final = re.compile(rf"请改写下面的文案.*?\n原文：\n(.+?){_END}", re.DOTALL)
_BOARD: Final = re.compile(rf"写分镜.*?\n文案：\n(.+?){_END}", re.DOTALL)
_SCENE: Final = re.compile(
    r"请重写分镜的第 \d+ 个镜头.*?\n这个镜头现在是：\n(\{.*?\})\n", re.DOTALL
)
_CAMERA: Final = re.compile(rf"选一种运镜.*?\n分镜：\n(.+?){_END}", re.DOTALL)
_SENTENCE: Final = re.compile(
    r"[^。！？!?\n.]+(?:\.(?=\S)[^。！？!?\n.]+)*[。！？!?.]*[”’」』\"']*"
)
_INNER: Final = str.maketrans({"“": "‘", "”": "’", '"': "'"})
_CHINESE: Final = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Tongue:
    """What we add in one language."""

    note: str
    """The line that says who wrote this."""
    opening: str
    topic: tuple[str, ...]
    """Said of a topic of which we know nothing else."""
    sizes: tuple[str, ...]
    pictures: tuple[str, ...]
    angles: tuple[str, ...]
    moves: tuple[tuple[str, str], ...]
    """Movements, each with a reason that agrees with it."""
    space: str
    stop: str


ZH: Final = Tongue(
    note="（这是内置离线模型的示例，只用了给出的文字，没有添加事实。）",
    opening="先说一件事。",
    topic=(
        "今天的题目是“{topic}”。",
        "题目里的每一个字，都是这条片子要讲的。",
        "手头没有更多资料，所以先把题目放在这里：{topic}。",
        "接下来的内容，等你来补充。",
    ),
    sizes=("全景", "中景", "近景", "特写"),
    pictures=(
        "黑底白字，逐字出现“{words}”",
        "一张白纸，有人写下“{words}”",
        "空荡的桌面，屏幕上显示“{words}”",
        "一面白墙，投影打出“{words}”",
    ),
    angles=("换到侧面的机位：", "隔着前景看：", "从高处看："),
    moves=(
        ("static", "画面停住，让这句话落地"),
        ("push", "慢慢靠近，把目光带到画面中心"),
        ("pan", "扫过四周，交代环境"),
        ("pull", "退开一些，露出周围"),
        ("truck", "平行滑过，让画面有层次"),
    ),
    space="",
    stop="。",
)

EN: Final = Tongue(
    note="(An example by the built-in offline model: it uses the given words and adds no facts.)",
    opening="One thing first.",
    topic=(
        'The topic today is "{topic}".',
        "Every word of it is what this film is about.",
        "There is no more to look things up in, so here it stands: {topic}.",
        "The rest is for you to add.",
    ),
    sizes=("wide shot", "medium shot", "medium close-up", "close-up"),
    pictures=(
        'White letters on black, one by one: "{words}"',
        'A sheet of paper on which somebody writes "{words}"',
        'An empty desk with a screen that says "{words}"',
        'A white wall with a projection: "{words}"',
    ),
    angles=("From the side: ", "Through the foreground: ", "From above: "),
    moves=(
        ("static", "the picture stands still and lets the words sink in"),
        ("push", "slowly closer, to lead the eye to the centre"),
        ("pan", "across the place, to show where we are"),
        ("pull", "a little back, to show what is around"),
        ("truck", "past the things in front, for depth"),
    ),
    space=" ",
    stop=".",
)


def answer(messages: Messages) -> str | None:
    """Return what a stage of a story wants; None where the question is another."""
    question = question_in(messages)
    dice = Dice(messages)
    if found := _REWRITE.search(question):
        return _rewritten(found[1])
    if found := _SCENE.search(question):
        return _rewritten_scene(found[1], dice)
    if found := _BOARD.search(question):
        return _written(_storyboard(found[1], dice))
    if found := _CAMERA.search(question):
        return _written({"cameras": _cameras(found[1], dice)})
    return None


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _tongue(text: str) -> Tongue:
    return ZH if _CHINESE.search(text) else EN


def _sentences(text: str) -> list[str]:
    """Return the sentences of a text, without our own note."""
    for tongue in (ZH, EN):
        text = text.replace(tongue.note, "")
    found = (part.strip() for part in _SENTENCE.findall(text))
    return [part for part in found if part]


# The text


def _rewritten(text: str) -> str:
    tongue, sentences = _tongue(text), _sentences(text)[:MAX_SENTENCES]
    if len(sentences) < 2:  # a topic: something is to be said about it
        topic = sentences[0].rstrip("。！？!?.") if sentences else text.strip()
        if (known := story_of(topic, is_chinese=tongue is ZH)) is not None:
            return known
        sentences = [said.format(topic=topic) for said in tongue.topic]
    if sentences[0] != tongue.opening:
        sentences = [tongue.opening, *sentences]
    whole = [_ended(sentence, tongue) for sentence in sentences]
    half = (len(whole) + 1) // 2
    parts = [tongue.space.join(whole[:half]), tongue.space.join(whole[half:]), tongue.note]
    return "\n\n".join(parts)


def _ended(sentence: str, tongue: Tongue) -> str:
    return sentence if re.search(r"[。！？!?.][”’」』\"']*$", sentence) else sentence + tongue.stop


# Its scenes


def _storyboard(text: str, dice: Dice) -> dict[str, Any]:
    tongue, sentences = _tongue(text), _sentences(text)
    if sum(sentence in SCENES for sentence in sentences) < 2:
        sentences = sentences[:MAX_SENTENCES]
        size = max(1, -(-len(sentences) // MAX_SCENES))
    else:
        size = 1  # a scene for each sentence, as we know them
    if len(sentences) > 1 and sentences[0] == tongue.opening:  # no picture of its own
        sentences[:2] = [tongue.space.join(sentences[:2])]
    groups = [sentences[at : at + size] for at in range(0, len(sentences), size)]
    scenes = [_scene(number, group, tongue, dice) for number, group in enumerate(groups, start=1)]
    names = dict.fromkeys(name for scene in scenes for name in scene["characters"])
    return {
        "characters": [{"name": name, "look": LOOKS[name]} for name in names],
        "scenes": scenes,
    }


def _scene(number: int, group: list[str], tongue: Tongue, dice: Dice) -> dict[str, Any]:
    told = SCENES.get(group[0])
    narration = tongue.space.join(group)
    words = group[0].removeprefix(tongue.opening).strip().rstrip("。！？!?.")
    shown = words if len(words) <= MAX_QUOTED_CHARS else words[:MAX_QUOTED_CHARS].rstrip() + "…"
    at = dice.number("picture", 4) + number
    inner = shown.translate(_INNER)
    picture = tongue.pictures[at % len(tongue.pictures)].format(words=inner)
    per_s = 5 if tongue is ZH else 14
    return {
        "number": number,
        "title": told.title if told else _title(words, tongue),
        "shot_size": told.shot_size if told else tongue.sizes[at % len(tongue.sizes)],
        "description": told.description if told else picture,
        "narration": narration,
        "characters": list(told.characters) if told else [],
        "duration_s": max(3, round(len(narration) / per_s)),
    }


def _title(words: str, tongue: Tongue) -> str:
    """Return what it quotes, else its longest short clause."""
    if quoted := re.search(r"“([^”]+)”|\"([^\"]+)\"", words):
        words = quoted[1] or quoted[2]
    clauses = [part.strip(" “”\"'《》") for part in re.split(r"[，,：:；;、“”\"]", words)]
    if tongue is ZH:
        short = [part for part in clauses if len(part) <= MAX_TITLE_CHARS]
        return max(short or clauses, key=len)[:MAX_TITLE_CHARS]
    short = [part for part in clauses if len(part.split()) <= MAX_TITLE_WORDS]
    return " ".join(max(short or clauses, key=len).split()[:MAX_TITLE_WORDS])


def _rewritten_scene(written: str, dice: Dice) -> str:
    """Return the same scene from another angle, in another size."""
    try:
        scene: Mapping[str, Any] = json.loads(written)
    except ValueError:
        return _written({"scenes": []})
    old = str(scene.get("description", ""))
    tongue = _tongue(old)
    before = next((angle for angle in tongue.angles if old.startswith(angle)), "")
    angles = [angle for angle in tongue.angles if angle != before]
    sizes = [size for size in tongue.sizes if size != scene.get("shot_size")]
    new = {
        **scene,
        "description": angles[dice.number("angle", len(angles))] + old.removeprefix(before),
        "shot_size": sizes[dice.number("size", len(sizes))],
    }
    return _written({"scenes": [new]})


# Their camera movements


def _cameras(text: str, dice: Dice) -> list[dict[str, Any]]:
    lines = re.findall(r"^(\d{1,4})\. (.*)$", text, re.MULTILINE)
    start = dice.number("move", len(ZH.moves))
    found = []
    for at, (number, line) in enumerate(lines):
        moves = _tongue(line.partition("（")[0]).moves
        movement, reason = moves[(start + at) % len(moves)]
        found.append({"scene": int(number), "movement": movement, "reason": reason})
    return found
