"""Flows made of one function: its name, its input model, its docstring as the description."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, TypeAdapter

from unspool.errors import SetupError

from .. import Context, Flow

Input = TypeVar("Input", bound=BaseModel)

Function = Callable[[Context, Input], Awaitable[Any]]

_json = TypeAdapter[Any](Any)


class FunctionFlow(Flow[Input]):
    """A flow whose result is the function's return value; pydantic models become JSON."""

    def __init__(self, function: Function[Input]) -> None:
        self.function = function
        self.name = function.__name__
        self.input_model = _input_model_of(function)

    @property
    def description(self) -> str:
        return inspect.getdoc(self.function) or ""

    async def run(self, ctx: Context, request: Input) -> None:
        value = await self.function(ctx, request)
        if value is not None:
            ctx.result(_json.dump_python(value, mode="json"))


def flow(function: Function[Input]) -> FunctionFlow[Input]:
    """
    Make a flow of an async function `(ctx, input)`; its name is the function's.

    `input` is annotated with a pydantic model: the input of the run, checked before it begins.
    Put `@flow` functions into a file and run `unspool serve --flows that_file.py`, or offer
    them from a package through the entry point group `unspool.flows`.

    Raises:
        SetupError: It is not async, or its parameters are not these two.
    """
    return FunctionFlow(function)


def _input_model_of(function: Function[Input]) -> type[Input]:
    name = getattr(function, "__name__", repr(function))
    wants = f"the flow {name} must be `async def {name}(ctx, input: SomePydanticModel)`"
    if not inspect.iscoroutinefunction(function):
        raise SetupError(f"{wants}; it is not async")
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2:
        raise SetupError(f"{wants}; it has {len(parameters)} parameters")
    try:
        kind = get_type_hints(function).get(parameters[1].name)
    except NameError as error:
        raise SetupError(f"{wants}; {error} where it is defined") from None
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        raise SetupError(f"{wants}; its second parameter is annotated with something else")
    return kind  # type: ignore[return-value]  # the annotation is the function's Input
