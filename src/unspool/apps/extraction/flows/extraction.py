"""
Turns one person's behaviours into events; the model writes one line per event.

Each line that stands on a behaviour becomes an event the moment it ends. A long history is read
in windows, one step each. At the end of the run its events replace those of an earlier run of the
same person, unless there are far fewer of them: then somebody has to accept them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from unspool.errors import EmptyInput, FewerThanBefore, NothingFound, ProviderRefused
from unspool.flows import Context, KeepingFlow
from unspool.records.behaviors import Behavior, behaviors_of, count_behaviors
from unspool.records.people import MAX_USER_CHARS, find_person
from unspool.records.products import names_of

from ..event_checks import Grounds, known_from
from ..event_lines import EVENT, EventReader, KnownPerson
from ..event_prompts import SYSTEM, events_prompt
from ..privacy import Hiding, alias_of, shown_profile
from ..records.extractions import Ending, begin_extraction, end_extraction
from ..windows import MAX_WINDOW, MIN_WINDOW, window_end

if TYPE_CHECKING:
    from unspool.records import Records
    from unspool.runs.run import Run

STEP: Final = "events"

MAX_BEHAVIORS: Final = 5000
"""Of one person in one run: 25 windows. The run's input holds them, about 1 MB."""

USUAL_BEHAVIORS: Final = 1000

SPARE_LINES: Final = 60
"""Lines that a model may write above two for each behaviour, before it is stopped."""


class Extraction(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user_id: str = Field(min_length=1, max_length=MAX_USER_CHARS)
    """The person's id."""
    limit: int = Field(USUAL_BEHAVIORS, ge=1, le=MAX_BEHAVIORS)
    """Number of behaviours to use, the latest ones."""
    whole_profile: bool = False
    """Send the person's whole profile to the model, the name too; else gender, age group and
    city."""
    alias: str = Field("", max_length=MAX_USER_CHARS)
    """The server fills in the person's name in the model's lines; empty: the id."""
    profile: dict[str, Any] = Field(default_factory=dict)
    """The server fills in the person's profile, whatever a client sends."""
    behaviors: list[dict[str, Any]] = Field(default_factory=list)
    """The server fills in the behaviours, oldest first: equal input is the same run."""
    behavior_count: int = Field(0, ge=0)
    """The server fills in the number of all behaviours."""


class ExtractionFlow(KeepingFlow[Extraction]):
    input_model = Extraction

    async def prepare(self, request: Extraction, records: Records) -> Extraction:
        """
        Fill in the person's profile and behaviours.

        Raises:
            UnknownRecord: There is no such person.
        """
        person = await find_person(records, request.user_id)
        behaviors = await behaviors_of(records, request.user_id, limit=request.limit)
        names = await names_of(records, {b.sku for b in behaviors if b.sku})
        profile = person.profile()
        alias = alias_of(request.user_id)
        hiding = Hiding(request.user_id, alias, profile)
        facts = [_facts(behavior, names) for behavior in behaviors]
        filled_in = {
            "alias": alias,
            "profile": profile if request.whole_profile else shown_profile(profile),
            "behaviors": facts if request.whole_profile else [hiding.behavior(f) for f in facts],
            "behavior_count": await count_behaviors(records, request.user_id),
        }
        return request.model_copy(update=filled_in)

    async def run(self, ctx: Context, request: Extraction) -> None:
        user_id, count = request.user_id, len(request.behaviors)
        if not count:
            raise EmptyInput(f"用户 {user_id} 没有行为数据")
        if request.behavior_count > count:
            ctx.warn(f"用户 {user_id} 有 {request.behavior_count} 条行为，只分析最近 {count} 条")
        ctx.progress(f"正在调用LLM分析 {count} 条行为...")
        reader = await _Windows(ctx, request).read()
        ctx.result(
            {
                "event_count": len(reader.events),
                "left_out": reader.left_out,
                "ungrounded": reader.ungrounded,
            }
        )
        if not reader.events:
            raise NothingFound(
                f"没有得到事件：{reader.left_out} 行不是事件，{reader.ungrounded} 行与行为不符"
            )
        ctx.progress("正在保存事件到数据库...")

    async def begin(self, run_id: str, request: Extraction, records: Records) -> None:
        """Record that the person's extraction goes on."""
        await begin_extraction(records, request.user_id, run_id)

    async def keep(self, run_id: str, request: Extraction, run: Run, records: Records) -> None:
        """
        Replace the person's events.

        An answer without events changes nothing, and an incomplete run replaces no stored
        events: fewer events would be no better.

        Raises:
            FewerThanBefore: Far fewer than are stored, which stay.
        """
        since = _at(request.behaviors[0]["at"]) if request.behaviors else None
        ending = Ending(run.status, str((run.error or {}).get("code", "")), since)
        events = events_in(run)
        before = await end_extraction(records, request.user_id, run_id, events, ending)
        if before:
            found = len(events)
            raise FewerThanBefore(
                f"这次只得到 {found} 个事件，原有 {before} 个；原有的保留，等待确认"
            )


@dataclass(slots=True)
class _Windows:
    """Reads the windows of a history, one after the other."""

    ctx: Context
    request: Extraction

    async def read(self) -> EventReader:
        request, end, number, size = self.request, 0, 0, MAX_WINDOW
        alias = request.alias or request.user_id
        grounds = Grounds(known_from(request.behaviors))
        people = {name: KnownPerson(request.user_id, grounds) for name in (request.user_id, alias)}
        reader = EventReader(self.ctx, people, STEP)
        while end < len(request.behaviors):
            number += 1
            step = STEP if number == 1 else f"{STEP}-{number}"
            reader, end, size = await self._window(reader, step, end, size)
        return reader

    async def _window(
        self, before: EventReader, step: str, start: int, size: int
    ) -> tuple[EventReader, int, int]:
        """
        Read one window; halve it as often as the model refuses it as too long.

        The log remembers each refusal, so a later owner of the run cuts the same windows.
        """
        halvings = 0
        while True:
            while (known := self.ctx.noted(f"{step} halved {halvings + 1}")) is not None:
                size, halvings = known, halvings + 1
            end = window_end(self.request.behaviors, start, size)
            try:
                return await self._generate(before, step, start, end), end, size
            except ProviderRefused as error:
                if not error.is_too_long or end - start <= MIN_WINDOW:
                    raise
            half = (end - start + 1) // 2

            async def halved(size: int = half) -> int:
                return size

            await self.ctx.note(f"{step} halved {halvings + 1}", halved)

    async def _generate(self, before: EventReader, step: str, start: int, end: int) -> EventReader:
        ctx, request = self.ctx, self.request
        reader = before

        def read() -> EventReader:
            nonlocal reader
            max_lines = 2 * (end - start) + SPARE_LINES
            reader = EventReader(
                ctx,
                before.people,
                step,
                before=before,
                max_lines=max_lines,
                enough=lambda: ctx.enough(step),
            )
            return reader

        alias = request.alias or request.user_id
        prompt = events_prompt({alias: request.behaviors[start:end]}, {alias: request.profile})
        await ctx.generate(prompt, step=step, system=SYSTEM, read=read, by_lines=True)
        return reader


def events_in(run: Run) -> list[dict[str, Any]]:
    """Return the events in a run's log, for the records."""
    return [
        {
            "type": item["item"]["type"],
            "at": _at(item["item"]["at"]),
            "context": item["item"]["context"],
        }
        for item in run.items
        if item["kind"] == EVENT
    ]


def _facts(behavior: Behavior, names: dict[str, str]) -> dict[str, Any]:
    facts = {
        "at": f"{behavior.at:%Y-%m-%d %H:%M:%S}",
        "action": behavior.action,
        "sku": behavior.sku,
        "product": names.get(behavior.sku or ""),
        "stay_s": behavior.stay_s,
        "properties": behavior.properties,
    }
    return {name: value for name, value in facts.items() if value not in (None, "", {})}


def _at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


plug = ExtractionFlow()
