"""
Runs one flow over many inputs, each as a run of its own.

The batch reports progress; each item streams its text in its own run. An item that fails does
not fail the batch: the result lists the failures and their reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import SpecError
from . import Context, Flow, Outcome, open_flow
from .kit.gather import together

if TYPE_CHECKING:
    from ..records import Records

NAME: Final = "batch"

MAX_ITEMS: Final = 1000
"""In one batch: the result lists them all, and is one event that every viewer gets."""

MAX_CONCURRENCY: Final = 32
"""Items at once: a provider's account commonly allows as many; far below `max_live_runs`."""


class Batch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    flow: str = Field(min_length=1, max_length=64)
    """Name of the flow that runs for each item."""
    items: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_ITEMS)
    """The input of each run."""
    model: str = Field("", max_length=128)
    """Model or route for each item; empty means the batch's own."""
    concurrency: int = Field(4, ge=1, le=MAX_CONCURRENCY)
    """Items that run at once."""


class BatchFlow(Flow[Batch]):
    input_model = Batch

    async def prepare(self, request: Batch, records: Records) -> Batch:
        """
        Validate every item's input; the flow itself checks an item when its turn comes.

        Raises:
            SpecError: An item's input is invalid, or the items are batches themselves.
        """
        if request.flow == NAME:
            raise SpecError("a batch of batches: put all the items into one")
        input_model = open_flow(request.flow).input_model
        for number, item in enumerate(request.items, start=1):
            try:
                input_model.model_validate(item)
            except ValidationError as error:
                (first, *_) = error.errors(include_input=False, include_url=False)
                field = ".".join(map(str, first["loc"])) or "input"
                raise SpecError(f"item {number}: {field}: {first['msg']}") from None
        return request

    async def run(self, ctx: Context, request: Batch) -> None:
        outcomes: dict[int, Outcome] = {}
        # In order and from one iterator: after a crash, the next owner reaches the items that
        # were live before it begins others, so the limit holds then too.
        waiting = iter(enumerate(request.items, start=1))
        workers = range(min(request.concurrency, len(request.items)))
        await together(_work(ctx, request, waiting, outcomes) for _ in workers)
        ctx.result(_result(outcomes))


async def _work(
    ctx: Context,
    request: Batch,
    waiting: Iterator[tuple[int, dict[str, Any]]],
    outcomes: dict[int, Outcome],
) -> None:
    total = len(request.items)
    for number, item in waiting:
        outcomes[number] = await ctx.child(number, request.flow, item, model=request.model)
        # The message names no item, so a repeat after a crash reads the same in any order.
        done = len(outcomes)
        ctx.progress(f"{done} of {total} items have ended", current=done, total=total)


def _result(outcomes: dict[int, Outcome]) -> dict[str, Any]:
    items = []
    for number, outcome in sorted(outcomes.items()):
        item = {"number": number, "run": outcome.run, "status": outcome.status}
        answer = {"text": outcome.text} if outcome.result is None else {"result": outcome.result}
        items.append(item | answer | ({"error": outcome.error} if outcome.error else {}))
    completed = sum(item["status"] == "completed" for item in items)
    return {"items": items, "completed": completed, "failed": len(items) - completed}


plug = BatchFlow()
