"""
A film plan as a file: Markdown, a shot list (CSV), subtitles (SRT), a screenplay (Fountain).

Texts are a model's or a person's, so nothing in them may become markup, a formula or a cue of the
file. Fountain: https://fountain.io/syntax.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from unspool.errors import NotReady

from .film import MOVEMENTS, SHOT_SIZES
from .grounding import total_s
from .records import StageResult

Format = Literal["md", "csv", "srt", "fountain"]

FORMATS: Final[tuple[Format, ...]] = get_args(Format)

CHARS_PER_S: Final = 5
"""Spoken, for a scene without a length of its own."""

MIN_SCENE_S: Final = 3

MAX_CUE_CHARS: Final = 40
"""Of one subtitle: two lines of a phone's screen."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Our own words in a file: in the language of the film."""

    columns: Sequence[str]
    text: str
    cast: str
    board: str
    total: str
    seconds: str
    picture: str
    narration: str
    camera: str
    colon: str
    comma: str
    scene: str
    sizes: Mapping[str, str]
    moves: Mapping[str, str]


ZH: Final = Labels(
    columns=[
        "镜号",
        "标题",
        "景别",
        "运镜",
        "画面",
        "旁白",
        "人物",
        "开始(秒)",
        "时长(秒)",
        "运镜说明",
    ],
    text="文案",
    cast="人物",
    board="分镜",
    total="共 {n} 个镜头，{s:g} 秒。",
    seconds="秒",
    picture="画面",
    narration="旁白",
    camera="运镜",
    colon="：",
    comma="、",
    scene="镜头",
    sizes=SHOT_SIZES,
    moves=MOVEMENTS,
)
EN: Final = Labels(
    columns=[
        "scene",
        "title",
        "shot size",
        "movement",
        "picture",
        "narration",
        "characters",
        "start (s)",
        "length (s)",
        "reason",
    ],
    text="Text",
    cast="Characters",
    board="Storyboard",
    total="{n} scenes, {s:g} s.",
    seconds="s",
    picture="Picture",
    narration="Narration",
    camera="Camera",
    colon=": ",
    comma=", ",
    scene="Scene",
    sizes={name: name.replace("_", " ") for name in SHOT_SIZES},
    moves={name: name for name in MOVEMENTS},
)

_FORMULA: Final = re.compile(r"^[\s\ufeff]*[=+\-@＝＋－＠\t\r]")
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>#|~!])")
_BREAK: Final = re.compile(r"[^。！？!?；;，,、.]*[。！？!?；;，,、.]*")


@dataclass(frozen=True, slots=True)
class Shot:
    """A scene with its movement, and when it begins and ends (s)."""

    scene: Mapping[str, Any]
    camera: Mapping[str, Any]
    start_s: float
    end_s: float

    def size(self, labels: Labels) -> str:
        return labels.sizes.get(self.scene.get("shot_size", ""), "")

    def movement(self, labels: Labels) -> str:
        known = labels.moves.get(self.camera.get("movement") or "", "")
        return known or str(self.camera.get("movement_text", ""))

    def facts(self, labels: Labels) -> list[str]:
        """Return size, movement and length, as far as they are known."""
        facts = [self.size(labels), self.movement(labels)]
        return [*filter(None, facts), f"{self.end_s - self.start_s:g} {labels.seconds}"]


@dataclass(frozen=True, slots=True)
class FilmPlan:
    """What a project has, as one film."""

    name: str
    topic: str
    text: str = ""
    shots: Sequence[Shot] = ()
    characters: Sequence[Mapping[str, Any]] = field(default_factory=list)

    @property
    def labels(self) -> Labels:
        told = self.text + "".join(shot.scene["description"] for shot in self.shots)
        return ZH if re.search(r"[\u3400-\u9fff]", told) else EN


def plan_of(name: str, topic: str, results: Mapping[Any, StageResult]) -> FilmPlan:
    """Return the current results of a project as a plan."""
    text = results["rewrite"].text if "rewrite" in results else ""
    board = results.get("storyboard")
    if board is None:
        return FilmPlan(name, topic, text)
    camera = results.get("camera")
    moves = {move["scene"]: move for move in (camera.items if camera else ())}
    at, shots = 0.0, []
    for scene in board.items:
        lasting = scene.get("duration_s") or _spoken_s(scene)
        shots.append(Shot(scene, moves.get(scene["number"], {}), at, at + lasting))
        at += lasting
    return FilmPlan(name, topic, text, shots, board.details.get("characters", []))


def exported(plan: FilmPlan, form: Format) -> tuple[str, str]:
    """
    Return a plan as the text of a file, and its media type.

    Raises:
        NotReady: It has nothing for such a file yet.
    """
    if not plan.shots and not (form == "md" and plan.text):
        raise NotReady("the project has no storyboard yet; write the stage storyboard first")
    write, kind = _WRITERS[form]
    return write(plan), kind


def _spoken_s(scene: Mapping[str, Any]) -> float:
    return float(max(MIN_SCENE_S, round(len(scene["narration"]) / CHARS_PER_S)))


def _line(text: Any) -> str:
    return " ".join(str(text).split())


# Markdown


def _markdown(plan: FilmPlan) -> str:
    labels = plan.labels
    lines = [f"# {_plain(plan.name)}", ""]
    if plan.topic:
        lines += [f"> {_plain(plan.topic)}", ""]
    if plan.text:
        lines += [f"## {labels.text}", ""]
        lines += [f"{_plain(part)}\n" for part in plan.text.splitlines() if part.strip()]
    if plan.characters:
        lines += [f"## {labels.cast}", ""]
        lines += [
            f"- **{_plain(c['name'])}** {_plain(c['look'])}".rstrip() for c in plan.characters
        ]
        lines.append("")
    if plan.shots:
        total = labels.total.format(n=len(plan.shots), s=_total(plan))
        lines += [f"## {labels.board}", "", total, ""]
    for shot in plan.shots:
        lines += _markdown_shot(shot, labels)
    return "\n".join(lines).rstrip() + "\n"


def _total(plan: FilmPlan) -> float:
    known = total_s([shot.scene for shot in plan.shots])
    return known if all(s.scene.get("duration_s") for s in plan.shots) else plan.shots[-1].end_s


def _markdown_shot(shot: Shot, labels: Labels) -> Iterator[str]:
    scene, camera = shot.scene, shot.camera
    yield f"### {scene['number']}\\. {_plain(scene['title'])}".rstrip()
    yield ""
    colon = labels.colon
    yield "- " + " · ".join(_plain(fact) for fact in shot.facts(labels))
    yield f"- {labels.picture}{colon}{_plain(scene['description'])}"
    if scene["narration"]:
        yield f"- {labels.narration}{colon}{_plain(scene['narration'])}"
    if scene["characters"]:
        yield f"- {labels.cast}{colon}{_plain(labels.comma.join(scene['characters']))}"
    if camera.get("reason"):
        yield f"- {labels.camera}{colon}{_plain(camera['reason'])}"
    yield ""


def _plain(text: Any) -> str:
    """Return a text as one line in which nothing is markup."""
    line = _MARKDOWN.sub(r"\\\1", _line(text))
    return re.sub(r"^([-+=]|\d+[.)])", r"\\\1", line)


# Shot list


def _csv(plan: FilmPlan) -> str:
    out = io.StringIO()
    out.write("\ufeff")  # a spreadsheet takes it for UTF-8 then
    table = csv.writer(out)
    table.writerow(plan.labels.columns)
    for shot in plan.shots:
        scene = shot.scene
        cells = (
            scene["number"],
            scene["title"],
            shot.size(plan.labels),
            shot.movement(plan.labels),
            scene["description"],
            scene["narration"],
            plan.labels.comma.join(scene["characters"]),
            f"{shot.start_s:g}",
            f"{shot.end_s - shot.start_s:g}",
            shot.camera.get("reason", ""),
        )
        table.writerow([_cell(cell) for cell in cells])
    return out.getvalue()


def _cell(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) else text


# Subtitles


def _srt(plan: FilmPlan) -> str:
    cues: list[str] = []
    for shot in plan.shots:
        parts = _cues(_line(shot.scene["narration"]))
        chars = sum(map(len, parts))
        at = shot.start_s
        for part in parts:
            end = min(shot.end_s, at + (shot.end_s - shot.start_s) * len(part) / chars)
            cues.append(f"{len(cues) + 1}\n{_clock(at)} --> {_clock(end)}\n{part}\n")
            at = end
    return "\n".join(cues)


def _cues(text: str) -> list[str]:
    """Return a narration in pieces for the screen, broken behind marks where it has some."""
    pieces: list[str] = []
    for clause in _BREAK.findall(text.replace("-->", "→")):
        for at in range(0, len(clause), MAX_CUE_CHARS):
            part = clause[at : at + MAX_CUE_CHARS]
            if pieces and len(pieces[-1]) + len(part) <= MAX_CUE_CHARS:
                pieces[-1] += part
            else:
                pieces.append(part)
    return [piece.strip() for piece in pieces if piece.strip()]


def _clock(at_s: float) -> str:
    ms = round(at_s * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


# Fountain


def _fountain(plan: FilmPlan) -> str:
    lines = [f"Title: {_note(plan.name)}"]
    if plan.topic:
        lines.append(f"Notes: {_note(plan.topic)}")
    for character in plan.characters:
        lines += ["", f"!{_note(character['name'])}{plan.labels.colon}{_note(character['look'])}"]
    for shot in plan.shots:
        lines += ["", *_fountain_shot(shot, plan.labels)]
    return "\n".join(lines) + "\n"


def _fountain_shot(shot: Shot, labels: Labels) -> Iterator[str]:
    scene = shot.scene
    # A dot in front makes any line a heading, and a mark of exclamation makes it action.
    yield f".{_note(scene['title']).lstrip('.') or labels.scene} #{scene['number']}#"
    yield ""
    yield f"!{_note(scene['description'])}"
    if scene["characters"]:
        yield ""
        yield f"!{labels.cast}{labels.colon}{_note(labels.comma.join(scene['characters']))}"
    if scene["narration"]:
        yield ""
        yield f"@{labels.narration} (V.O.)"
        # A sign at its head would make it a direction, a song, a heading.
        yield re.sub(r"^[(~.>@!=]+", "", _note(scene["narration"]))
    yield ""
    yield f"[[{' · '.join(_note(fact) for fact in shot.facts(labels))}]]"


def _note(text: Any) -> str:
    """Return a text as one line without marks of notes, boneyards, emphasis and numbers."""
    line = re.sub(r"\[\[|\]\]|/\*|\*/", " ", _line(text))
    return re.sub(r"([\\*_#])", r"\\\1", line).strip()


_WRITERS: Final[Mapping[Format, tuple[Callable[[FilmPlan], str], str]]] = {
    "md": (_markdown, "text/markdown; charset=utf-8"),
    "csv": (_csv, "text/csv; charset=utf-8"),
    "srt": (_srt, "application/x-subrip; charset=utf-8"),
    "fountain": (_fountain, "text/plain; charset=utf-8"),
}
