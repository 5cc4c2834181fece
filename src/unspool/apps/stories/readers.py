"""
Reads scenes and camera movements, each the moment it is whole.

The reader leaves out an invalid scene or an unknown camera movement with a warning, and goes on
with the others.
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
"""Of an invalid part, in its warning."""


class Elements:
    """
    Reads the elements of the list in a stage's answer.

    Attributes:
        items: The recorded elements, in order.
    """

    def __init__(
        self, ctx: Context, step: str, kind: str, accept: Callable[[Any], dict[str, Any] | str]
    ) -> None:
        """`accept` returns the element to record, or the reason why it is invalid."""
        self.items: list[dict[str, Any]] = []
        self._ctx = ctx
        self._step = step
        self._kind = kind
        self._accept = accept
        self._scanner = Scanner(depth=2)

    def feed(self, text: str) -> None:
        for found in self._scanner.feed(text):
            if not isinstance(found, CompleteValue):
                self._warn("it is not JSON", found.raw)
            elif self._is_element(found):
                self._take(found.value)

    def end(self) -> None:
        """Do nothing: an element that is not whole by now never will be."""

    def _is_element(self, found: CompleteValue) -> bool:
        """Whether it is an element of a list that is the root, or a member of the root."""
        in_root = len(found.path) == 1 and isinstance(found.path[0], int)
        return in_root or (len(found.path) == 2 and isinstance(found.path[1], int))

    def _take(self, value: Any) -> None:
        if len(self.items) >= MAX_SCENES:
            self._warn(f"there are more than {MAX_SCENES}", str(value))
            return
        accepted = self._accept(value)
        if isinstance(accepted, str):
            self._warn(accepted, str(value))
            return
        self.items.append(accepted)
        self._ctx.found(self._kind, accepted, step=self._step)

    def _warn(self, reason: str, raw: str) -> None:
        message = f"a {self._kind} is left out: {reason}"
        self._ctx.warn(message, step=self._step, code=CODE, what=raw[:SHOWN_CHARS])


def scenes(ctx: Context, step: str) -> Elements:
    """Return a reader of scenes; it replaces a repeated number by the next free one."""
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
            return f"scene {camera.scene} does not exist, or has a movement already"
        left.discard(camera.scene)
        return camera.model_copy(update={"movement": movement}).model_dump()

    return Elements(ctx, step, "camera", accept)


def _why(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return "it is not an object"
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
