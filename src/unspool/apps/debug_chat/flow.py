"""
One prompt to several models at once, side by side: each column is its own step.

If a model fails, only its own column fails.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from unspool.errors import ProviderError, SpecError, UnspoolError
from unspool.flows import Context, Flow
from unspool.flows.kit.gather import together

MAX_COLUMNS: Final = 32
"""Each is a request of its own; nobody reads more answers."""


class ComparedModel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, max_length=128)
    """Name of a model or a route."""
    model_id: int | None = None
    """Its number, if the client asked by number."""


class Compare(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1, max_length=200_000)
    system: str = Field("", max_length=50_000)
    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters for every model: `temperature`, `max_tokens` …"""
    columns: list[ComparedModel] = Field(min_length=1, max_length=MAX_COLUMNS)

    @field_validator("columns")
    @classmethod
    def _once(cls, columns: list[ComparedModel]) -> list[ComparedModel]:
        if len({column.model for column in columns}) < len(columns):
            raise ValueError("a model stands in a comparison once")
        return columns


def step_of(number: int) -> str:
    """Return the step of column `number`, from 1."""
    return f"model-{number}"


class CompareFlow(Flow[Compare]):
    input_model = Compare

    async def run(self, ctx: Context, request: Compare) -> None:
        numbers = range(1, len(request.columns) + 1)
        failures = await together(_column(ctx, request, number) for number in numbers)
        if failures[0] is not None and all(failures):
            raise failures[0]
        ctx.result(
            {
                "columns": [
                    {
                        **column.model_dump(),
                        "status": "completed" if failure is None else "failed",
                        "text": ctx.written(step_of(number)),
                    }
                    for number, column, failure in zip(
                        numbers, request.columns, failures, strict=True
                    )
                ]
            }
        )


async def _column(ctx: Context, request: Compare, number: int) -> UnspoolError | None:
    """Let one model answer; return the error that kept it from doing so."""
    step = step_of(number)
    try:
        await ctx.generate(
            request.prompt,
            step=step,
            system=request.system,
            params=request.params,
            model=request.columns[number - 1].model,
        )
    except (ProviderError, SpecError) as error:  # it fails, or somebody removed it meanwhile
        ctx.found("column_failed", {"code": error.code, "message": str(error)}, step=step)
        return error
    return None


plug = CompareFlow()
