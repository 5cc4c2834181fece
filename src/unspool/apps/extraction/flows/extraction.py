"""
Turns one person's behaviours into events; the model writes one line per event.

Each line becomes an event the moment it ends. At the end of the run its events replace those of
an earlier run of the same person.
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
"""In one prompt: about 25,000 tokens, within the context of every current model."""


class Extraction(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user_id: str = Field(min_length=1, max_length=MAX_USER_CHARS, pattern=r"^[^\p{Cc}|]+$")
    """The person's id. No `|` and no line end, because it is a field of a line."""
    limit: int = Field(200, ge=1, le=MAX_BEHAVIORS)
    """Number of behaviours to use, the latest ones."""
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
        filled_in = {
            "profile": person.profile(),
            "behaviors": [_facts(behavior, names) for behavior in behaviors],
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
        Replace the person's events.

        An answer without events changes nothing, and an incomplete run replaces no stored
        events: fewer events would be no better.
        """
        events = [_stored(item["item"]) for item in run.items if item["kind"] == EVENT]
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
