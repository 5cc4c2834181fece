"""
Reads scenes and camera movements, each the moment it is whole.

A field that cannot be right costs that field, with a finding, and never its scene. What is no
scene or no movement at all is left out with a warning. `findings_in` reads a whole answer once
more, for the record of a result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from unspool.flows import Recorder
from unspool.flows.kit.grounding import CODE as UNGROUNDED
from unspool.flows.kit.grounding import Finding, report
from unspool.formats.partial_json import CompleteValue, Scanner

from .film import MOVEMENTS, movement_named, shot_named
from .grounding import check_camera, check_characters, check_storyboard, mark
from .prompts import MAX_SCENES
from .request import Board, Camera, Character, Scene

CODE: Final = "unreadable"
"""Of warnings about a part of an answer."""

SHOWN_CHARS: Final = 200
"""Of an invalid part, in its warning."""

MAX_CHARACTERS: Final = 50

CAST: Final = frozenset({"characters", "character", "cast", "人物", "角色", "人物表"})
"""Names under which models list the characters of a story."""

Item = dict[str, Any]
Found = tuple[Item, list[Finding]]
Form = TypeVar("Form", bound=BaseModel)


class NoElement(ValueError):
    """A part of an answer is not what it should be; the message or the finding says why."""

    def __init__(self, why: str = "", finding: Finding | None = None) -> None:
        super().__init__(why)
        self.finding = finding


class Elements:
    """
    Reads the elements of the list in a stage's answer.

    Attributes:
        items: The recorded elements, in order.
        characters: Those of the story, as the answer lists them.
    """

    def __init__(self, ctx: Recorder, step: str, kind: str, most: int = MAX_SCENES) -> None:
        self.items: list[Item] = []
        self.characters: list[Item] = []
        self._ctx = ctx
        self._step = step
        self._kind = kind
        self._most = most
        self._scanner = Scanner(depth=2)

    def feed(self, text: str) -> None:
        for found in self._scanner.feed(text):
            if not isinstance(found, CompleteValue):
                self._warn("it is not JSON", found.raw)
            elif self._is_element(found):
                self._take(str(found.path[0]), found.value)

    def end(self) -> None:
        """Do nothing: an element that is not whole by now never will be."""

    def accept(self, value: Any) -> Found:
        """
        Return the element to record, and what is wrong with it.

        Raises:
            NoElement: It is none.
        """
        raise NotImplementedError

    def _is_element(self, found: CompleteValue) -> bool:
        """Whether it is an element of a list that is the root, or a member of the root."""
        in_root = len(found.path) == 1 and isinstance(found.path[0], int)
        return in_root or (len(found.path) == 2 and isinstance(found.path[1], int))

    def _take(self, place: str, value: Any) -> None:
        if place.casefold() in CAST:
            self._cast(value)
            return
        if len(self.items) >= self._most:
            self._warn(f"there are more than {self._most}", str(value))
            return
        try:
            item, findings = self.accept(value)
        except NoElement as error:
            if error.finding is None:
                self._warn(str(error), str(value))
            else:
                report(self._ctx, [error.finding], step=self._step)
            return
        self.items.append(item)
        self._ctx.found(self._kind, item, step=self._step)
        report(self._ctx, findings, step=self._step, scene=item.get("number", item.get("scene")))

    def _cast(self, value: Any) -> None:
        named = {"name": value} if isinstance(value, str) else value
        if isinstance(named, dict) and "look" not in named:
            named = {**named, "look": named.get("appearance") or named.get("外貌") or ""}
        try:
            character = Character.model_validate(named).model_dump()
        except ValidationError as error:
            self._warn(f"a character has {_why(error)}", str(value))
            return
        if len(self.characters) < MAX_CHARACTERS:
            self.characters.append(character)
            self._ctx.found("character", character, step=self._step)

    def _warn(self, reason: str, raw: str) -> None:
        message = f"a {self._kind} is left out: {reason}"
        self._ctx.warn(message, step=self._step, code=CODE, what=raw[:SHOWN_CHARS])


class Scenes(Elements):
    """Reads a storyboard; it replaces a repeated number by the next free one."""

    def __init__(self, ctx: Recorder, step: str, text: str, wish: str) -> None:
        super().__init__(ctx, step, "scene")
        self._text = text
        self._wish = wish
        self._seen: set[int] = set()

    def accept(self, value: Any) -> Found:
        number = len(self._seen) + 1
        value = {"number": number, **value} if isinstance(value, dict) else value
        item, findings = scene_in(value)
        if item["number"] in self._seen:
            item["number"] = max(self._seen) + 1
        self._seen.add(item["number"])
        return item, findings

    def end(self) -> None:
        if self.items:
            whole = check_storyboard(self._text, self._wish, self.items)
            report(self._ctx, whole, step=self._step)
        for scene in self.items:
            found = check_characters(scene, self.characters)
            report(self._ctx, found, step=self._step, scene=scene["number"])


class OneScene(Elements):
    """Reads the scene that replaces scene `number` of a storyboard, also one without a list."""

    def __init__(self, ctx: Recorder, step: str, number: int, text: str, board: Board) -> None:
        super().__init__(ctx, step, "scene", most=1)
        self._number = number
        self._text = text
        self._board = board
        self._root: Item = {}

    def feed(self, text: str) -> None:
        for found in self._scanner.feed(text):
            if not isinstance(found, CompleteValue):
                self._warn("it is not JSON", found.raw)
            elif self._is_element(found):
                self._take(str(found.path[0]), found.value)
            elif len(found.path) == 1 and isinstance(found.path[0], str):
                self._root[found.path[0]] = found.value

    def end(self) -> None:
        for bare in (self._root, self._root.get("scene")):
            if not self.items and isinstance(bare, dict) and "description" in bare:
                self._take("scenes", bare)
        if self.items:
            whole = self._board.with_scene(self.items[0])
            report(self._ctx, check_storyboard(self._text, "", whole), step=self._step)

    def accept(self, value: Any) -> Found:
        value = {**value, "number": self._number} if isinstance(value, dict) else value
        item, findings = scene_in(value)
        return item, [*findings, *check_characters(item, self._board.characters)]

    def _take(self, place: str, value: Any) -> None:
        if place.casefold() not in CAST:  # those of the storyboard stay, whatever it says
            super()._take(place, value)


class Cameras(Elements):
    """Reads camera movements, one for each of the scenes."""

    def __init__(self, ctx: Recorder, step: str, scenes: Sequence[Item]) -> None:
        super().__init__(ctx, step, "camera")
        self._scenes = {scene["number"]: scene for scene in scenes}
        self._seen: set[int] = set()

    def accept(self, value: Any) -> Found:
        camera, findings = _read(Camera, value, {"scene"})
        scene = self._scenes.get(camera.scene)
        if scene is None or camera.scene in self._seen:
            kind = "scene" if scene is None else "double"
            message = "没有这个镜头" if scene is None else "这个镜头已经有运镜了"
            quote, known = f"镜头 {camera.scene}", f"共 {len(self._scenes)} 个镜头"
            raise NoElement(finding=mark(kind, message, quote, known))
        self._seen.add(camera.scene)
        item: Item = {"scene": camera.scene, "movement": None, "reason": camera.reason}
        said = (camera.movement or "").strip()
        item["movement"] = movement = movement_named(said)
        if movement is None:
            findings.append(mark("movement", "没有这种运镜", said, "、".join(MOVEMENTS.values())))
        if said and said.casefold() not in {movement, MOVEMENTS.get(movement or "")}:
            item["movement_text"] = said
        return item, [*findings, *check_camera(item, scene)]


def scene_in(value: Any) -> Found:
    """
    Return the scene in a value of the answer, and what is wrong with its fields.

    Raises:
        NoElement: It is no scene.
    """
    scene, findings = _read(Scene, value, {"description"})
    item = scene.model_dump(exclude={"shot_size"})
    if said := (scene.shot_size or "").strip():
        if (size := shot_named(said)) is None:
            findings.append(mark("shot_size", "没有这种景别", said))
        else:
            item["shot_size"] = size
    return item, findings


def _read(form: type[Form], value: Any, needed: set[str]) -> tuple[Form, list[Finding]]:
    """
    Return what a value of an answer is, without the fields that cannot be right.

    Raises:
        NoElement: It is no object, or a needed field cannot be right.
    """
    if not isinstance(value, dict):
        raise NoElement("it is not an object")
    try:
        return form.model_validate(value), []
    except ValidationError as error:
        wrong = list(dict.fromkeys(str(one["loc"][0]) for one in error.errors(include_url=False)))
        if needed & set(wrong):
            raise NoElement(_why(error)) from None
    left = {name: field for name, field in value.items() if name not in wrong}
    findings = [
        mark(_kind(value[name]), "这一项不对，没有采用", f"{name}: {value[name]}"[:SHOWN_CHARS])
        for name in wrong
    ]
    return form.model_validate(left), findings


def _kind(value: Any) -> str:
    return "range" if isinstance(value, int | float) and not isinstance(value, bool) else "form"


def _why(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"


class Findings(Recorder):
    """Keeps findings, and nothing else of what a reader records."""

    def __init__(self) -> None:
        self.listed: list[dict[str, Any]] = []

    def found(self, kind: str, item: Mapping[str, Any], *, step: str = "") -> None:
        """See `Recorder`."""

    def warn(self, message: str, **facts: Any) -> None:
        if facts.get("code") == UNGROUNDED:
            names = ("kind", "quote", "known", "scene", "count")
            known = {name: facts[name] for name in names if facts.get(name) not in {None, ""}}
            self.listed.append({"message": message, **known})


def findings_in(text: str, read: Callable[[Recorder], Elements]) -> list[dict[str, Any]]:
    """Return the findings of a stage's whole answer, each with its `scene` if it has one."""
    kept = Findings()
    reader = read(kept)
    reader.feed(text)
    reader.end()
    return kept.listed
