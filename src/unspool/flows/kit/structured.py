"""
An answer that fits a pydantic model, found field by field while it streams.

The prompt contains the schema as text: every model understands that, while the vendors' own
parameters differ and many deployments have none. If the answer does not fit, the model is asked
once more and gets the list of problems.
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
"""Kind of the items; each has a `path` (names and numbers) and a `value`."""

MAX_PROBLEMS: Final = 5
"""Reported to the model and to people; the first ones explain the rest."""

MAX_SHOWN_CHARS: Final = 8000
"""Of an answer that does not fit, when the model sees it again."""

_ASK_EN: Final = (
    "Answer with one JSON object and nothing else: no explanation, no code fence. It fits this "
    "JSON Schema:"
)
_ASK_ZH: Final = "只回答一个 JSON 对象，不要解释，也不要代码块。它要符合这个 JSON Schema："
_AGAIN_EN: Final = "Your last answer does not fit: {problems}. It was:\n{answer}\n\n"
_AGAIN_ZH: Final = "你上一次的回答不符合要求：{problems}。它是：\n{answer}\n\n"


async def structured(
    ctx: Context, form: type[Form], text: str, *, step: str, **options: Unpack[GenerateOptions]
) -> Form:
    """See `Context.structured`."""
    is_chinese = _is_chinese(text)
    schema = json.dumps(form.model_json_schema(), ensure_ascii=False)
    ask = f"{_ASK_ZH if is_chinese else _ASK_EN}\n{schema}"
    options = {**options, "is_bound": True}
    answer = await _answer(ctx, form, f"{text}\n\n{ask}", step, options)
    if isinstance(answer, str):
        ctx.warn(
            f"the answer does not fit; the model is asked again: {answer}",
            step=step,
            code=InvalidAnswer.code,
        )
        again = (_AGAIN_ZH if is_chinese else _AGAIN_EN).format(
            problems=answer, answer=ctx.written(step)[:MAX_SHOWN_CHARS]
        )
        answer = await _answer(ctx, form, f"{text}\n\n{again}{ask}", f"{step}-2", options)
    if isinstance(answer, str):
        raise InvalidAnswer(
            f"the model's answer does not fit {form.__name__}: {answer}; ask for less, or use "
            "another model"
        )
    return answer


async def _answer(
    ctx: Context, form: type[Form], text: str, step: str, options: GenerateOptions
) -> Form | str:
    """Return the answer, or a description of its problems."""
    written = await ctx.generate(text, step=step, read=lambda: _Fields(ctx, form, step), **options)
    values = Scanner(depth=1).feed(written)
    if not values or values[-1].path != () or not isinstance(values[-1], CompleteValue):
        return "it holds no whole JSON object"
    try:
        return form.model_validate(values[-1].value)
    except ValidationError as error:
        return _problems(error)


def _problems(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False)[:MAX_PROBLEMS]
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'the answer'}: {p['msg']}" for p in found)


class _Fields:
    """
    Records each field as soon as it is whole; lists and objects come member by member.

    If a field does not fit, a warning says so at once. The model still finishes the answer, and
    is then asked again.
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
        for found in self._scanner.feed(text):
            if isinstance(found, Unreadable):
                message = "a part of the answer cannot be read"
                self._ctx.warn(
                    message, step=self._step, code=InvalidAnswer.code, raw=found.raw[:200]
                )
            elif found.path:
                self._record(found)

    def end(self) -> None:
        """Do nothing: a field that is not whole by now never will be."""

    def _record(self, found: CompleteValue) -> None:
        is_field = len(found.path) == 1
        if not (is_field and isinstance(found.value, list | dict) and found.value):
            item = {"path": list(found.path), "value": found.value}
            self._ctx.found(FIELD, item, step=self._step)
        kind = self._kinds.get(str(found.path[0])) if is_field else None
        if kind is None:
            return
        try:
            kind.validate_python(found.value)
        except ValidationError as error:
            message = f"the field {found.path[0]} does not fit: {_problems(error)}"
            self._ctx.warn(message, step=self._step, code=InvalidAnswer.code)


def _is_chinese(text: str) -> bool:
    """Whether the prompt is Chinese; an instruction in another language sways the answer."""
    return len(re.findall(r"[\u3400-\u9fff]", text)) > len(re.findall(r"[A-Za-z]+", text))
