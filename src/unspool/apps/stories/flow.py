"""
Writes the stages of a story: a rewritten text, its scenes, and a camera movement for each scene.

Each stage works on the result of the stage before it. A run writes one stage or several. At its
end the project stores the whole stages as current results, even if the run broke.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from unspool.errors import AlreadyRunning, InvalidAnswer, NotReady, SpecError, UnknownRecord
from unspool.flows import Context, KeepingFlow, Recorder
from unspool.runs.run import Run, Step

from .film import MOVEMENTS
from .prompts import SYSTEM, stage_prompt
from .readers import Cameras, Elements, OneScene, Scenes, findings_in
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
from .request import Board, Story

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
            UnknownRecord: There is no such project, or no such scene.
            NotReady: The stage before the first one has no result, or there is no text.
            AlreadyRunning: Another run is writing one of the stages.
        """
        project = await find_project(records, request.project_id)
        stages = {stage.kind: stage for stage in await stages_of(records, project.id)}
        kinds = [kind for kind in STAGES if kind in request.stages]
        if request.scene is not None:
            kinds = ["storyboard"]
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
        if request.scene is not None:
            return _for_scene(whole, request.scene, results)
        whole.board = None
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
        source = None
        if "rewrite" in request.stages and request.original_text is not None:
            # The text stays with the stage, except where it is the topic, which may yet change.
            is_topic = request.original_text == request.topic
            source = "" if is_topic else request.original_text
        other = await claim_stages(
            records, request.project_id, request.stages, run_id, input_text=source
        )
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
            is_whole = step is not None and step.finished and _has_result(run, kind, step)
            if step is None or not is_whole:
                await self._left(records, request, kind, run, had=kind in results)
                continue
            source = given[FED_BY[kind]]
            result = _result(request, kind, source, step, run)
            given[kind] = result["text"] if kind == "rewrite" else result["items"]
            result |= {"project_id": request.project_id, "run_id": run_id}
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


def _for_scene(request: Story, number: int, results: Mapping[StageKind, StageResult]) -> Story:
    """Return the request to write one scene again, with the storyboard that it is part of."""
    old = results.get("storyboard")
    if old is None:
        raise NotReady("there is no storyboard yet; write the stage storyboard first")
    if number not in (numbers := [scene["number"] for scene in old.items]):
        raise UnknownRecord(f"the storyboard has no scene {number}; it has {numbers}")
    board = Board(
        result=old.id,
        made_of=old.made_of,
        wish=old.details.get("wish", ""),
        scenes=old.items,
        characters=old.details.get("characters", []),
        findings=old.details.get("findings", []),
    )
    given = {"rewrite": old.original_text}
    return request.model_copy(update={"stages": ["storyboard"], "given": given, "board": board})


async def _stage(
    ctx: Context, request: Story, kind: StageKind, given: Mapping[str, Any]
) -> str | list[dict[str, Any]]:
    source = given[FED_BY[kind]]
    # A model that the request names goes before the stage's own.
    how: Any = {"step": kind, "system": SYSTEM[kind]}
    how["model"] = ctx.model or request.models.get(kind, "")
    prompt = stage_prompt(request, kind, source)
    if kind == "rewrite":
        text = await ctx.generate(prompt, **how)
        if not text.strip():
            raise InvalidAnswer("the model's answer is empty; try again, or use another model")
        return text
    readers: list[Elements] = []

    def read() -> Elements:
        readers.append(_reader(request, kind, source)(ctx))
        return readers[-1]

    await ctx.generate(prompt, read=read, is_bound=True, **how)
    items = readers[-1].items
    if not items:
        raise InvalidAnswer(
            f"the model's answer has no readable {kind}; the run has its text: try again, or use "
            "another model"
        )
    if kind == "camera" and len(items) < len(source):
        missing = sorted({scene["number"] for scene in source} - {item["scene"] for item in items})
        ctx.warn(f"scenes without a camera movement: {missing}", step=kind, code="incomplete")
    return items if request.board is None else request.board.with_scene(items[0])


def _reader(request: Story, kind: StageKind, source: Any) -> Callable[[Recorder], Elements]:
    """Return what makes a reader of a stage's answer."""
    board, number = request.board, request.scene
    if kind == "camera":
        return lambda ctx: Cameras(ctx, kind, source)
    if board is not None and number is not None:
        return lambda ctx: OneScene(ctx, kind, number, source, board)
    return lambda ctx: Scenes(ctx, kind, source, request.wish)


ITEMS: Final[Mapping[StageKind, str]] = {"storyboard": "scene", "camera": "camera"}
"""Kind of the items of a stage."""


def _has_result(run: Run, kind: StageKind, step: Step) -> bool:
    return bool(step.text.strip() if kind == "rewrite" else _items(run, kind))


def _items(run: Run, kind: StageKind, item: str = "") -> list[dict[str, Any]]:
    """Return the items of a stage in a run."""
    wanted = item or ITEMS.get(kind)
    found = (one for one in run.items if one.get("step") == kind)
    return [one["item"] for one in found if one["kind"] == wanted]


def _result(request: Story, kind: StageKind, source: Any, step: Step, run: Run) -> dict[str, Any]:
    """Return the columns of a stage's result, besides its project and run."""
    board, text, items = request.board, step.text, _items(run, kind)
    details: dict[str, Any] = {"wish": request.wish, "finish_reason": step.finish_reason}
    made = made_of(request.wish, kind, source)
    if kind != "rewrite":
        details["findings"] = findings_in(text, _reader(request, kind, source))
    if kind == "storyboard":
        details["characters"] = _items(run, kind, "character")
    if board is not None and request.scene is not None:
        # All but the scene stays: what the storyboard was made of, too.
        made, items = board.made_of, board.with_scene(items[0])
        text = json.dumps({"scenes": items}, ensure_ascii=False, indent=1)
        details |= {"wish": board.wish, "scene": request.scene, "scene_wish": request.wish}
        details["characters"] = board.characters
        details["findings"] = board.with_findings(request.scene, details["findings"])
    return {
        "kind": kind,
        "original_text": source if isinstance(source, str) else plain(source),
        "text": text,
        "items": items,
        "model": step.model or "",
        "prompt": stage_prompt(request, kind, source),
        "details": details,
        "made_of": made,
    }


def plain(items: list[dict[str, Any]]) -> str:
    """Return scenes or camera movements as lines for people."""
    return "\n".join(_line(item) for item in items)


def _line(item: dict[str, Any]) -> str:
    if "movement" in item:
        said = item.get("movement_text") or MOVEMENTS.get(item["movement"] or "", "")
        return f"{item['scene']}. {said} {item['reason']}"
    return f"{item['number']}. {item['description']}"


plug = StoryFlow()
