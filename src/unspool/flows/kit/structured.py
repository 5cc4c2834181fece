"""
An answer that fits a pydantic model, found field by field while it streams.

The prompt contains the schema as text: every model understands that, while the vendors' own
parameters differ and many deployments have none. The answer is the first object that fits,
wherever it stands, and it is whole at its closing brace. If none fits, the model is asked once more
and gets the list of problems, unless it refused or reached its limit of tokens: it would again.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Generic, Unpack

from pydantic import TypeAdapter, ValidationError

from unspool.errors import AnswerCut, AnswerRefused, InvalidAnswer
from unspool.formats.json_objects import ObjectScanner, objects_in, unwrapped, wrapped_in
from unspool.formats.partial_json import CompleteValue, Unreadable

from .. import Context, Form, GenerateOptions

FIELD: Final = "field"
"""Kind of the items; each has a `path` (names and numbers) and a `value`."""

MAX_PROBLEMS: Final = 5
"""Reported to the model and to people; the first ones explain the rest."""

MAX_SHOWN_CHARS: Final = 8000
"""Of an answer that does not fit, when the model sees it again."""

MAX_QUOTED_CHARS: Final = 300
"""Of what a model said in place of an answer, when people see it."""

MAX_BLANKS: Final = 32
"""White space behind an answer: some models write it for ever. More of it, and we look closely."""

MAX_LOOKS: Final = 8
"""Times that we do so."""

NO_OBJECT: Final = "it holds no whole JSON object"

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
    found = await _asked(ctx, form, f"{text}\n\n{ask}", step, options)
    if found.answer is None:
        ctx.warn(
            f"the answer does not fit; the model is asked again: {found.problems}",
            step=step,
            code=InvalidAnswer.code,
        )
        again = (_AGAIN_ZH if is_chinese else _AGAIN_EN).format(
            problems=found.problems, answer=ctx.written(step)[:MAX_SHOWN_CHARS]
        )
        step = f"{step}-2"
        found = await _asked(ctx, form, f"{text}\n\n{again}{ask}", step, options)
    if found.answer is None:
        raise InvalidAnswer(
            f"the model's answer does not fit {form.__name__}: {found.problems}"
            f"{_quoted(ctx, step) if found.problems == NO_OBJECT else ''}; ask for less, or use "
            "another model"
        )
    return found.answer


async def _asked(
    ctx: Context, form: type[Form], text: str, step: str, options: GenerateOptions
) -> _Fields[Form]:
    """
    Return what was found in the answer.

    Raises:
        AnswerRefused, AnswerCut: Nothing fits, and asking again would change nothing.
    """
    read: list[_Fields[Form]] = []

    def reader() -> _Fields[Form]:
        read.append(_Fields(ctx, form, step))
        return read[-1]

    await ctx.generate(text, step=step, read=reader, **options)
    found = read[-1]
    if found.answer is None and ctx.ending(step) == "content_filter":
        raise AnswerRefused(
            f"the model refused to answer{_quoted(ctx, step)}; ask for something else, or use "
            "another model"
        )
    if found.answer is None and ctx.ending(step) == "length":
        raise AnswerCut(
            "the answer reached its limit of tokens before it was whole; allow it more "
            "(`max_tokens`), or ask for less"
        )
    return found


def _quoted(ctx: Context, step: str) -> str:
    """Return what the model said instead, to go on a sentence."""
    said = " ".join(ctx.written(step).split())
    return f" (it said: {said[:MAX_QUOTED_CHARS]})" if said else ""


def _problems(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False)[:MAX_PROBLEMS]
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'the answer'}: {p['msg']}" for p in found)


class _Fields(Generic[Form]):
    """
    Records each field as soon as it is whole; lists and objects come member by member.

    If a field does not fit, a warning says so at once. The model still finishes the answer, and
    is then asked again.

    Attributes:
        answer: The first object that fits.
        problems: Why none does.
    """

    def __init__(self, ctx: Context, form: type[Form], step: str) -> None:
        self.answer: Form | None = None
        self.problems = NO_OBJECT
        self._ctx = ctx
        self._form = form
        self._step = step
        is_list = form.model_json_schema().get("type") == "array"
        self._root = "[" if is_list else "{"
        self._scanner = ObjectScanner(self._root)
        self._kinds: dict[str, TypeAdapter[Any]] = {
            field.alias or name: TypeAdapter(field.annotation)
            for name, field in form.model_fields.items()
            if field.annotation is not None
        }
        self._names = {*form.model_fields, *self._kinds}
        self._parts: list[str] = []
        self._recorded: list[dict[str, Any]] = []
        self._blanks = self._looks = 0

    def feed(self, text: str) -> None:
        if self.answer is not None:
            return
        self._parts.append(text)
        for found in self._scanner.feed(text):
            if isinstance(found, Unreadable):
                message = "a part of the answer cannot be read"
                self._ctx.warn(
                    message, step=self._step, code=InvalidAnswer.code, raw=found.raw[:200]
                )
            elif found.path:
                self._record(found)
            elif self._take(found.value):
                return
        self._blanks = self._blanks + len(text) if text.isspace() else 0
        if self._blanks >= MAX_BLANKS and self._looks < MAX_LOOKS:
            self._looks += 1
            self._blanks = 0
            self._look()

    def end(self) -> None:
        """Look once more, if nothing fits: something before an object may have hidden it."""
        if self.answer is None:
            self._look()

    def _look(self) -> None:
        any(self._take(value) for value in objects_in("".join(self._parts), self._root))

    def _take(self, value: Any) -> bool:
        """Take a value, or one in it, for the answer if it fits."""
        for each in wrapped_in(value):
            if self._root == "{" and not (isinstance(each, dict) and self._is_meant(each)):
                continue
            if (answer := self._fitting(each)) is not None:
                self.answer = answer
                self._ctx.enough(self._step)
                return True
        return False

    def _is_meant(self, value: dict[str, Any]) -> bool:
        """Whether an object has any of the fields; a form of options alone would fit every one."""
        return not self._names or not self._names.isdisjoint(value)

    def _fitting(self, value: Any) -> Form | None:
        problems = ""
        for way in (value, unwrapped(value)) if isinstance(value, dict) else (value,):
            try:
                answer = self._form.model_validate(way)
            except ValidationError as error:
                problems = problems or _problems(error)
                continue
            self._record_all(way)
            return answer
        self.problems = problems
        return None

    def _record_all(self, value: Any) -> None:
        """Record the fields that were not recorded while they came."""
        for name, member in value.items() if isinstance(value, dict) else enumerate(value):
            inner: Any = ()
            if isinstance(member, dict):
                inner = member.items()
            elif isinstance(member, list):
                inner = enumerate(member)
            for key, each in inner:
                self._record(CompleteValue((name, key), each))
            self._record(CompleteValue((name,), member))

    def _record(self, found: CompleteValue) -> None:
        is_field = len(found.path) == 1
        if not (is_field and isinstance(found.value, list | dict) and found.value):
            item = {"path": list(found.path), "value": found.value}
            if item not in self._recorded:
                self._recorded.append(item)
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
