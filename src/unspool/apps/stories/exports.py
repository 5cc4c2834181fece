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

COLUMNS: Final = (
    "镜号", "标题", "景别", "运镜", "画面", "旁白", "人物", "开始(秒)", "时长(秒)", "运镜说明"
)  # fmt: skip

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

    @property
    def size(self) -> str:
        return SHOT_SIZES.get(self.scene.get("shot_size", ""), "")

    @property
    def movement(self) -> str:
        known = MOVEMENTS.get(self.camera.get("movement") or "", "")
        return known or str(self.camera.get("movement_text", ""))


@dataclass(frozen=True, slots=True)
class FilmPlan:
    """What a project has, as one film."""

    name: str
    topic: str
    text: str = ""
    shots: Sequence[Shot] = ()
    characters: Sequence[Mapping[str, Any]] = field(default_factory=list)


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
    lines = [f"# {_plain(plan.name)}", ""]
    if plan.topic:
        lines += [f"> {_plain(plan.topic)}", ""]
    if plan.text:
        lines += ["## 文案", ""]
        lines += [f"{_plain(part)}\n" for part in plan.text.splitlines() if part.strip()]
    if plan.characters:
        lines += ["## 人物", ""]
        lines += [
            f"- **{_plain(c['name'])}** {_plain(c['look'])}".rstrip() for c in plan.characters
        ]
        lines.append("")
    if plan.shots:
        lines += ["## 分镜", "", f"共 {len(plan.shots)} 个镜头，{_total(plan):g} 秒。", ""]
    for shot in plan.shots:
        lines += _markdown_shot(shot)
    return "\n".join(lines).rstrip() + "\n"


def _total(plan: FilmPlan) -> float:
    known = total_s([shot.scene for shot in plan.shots])
    return known if all(s.scene.get("duration_s") for s in plan.shots) else plan.shots[-1].end_s


def _markdown_shot(shot: Shot) -> Iterator[str]:
    scene, camera = shot.scene, shot.camera
    yield f"### {scene['number']}\\. {_plain(scene['title'])}".rstrip()
    yield ""
    facts = [shot.size, shot.movement, f"{shot.end_s - shot.start_s:g} 秒"]
    yield "- " + " · ".join(_plain(fact) for fact in facts if fact)
    yield f"- 画面：{_plain(scene['description'])}"
    if scene["narration"]:
        yield f"- 旁白：{_plain(scene['narration'])}"
    if scene["characters"]:
        yield f"- 人物：{_plain('、'.join(scene['characters']))}"
    if camera.get("reason"):
        yield f"- 运镜：{_plain(camera['reason'])}"
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
    table.writerow(COLUMNS)
    for shot in plan.shots:
        scene = shot.scene
        cells = (
            scene["number"],
            scene["title"],
            shot.size,
            shot.movement,
            scene["description"],
            scene["narration"],
            "、".join(scene["characters"]),
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
        lines += ["", f"!{_note(character['name'])}：{_note(character['look'])}"]
    for shot in plan.shots:
        lines += ["", *_fountain_shot(shot)]
    return "\n".join(lines) + "\n"


def _fountain_shot(shot: Shot) -> Iterator[str]:
    scene = shot.scene
    # A dot in front makes any line a heading, and a mark of exclamation makes it action.
    yield f".{_note(scene['title']).lstrip('.') or '镜头'} #{scene['number']}#"
    yield ""
    yield f"!{_note(scene['description'])}"
    if scene["characters"]:
        yield ""
        yield f"!人物：{_note('、'.join(scene['characters']))}"
    if scene["narration"]:
        yield ""
        yield "@旁白 (V.O.)"
        # A sign at its head would make it a direction, a song, a heading.
        yield re.sub(r"^[(~.>@!=]+", "", _note(scene["narration"]))
    facts = [shot.size, shot.movement, f"{shot.end_s - shot.start_s:g} 秒"]
    yield ""
    yield f"[[{' · '.join(_note(fact) for fact in facts if fact)}]]"


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
