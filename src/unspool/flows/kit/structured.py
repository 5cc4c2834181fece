"""
An answer that fits a pydantic model, told field by field while it is written.

The schema is part of the question, in words: that is understood by every model, where the
vendors' own parameters for it differ and many deployments have none. What comes is checked; an
answer that does not fit is asked for once more, with what was wrong about it.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Unpack

from pydantic import BaseModel, TypeAdapter, ValidationError

from unspool.errors import InvalidAnswer
from unspool.formats.partial_json import CompleteValue, Scanner, Unreadable

from .. import Context, Form, GenerateOptions

FIELD: Final = "field"
"""Kind of the items: `path` (names and numbers) and `value`."""

MAX_PROBLEMS: Final = 5
"""Told to the model and to people; the first ones explain the rest."""

MAX_SHOWN_CHARS: Final = 8000
"""Of an answer that does not fit, when it is shown to the model again."""

_ASK_EN: Final = (
    "Answer with one JSON object and nothing else: no explanation, no code fence. It fits this "
    "JSON Schema:"
)
_ASK_ZH: Final = "只回答一个 JSON 对象，不要解释，也不要代码块。它要符合这个 JSON Schema："
_AGAIN_EN: Final = "Your last answer does not fit: {problems}. It was:\n{answer}\n\n"
_AGAIN_ZH: Final = "你上一次的回答不符合要求：{problems}。它是：\n{answer}\n\n"


async def structured(
    ctx: Context, form: type[Form], text: str, *, step: str, **how: Unpack[GenerateOptions]
) -> Form:
    """See `Context.structured`."""
    is_chinese = _is_chinese(text)
    schema = json.dumps(form.model_json_schema(), ensure_ascii=False)
    ask = f"{_ASK_ZH if is_chinese else _ASK_EN}\n{schema}"
    how = {**how, "is_bound": True}
    told = await _told(ctx, form, f"{text}\n\n{ask}", step, how)
    if isinstance(told, str):
        ctx.warn(
            f"the answer does not fit and is asked for again: {told}",
            step=step,
            code=InvalidAnswer.code,
        )
        again = (_AGAIN_ZH if is_chinese else _AGAIN_EN).format(
            problems=told, answer=ctx.written(step)[:MAX_SHOWN_CHARS]
        )
        told = await _told(ctx, form, f"{text}\n\n{again}{ask}", f"{step}-2", how)
    if isinstance(told, str):
        raise InvalidAnswer(f"the model's answer does not fit {form.__name__}: {told}")
    return told


async def _told(
    ctx: Context, form: type[Form], text: str, step: str, how: GenerateOptions
) -> Form | str:
    """Return the answer, or what is wrong with it."""
    written = await ctx.generate(text, step=step, read=lambda: _Fields(ctx, form, step), **how)
    told = Scanner(depth=1).feed(written)
    if not told or told[-1].path != () or not isinstance(told[-1], CompleteValue):
        return "it holds no whole JSON object"
    try:
        return form.model_validate(told[-1].value)
    except ValidationError as error:
        return _problems(error)


def _problems(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False)[:MAX_PROBLEMS]
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'the answer'}: {p['msg']}" for p in found)


class _Fields:
    """
    Tells each field when it is whole: one that is a list or an object member by member.

    A field that will not fit is warned of at once; the model writes on, and is asked again.
    """

    def __init__(self, ctx: Context, form: type[BaseModel], step: str) -> None:
        self._ctx = ctx
        self._step = step
        self._scanner = Scanner(depth=2)
        self._kinds: dict[str, TypeAdapter[Any]] = {
            field.alias or name: TypeAdapter(field.annotation)
            for name, field in form.model_fields.items()
            if field.annotation is not None
        }

    def feed(self, text: str) -> None:
        for told in self._scanner.feed(text):
            if isinstance(told, Unreadable):
                message = "a part of the answer cannot be read"
                self._ctx.warn(
                    message, step=self._step, code=InvalidAnswer.code, raw=told.raw[:200]
                )
            elif told.path:
                self._tell(told)

    def end(self) -> None:
        """Nothing is left: what is not whole by now never will be."""

    def _tell(self, told: CompleteValue) -> None:
        is_field = len(told.path) == 1
        if not (is_field and isinstance(told.value, list | dict) and told.value):
            item = {"path": list(told.path), "value": told.value}
            self._ctx.found(FIELD, item, step=self._step)
        kind = self._kinds.get(str(told.path[0])) if is_field else None
        if kind is None:
            return
        try:
            kind.validate_python(told.value)
        except ValidationError as error:
            message = f"the field {told.path[0]} does not fit: {_problems(error)}"
            self._ctx.warn(message, step=self._step, code=InvalidAnswer.code)


def _is_chinese(text: str) -> bool:
    """An instruction in another language than the question changes what is written."""
    return len(re.findall(r"[\u3400-\u9fff]", text)) > len(re.findall(r"[A-Za-z]+", text))
