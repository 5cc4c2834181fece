"""
Extracts the events of many people, each in a run of its own.

The server resolves which people when the batch is asked for, so all of them are in its log and it
continues after a crash. It reports counts; each person's own run has the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from unspool.errors import EmptyInput, SpecError
from unspool.flows import Context, Flow
from unspool.flows.batch import MAX_CONCURRENCY
from unspool.flows.kit.gather import together
from unspool.records.people import MAX_USER_CHARS

from ..records.people_pages import PeopleFilter, State, ids_of
from .extraction import MAX_BEHAVIORS, USUAL_BEHAVIORS

if TYPE_CHECKING:
    from unspool.records import Records

MAX_PEOPLE: Final = 50_000
"""In one batch: their ids, about 1 MB, are in its first event."""

MAX_FAILURES: Final = 100
"""Listed in the result; the list of people has them all."""


class Which(BaseModel):
    """The people of a batch: those that a list with the same filter shows."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field("", max_length=200)
    """Id, name or city contains it."""
    state: State = ""
    """By their events and their last extraction; empty: all."""
    city: str = Field("", max_length=100)


class PeopleBatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    which: Which | None = None
    """All people with behaviours that match. Either this or `user_ids`."""
    user_ids: list[str] = Field(default_factory=list, max_length=MAX_PEOPLE)
    """Their ids; the server fills them in for `which`."""
    limit: int = Field(USUAL_BEHAVIORS, ge=1, le=MAX_BEHAVIORS)
    """Number of behaviours to use of each person, the latest ones."""
    concurrency: int = Field(4, ge=1, le=MAX_CONCURRENCY)
    """People at once."""
    whole_profile: bool = False
    """Send each person's whole profile to the model."""


class ExtractionBatchFlow(Flow[PeopleBatch]):
    input_model = PeopleBatch

    async def prepare(self, request: PeopleBatch, records: Records) -> PeopleBatch:
        """
        Resolve the people.

        Raises:
            SpecError: Nobody or too many match, an id is wrong, or both forms are there.
        """
        if request.which is None:
            if not request.user_ids:
                raise SpecError("`user_ids` or `which` is needed")
            if any(not 0 < len(user_id) <= MAX_USER_CHARS for user_id in request.user_ids):
                raise SpecError(f"an id has 1 to {MAX_USER_CHARS} characters")
            return request.model_copy(update={"user_ids": list(dict.fromkeys(request.user_ids))})
        if request.user_ids:
            raise SpecError("either `user_ids` or `which`, not both")
        given = request.which
        which = PeopleFilter(given.query, given.state, given.city, has_behaviors=True)
        user_ids = await ids_of(records, which, limit=MAX_PEOPLE + 1)
        if not user_ids:
            raise EmptyInput("nobody with behaviours matches")
        if len(user_ids) > MAX_PEOPLE:
            raise SpecError(f"more than {MAX_PEOPLE:,} people match; narrow the filter")
        return request.model_copy(update={"user_ids": user_ids})

    async def run(self, ctx: Context, request: PeopleBatch) -> None:
        batch = _Tally(ctx, request)
        # In order and from one iterator: after a crash, the next owner reaches the people that
        # were live before it begins others, so the limit holds then too.
        waiting = iter(enumerate(request.user_ids, start=1))
        workers = range(min(request.concurrency, len(request.user_ids)))
        await together(batch.work(waiting) for _ in workers)
        ctx.result(batch.result())


class _Tally:
    """Counts how the people's runs ended; it holds none of their texts."""

    def __init__(self, ctx: Context, request: PeopleBatch) -> None:
        self._ctx = ctx
        self._request = request
        self._statuses: Counter[str] = Counter()
        self._events = 0
        self._failures: list[tuple[int, dict[str, Any]]] = []

    async def work(self, waiting: Iterator[tuple[int, str]]) -> None:
        request, total = self._request, len(self._request.user_ids)
        for number, user_id in waiting:
            asked = {"user_id": user_id, "limit": request.limit}
            if request.whole_profile:
                asked["whole_profile"] = True
            outcome = await self._ctx.child(number, "extraction", asked)
            self._statuses[outcome.status] += 1
            if outcome.status == "completed":
                self._events += outcome.items
            elif len(self._failures) < MAX_FAILURES:
                failure = {"user_id": user_id, "run": outcome.run, "status": outcome.status}
                self._failures.append(
                    (number, failure | ({"error": outcome.error} if outcome.error else {}))
                )
            # The message names nobody, so a repeat after a crash reads the same in any order.
            done = self._statuses.total()
            self._ctx.progress(f"已完成 {done}/{total} 个用户", current=done, total=total)

    def result(self) -> dict[str, Any]:
        completed = self._statuses["completed"]
        return {
            "user_count": self._statuses.total(),
            "completed": completed,
            "failed": self._statuses.total() - completed,
            "event_count": self._events,
            "failures": [failure for _, failure in sorted(self._failures, key=lambda one: one[0])],
        }


plug = ExtractionBatchFlow()
