"""`/v1/agui`: agents of AG-UI 1.0, over `chat` or any flow."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from unspool.core import Core
from unspool.dialects import Options
from unspool.dialects.kit.agui_request import AguiResume, RunAgentInput, flow_of
from unspool.errors import NotWaiting
from unspool.runs.run import RunSpec
from unspool.viewing.cursor import Cursor
from unspool.viewing.turn_stream import TurnStream

from .json.waits import Decision, answered

DIALECT: Final = "agui"


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/agui", tags=["AG-UI"])

    @router.post("")
    async def run_agent(request: RunAgentInput, options: Options) -> Response:
        """
        Run an agent, or resume one that waits (`resume`), and answer with its events.

        The same request with the same `threadId` and `runId` joins its run, from the beginning.
        """
        if request.resume:
            decisions = [_decision(entry, request.run_id) for entry in request.resume]
            found = await answered(core, decisions)
            if found is None:
                raise NotWaiting("no run waits for these interrupts")
            return TurnStream(core.viewing, found[0], DIALECT, Cursor(found[1] - 1))
        flow, facts, model = flow_of(request)
        if not options.key:
            named = f"{request.thread_id}\n{request.run_id}".encode()
            options = replace(options, key=f"agui {hashlib.sha256(named).hexdigest()}")
        spec = RunSpec(flow, facts, model=model, dialect=DIALECT)
        run_id = await core.admission.admit(spec, options)
        return TurnStream(core.viewing, run_id, DIALECT)

    return router


def _decision(entry: AguiResume, run_id: str) -> Decision:
    payload, is_approved = entry.payload, entry.status == "resolved"
    value: Any = payload
    if payload is True or payload is False:
        is_approved, value = is_approved and payload, None
    elif isinstance(payload, dict) and payload.keys() <= {"approved", "reason"}:
        is_approved = is_approved and payload.get("approved") is True
        reason = str(payload.get("reason") or "")[:4000]
        return Decision(entry.interrupt_id, is_approved, reason, id=run_id)
    return Decision(entry.interrupt_id, is_approved, value=value, id=run_id)
