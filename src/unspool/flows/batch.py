"""
Many inputs, one flow: each item is a run of its own.

The batch tells how far it is; what an item says is in the item's own stream. An item that
fails does not fail the batch: the result says which did, and why.
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
"""In one batch: the result tells of each, and is one event that every viewer gets."""

MAX_CONCURRENCY: Final = 32
"""Items at once: what one provider's account commonly allows, and far below `max_live_runs`."""


class Batch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    flow: str = Field(min_length=1, max_length=64)
    """What is done with each item."""
    items: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_ITEMS)
    """The input of each run."""
    model: str = Field("", max_length=128)
    """Asked for each item; empty means the batch's own."""
    concurrency: int = Field(4, ge=1, le=MAX_CONCURRENCY)
    """Items that go on at once."""


class BatchFlow(Flow[Batch]):
    input_model = Batch

    async def prepare(self, request: Batch, records: Records) -> Batch:
        """
        Look at the shape of every item; what an item asks for is looked at in its turn.

        Raises:
            SpecError: An item can never be right, or is a batch itself.
        """
        if request.flow == NAME:
            raise SpecError("a batch of batches: put all the items into one")
        shape = open_flow(request.flow).input_model
        for number, item in enumerate(request.items, start=1):
            try:
                shape.model_validate(item)
            except ValidationError as error:
                (first, *_) = error.errors(include_input=False, include_url=False)
                field = ".".join(map(str, first["loc"])) or "input"
                raise SpecError(f"item {number}: {field}: {first['msg']}") from None
        return request

    async def run(self, ctx: Context, request: Batch) -> None:
        outcomes: dict[int, Outcome] = {}
        # In their order and from one place: whoever carries the batch on after a crash comes to
        # the items that were going on before it begins others, so the cap holds then too.
        waiting = iter(enumerate(request.items, start=1))
        hands = range(min(request.concurrency, len(request.items)))
        await together(_work(ctx, request, waiting, outcomes) for _ in hands)
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
        # Without a word of which: said again after a crash, it is the same in any order.
        done = len(outcomes)
        ctx.progress(f"{done} of {total} items have ended", current=done, total=total)


def _result(outcomes: dict[int, Outcome]) -> dict[str, Any]:
    items = []
    for number, outcome in sorted(outcomes.items()):
        facts = {"number": number, "run": outcome.run, "status": outcome.status}
        fields = {"text": outcome.text} if outcome.result is None else {"result": outcome.result}
        items.append(facts | fields | ({"error": outcome.error} if outcome.error else {}))
    completed = sum(item["status"] == "completed" for item in items)
    return {"items": items, "completed": completed, "failed": len(items) - completed}


plug = BatchFlow()
