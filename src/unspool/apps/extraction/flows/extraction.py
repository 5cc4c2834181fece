"""
Events of one person: what they did, abstracted by a model, one line an event.

Each line is an event the moment it ends. When the run is over its events take the place of
those that an earlier run has made of the same person.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from unspool.errors import EmptyInput
from unspool.flows import Context, KeepingFlow
from unspool.records.behaviors import Behavior, behaviors_of, count_behaviors
from unspool.records.people import MAX_USER_CHARS, find_person
from unspool.records.products import names_of

from ..event_lines import EVENT, EventReader
from ..event_prompts import SYSTEM, events_prompt
from ..records.events import count_events, replace_events

if TYPE_CHECKING:
    from unspool.records import Records
    from unspool.runs.run import Run

STEP: Final = "events"

MAX_BEHAVIORS: Final = 500
"""In one prompt: some 25,000 tokens, which every model of today takes."""


class Extraction(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user_id: str = Field(min_length=1, max_length=MAX_USER_CHARS, pattern=r"^[^\p{Cc}|]+$")
    """Whose events. No `|` and no line end: it is a field of a line."""
    limit: int = Field(200, ge=1, le=MAX_BEHAVIORS)
    """The latest so many behaviours are looked at."""
    profile: dict[str, Any] = Field(default_factory=dict)
    """Filled in with what is known of the person, whatever is sent."""
    behaviors: list[dict[str, Any]] = Field(default_factory=list)
    """Filled in with what they did, oldest first: so equal input is the same run."""
    behavior_count: int = Field(0, ge=0)
    """Filled in: how many there are in all."""


class ExtractionFlow(KeepingFlow[Extraction]):
    input_model = Extraction

    async def prepare(self, request: Extraction, records: Records) -> Extraction:
        """
        Fill in what is known of the person.

        Raises:
            UnknownRecord: Nobody of that id.
        """
        person = await find_person(records, request.user_id)
        behaviors = await behaviors_of(records, request.user_id, limit=request.limit)
        names = await names_of(records, {b.sku for b in behaviors if b.sku})
        facts = {
            "profile": person.profile(),
            "behaviors": [_facts(behavior, names) for behavior in behaviors],
            "behavior_count": await count_behaviors(records, request.user_id),
        }
        return request.model_copy(update=facts)

    async def run(self, ctx: Context, request: Extraction) -> None:
        user_id, count = request.user_id, len(request.behaviors)
        if not count:
            raise EmptyInput(f"用户 {user_id} 没有行为数据")
        if request.behavior_count > count:
            ctx.warn(f"用户 {user_id} 有 {request.behavior_count} 条行为，只分析最近 {count} 条")
        ctx.progress(f"正在调用LLM分析 {count} 条行为...")
        reader = EventReader(ctx, {user_id}, STEP)

        def read() -> EventReader:
            nonlocal reader
            reader = EventReader(ctx, {user_id}, STEP)
            return reader

        prompt = events_prompt({user_id: request.behaviors}, {user_id: request.profile})
        await ctx.generate(prompt, step=STEP, system=SYSTEM, read=read, by_lines=True)
        ctx.result({"event_count": len(reader.events), "left_out": reader.left_out})
        ctx.progress("正在保存事件到数据库...")

    async def keep(self, run_id: str, request: Extraction, run: Run, records: Records) -> None:
        """
        Let these be the person's events.

        Where there are none in the answer, or the run has not completed, those that are there
        stay: less than there was is no better.
        """
        events = [_stored(found["item"]) for found in run.items if found["kind"] == EVENT]
        async with records.session() as session:
            is_better = run.status == "completed" or not await count_events(
                session, request.user_id
            )
            if events and is_better:
                await replace_events(session, request.user_id, run_id, events)
                await session.commit()


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


def _stored(item: dict[str, Any]) -> dict[str, Any]:
    at = datetime.strptime(item["at"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return {"type": item["type"], "at": at, "context": item["context"]}


plug = ExtractionFlow()
