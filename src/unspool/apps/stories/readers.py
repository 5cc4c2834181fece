"""
Scenes and camera movements, recognised the moment each is whole.

What is no scene, or moves the camera in a way that nobody knows, is told as a warning and left
out; the stage goes on with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from pydantic import ValidationError

from unspool.flows import Context
from unspool.formats.partial_json import CompleteValue, Scanner

from .prompts import MAX_SCENES
from .request import Camera, Scene

CODE: Final = "unreadable"
"""Of warnings about a part of an answer."""

SHOWN_CHARS: Final = 200
"""Of a part that is no use, in its warning."""


class Elements:
    """
    Reads the elements of the one list that a stage's answer holds.

    Attributes:
        items: Those that were told, in their order.
    """

    def __init__(
        self, ctx: Context, step: str, kind: str, accept: Callable[[Any], dict[str, Any] | str]
    ) -> None:
        """`accept` returns an element as it is to be told, or what is wrong with it."""
        self.items: list[dict[str, Any]] = []
        self._ctx = ctx
        self._step = step
        self._kind = kind
        self._accept = accept
        self._scanner = Scanner(depth=2)

    def feed(self, text: str) -> None:
        for told in self._scanner.feed(text):
            if not isinstance(told, CompleteValue):
                self._warn("no JSON", told.raw)
            elif self._is_element(told):
                self._take(told.value)

    def end(self) -> None:
        """Nothing is left: what is not whole by now never will be."""

    def _is_element(self, told: CompleteValue) -> bool:
        """An element of a list that is the root, or a member of it."""
        in_root = len(told.path) == 1 and isinstance(told.path[0], int)
        return in_root or (len(told.path) == 2 and isinstance(told.path[1], int))

    def _take(self, value: Any) -> None:
        if len(self.items) >= MAX_SCENES:
            self._warn(f"more than {MAX_SCENES}", str(value))
            return
        accepted = self._accept(value)
        if isinstance(accepted, str):
            self._warn(accepted, str(value))
            return
        self.items.append(accepted)
        self._ctx.found(self._kind, accepted, step=self._step)

    def _warn(self, why: str, what: str) -> None:
        message = f"a {self._kind} is left out: {why}"
        self._ctx.warn(message, step=self._step, code=CODE, what=what[:SHOWN_CHARS])


def scenes(ctx: Context, step: str) -> Elements:
    """Return a reader of scenes; a number that was used before is the next one instead."""
    seen: set[int] = set()

    def accept(value: Any) -> dict[str, Any] | str:
        try:
            scene = Scene.model_validate({"number": len(seen) + 1, **value})
        except (ValidationError, TypeError) as error:
            return _why(error)
        number = scene.number if scene.number not in seen else max(seen) + 1
        seen.add(number)
        return scene.model_copy(update={"number": number}).model_dump()

    return Elements(ctx, step, "scene", accept)


def cameras(ctx: Context, step: str, numbers: Sequence[int]) -> Elements:
    """Return a reader of camera movements, one for each of the scenes with these numbers."""
    left = set(numbers)

    def accept(value: Any) -> dict[str, Any] | str:
        try:
            camera = Camera.model_validate(value)
        except ValidationError as error:
            return _why(error)
        movement = camera.named()
        if movement is None:
            return f"there is no movement {camera.movement[:32]!r}"
        if camera.scene not in left:
            return f"scene {camera.scene} is not there, or has one already"
        left.discard(camera.scene)
        return camera.model_copy(update={"movement": movement}).model_dump()

    return Elements(ctx, step, "camera", accept)


def _why(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return "it is no object"
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
