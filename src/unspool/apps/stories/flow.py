"""
Writes the stages of a story: a rewritten text, its scenes, and a camera movement for each scene.

Each stage works on the result of the stage before it. A run writes one stage or several. At its
end the project stores the whole stages as current results, even if the run broke.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from unspool.errors import AlreadyRunning, InvalidAnswer, NotReady, SpecError
from unspool.flows import Context, KeepingFlow
from unspool.runs.run import Run

from .prompts import SYSTEM, stage_prompt
from .readers import Elements, cameras, scenes
from .records import (
    STAGES,
    StageKind,
    StageResult,
    add_result,
    change_stage,
    claim_stages,
    current_results,
    digest_of,
    find_project,
    point_at,
    stages_of,
)
from .request import Story

if TYPE_CHECKING:
    from unspool.records import Records

LABELS: Final[Mapping[StageKind, str]] = {
    "rewrite": "文案改写",
    "storyboard": "分镜生成",
    "camera": "运镜生成",
}


class StoryFlow(KeepingFlow[Story]):
    input_model = Story

    async def prepare(self, request: Story, records: Records) -> Story:
        """
        Fill in the project's data, and check that the first stage has a source.

        Raises:
            UnknownRecord: There is no such project.
            NotReady: The stage before the first one has no result, or there is no text.
            AlreadyRunning: Another run is writing one of the stages.
        """
        project = await find_project(records, request.project_id)
        stages = {stage.kind: stage for stage in await stages_of(records, project.id)}
        kinds = [kind for kind in STAGES if kind in request.stages]
        for kind in kinds:
            if stages[kind].status in {"running", "queued"}:
                raise AlreadyRunning(f"the stage {kind}", stages[kind].run_id)
        first = STAGES.index(kinds[0])
        if kinds != list(STAGES[first : first + len(kinds)]):
            raise SpecError("the stages of a run must be consecutive; add storyboard between them")
        text = request.original_text
        if text is None:
            text = stages["rewrite"].input_text or project.original_topic
        results = await current_results(records, project.id)
        models = {kind: stages[kind].model for kind in STAGES if stages[kind].model}
        whole = request.model_copy(
            update={"original_text": text, "topic": project.original_topic, "models": models}
        )
        if request.only_stale:
            kinds = _stale(whole, kinds, results)
        given = _given(kinds, results)
        if kinds[0] == "rewrite" and not text.strip():
            raise NotReady(
                "the project has neither a topic nor an input text; set `original_topic`, or send "
                "`original_text`"
            )
        return whole.model_copy(update={"stages": kinds, "given": given})

    async def begin(self, run_id: str, request: Story, records: Records) -> None:
        other = await claim_stages(records, request.project_id, request.stages, run_id)
        if other is not None:
            raise AlreadyRunning(f"a stage of project {request.project_id}", other)

    async def run(self, ctx: Context, request: Story) -> None:
        given: dict[str, Any] = {"topic": request.original_text, **request.given}
        for number, kind in enumerate(request.stages, start=1):
            ctx.progress(LABELS[kind], current=number - 1, total=len(request.stages))
            given[kind] = await _stage(ctx, request, kind, given)
        ctx.result({kind: given[kind] for kind in request.stages})

    async def keep(self, run_id: str, request: Story, run: Run, records: Records) -> None:
        given: dict[str, Any] = {"topic": request.original_text, **request.given}
        results = await current_results(records, request.project_id)
        stages = {
            stage.kind: stage.run_id for stage in await stages_of(records, request.project_id)
        }
        for kind in request.stages:
            if stages.get(kind) != run_id:
                continue  # another run has taken the stage over
            step = run.steps.get(kind)
            items = [item["item"] for item in run.items if item.get("step") == kind]
            is_whole = step is not None and step.finished and (kind == "rewrite" or bool(items))
            if step is None or not is_whole:
                await self._left(records, request, kind, run, had=kind in results)
                continue
            source = given[FED_BY[kind]]
            given[kind] = step.text if kind == "rewrite" else items
            result = {
                "project_id": request.project_id,
                "kind": kind,
                "run_id": run_id,
                "original_text": source if isinstance(source, str) else _plain(source),
                "text": step.text,
                "items": items,
                "model": step.model or "",
                "prompt": stage_prompt(request, kind, source),
                "details": {"wish": request.wish, "finish_reason": step.finish_reason},
                "made_of": made_of(request.wish, kind, source),
            }
            async with records.session() as session:
                await point_at(session, result, await add_result(session, result))
                await session.commit()

    async def _left(
        self, records: Records, request: Story, kind: StageKind, run: Run, *, had: bool
    ) -> None:
        """Store the status of a stage that the run did not finish."""
        if kind not in run.steps:
            values: dict[str, Any] = {"status": "completed" if had else "pending", "error": None}
        else:
            is_paused = run.status == "cancelled"
            values = {"status": "paused" if is_paused else "failed", "error": run.error}
        await change_stage(records, request.project_id, kind, values)


FED_BY: Final[Mapping[StageKind, str]] = {
    "rewrite": "topic",
    "storyboard": "rewrite",
    "camera": "storyboard",
}


def made_of(wish: str, kind: StageKind, source: Any) -> str:
    """Return the digest of a stage's sources; equal sources have equal digests."""
    return digest_of(kind, wish, source)


def _stale(
    request: Story, kinds: list[StageKind], results: Mapping[StageKind, StageResult]
) -> list[StageKind]:
    """Return the stages to write again: the first stale one, and all after it."""
    source: Any = request.original_text
    for number, kind in enumerate(kinds):
        result = results.get(kind)
        wish = request.wish or (result.details.get("wish", "") if result else "")
        if result is None or result.made_of != made_of(wish, kind, source):
            return kinds[number:]
        source = result.text if kind == "rewrite" else result.items
    raise SpecError("no stage is stale; leave `only_stale` out to write them again")


def _given(kinds: list[StageKind], results: Mapping[StageKind, StageResult]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    before = STAGES[STAGES.index(kinds[0]) - 1] if kinds[0] != STAGES[0] else None
    if before is not None:
        if before not in results:
            raise NotReady(
                f"the stage {kinds[0]} needs the result of {before}, which has none; write "
                f"{before} first"
            )
        row = results[before]
        given[before] = row.text if before == "rewrite" else row.items
    return given


async def _stage(
    ctx: Context, request: Story, kind: StageKind, given: Mapping[str, Any]
) -> str | list[dict[str, Any]]:
    source = given[FED_BY[kind]]
    prompt, model = stage_prompt(request, kind, source), request.models.get(kind, "")
    if kind == "rewrite":
        return await ctx.generate(prompt, step=kind, system=SYSTEM[kind], model=model)
    readers: list[Elements] = []

    def read() -> Elements:
        numbers = [scene["number"] for scene in source] if kind == "camera" else []
        reader = cameras(ctx, kind, numbers) if kind == "camera" else scenes(ctx, kind)
        readers.append(reader)
        return reader

    make: Callable[[], Elements] = read
    await ctx.generate(
        prompt, step=kind, system=SYSTEM[kind], model=model, read=make, is_bound=True
    )
    items = readers[-1].items
    if not items:
        raise InvalidAnswer(
            f"the model's answer has no readable {kind}; the run has its text: try again, or use "
            "another model"
        )
    if kind == "camera" and len(items) < len(source):
        missing = sorted({scene["number"] for scene in source} - {item["scene"] for item in items})
        ctx.warn(f"scenes without a camera movement: {missing}", step=kind, code="incomplete")
    return items


def _plain(items: list[dict[str, Any]]) -> str:
    return "\n".join(f"{item['number']}. {item['description']}" for item in items)


plug = StoryFlow()
