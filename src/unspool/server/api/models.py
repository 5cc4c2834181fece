"""`/api/models`: register, change, test and remove models."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Query
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.dialects import Options
from unspool.errors import SpecError
from unspool.models.defaults import DefaultsInput
from unspool.models.definitions import ModelInput
from unspool.models.probe import MAX_TOKENS, QUESTION
from unspool.runs.run import RunSpec
from unspool.server.headers import wants_stream
from unspool.viewing.outcomes import Outcomes, outcomes_of
from unspool.viewing.streams import first_stream_of

from .json.model import defaults_json, entry_json, models_json, tested_json
from .json.places import place

MAX_NUMBER = 2**63 - 1
"""The largest integer of SQLite."""

MAX_RUNS = 200
"""The newest runs, whose requests say how a model is doing."""

Number = Annotated[int, Path(alias="id", ge=1, le=MAX_NUMBER)]


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/models", tags=["models"])
    registry = core.registry

    @router.get("")
    async def list_models() -> dict[str, Any]:
        """List every model, by number, and the names of the default ones."""
        return models_json(registry, await _outcomes(core))

    @router.patch("/defaults")
    async def choose_defaults(choice: DefaultsInput) -> dict[str, Any]:
        """Choose the default model, of all flows or of some; null withdraws a choice."""
        await registry.choose_defaults(choice)
        await core.audit.note("model.default", choice.model or "", flows=list(choice.flows or ()))
        return defaults_json(registry.catalog)

    @router.post("", status_code=201)
    async def add_model(definition: ModelInput) -> JSONResponse:
        """Register a model without calling it; `…/test` does that."""
        entry = await registry.add(definition)
        await core.audit.note("model.added", entry.model.name)
        headers = {"Location": place("/api/models", entry.id)}
        return JSONResponse(entry_json(entry, registry), 201, headers=headers)

    @router.get("/{id}")
    async def read_model(number: Number) -> dict[str, Any]:
        """Read one model."""
        return entry_json(registry.catalog.entry(number), registry, await _outcomes(core))

    @router.patch("/{id}")
    async def change_model(
        number: Number, values: Annotated[dict[str, Any], Body()]
    ) -> dict[str, Any]:
        """Change the given fields of a model; the others stay."""
        entry = await registry.change(number, values)
        await core.audit.note("model.changed", entry.model.name, fields=sorted(values))
        return entry_json(entry, registry)

    @router.delete("/{id}", status_code=204)
    async def remove_model(number: Number) -> Response:
        """Remove a model."""
        name = registry.catalog.entry(number).name
        await registry.remove(number)
        await core.audit.note("model.removed", name)
        return Response(status_code=204)

    @router.post("/{id}/test", response_model=None)
    async def try_model(
        number: Number,
        options: Options,
        probe: Annotated[bool, Query()] = False,
        stream: Annotated[bool, Query()] = False,
        accept: Annotated[str, Header()] = "",
    ) -> dict[str, Any] | Response:
        """
        Ask a model one short question. With `probe`, also find out how it continues a text.

        200 even if the model fails; `error` then tells why. With `stream`, or if `Accept` is
        `text/event-stream`, the answer is a run in the frames of `/api/debug/chat`.
        """
        if not stream and not wants_stream(accept):
            return tested_json(await registry.test(number, probe=probe))
        if probe:
            raise SpecError("a probe sends several requests and cannot stream; leave out `stream`")
        request = {"prompt": QUESTION, "system": "", "params": {"max_tokens": MAX_TOKENS}}
        name = registry.catalog.model(number).name
        spec = RunSpec("chat", request, model=name, dialect="debug_chat")
        run_id = await core.admission.admit(spec, options)
        return await first_stream_of(core.viewing, run_id, spec.dialect, options)

    return router


async def _outcomes(core: Core) -> dict[str, Outcomes]:
    """Return how the newest requests to each model ended, from the newest logs."""
    heads = await core.journal.heads(limit=MAX_RUNS)
    timelines = await core.timelines.of(head.run_id for head in heads)
    return outcomes_of(timelines.values())
