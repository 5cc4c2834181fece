"""`/api/copies`: the log of sales copy, its posts as they are now, edits of them, and files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from unspool.core import Core
from unspool.errors import SpecError, UnknownRecord
from unspool.records.products import names_of
from unspool.server.api.json.run import iso

from ..exports import MEDIA, Exported, as_csv, as_markdown
from ..posts import Post, posts_of
from ..records.copies import CopyRow, OutcomeRow, list_copies
from ..records.versions import (
    MAX_VERSION_CHARS,
    PostVersion,
    keep_edit,
    versions_of,
)
from ..request import MAX_POSTS

MAX_NAMED_RUNS: Final = 100
"""Runs named in one address: a screen of a table, and some 3 kB."""

NamedRun = Annotated[str, Field(max_length=64)]
RunIds = Annotated[
    list[NamedRun], Query(alias="run", max_length=MAX_NAMED_RUNS, default_factory=list)
]
RunId = Annotated[str, Path(alias="run", max_length=64)]
Number = Annotated[int, Path(alias="post", ge=1, le=MAX_POSTS)]


class PostEdit(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=MAX_VERSION_CHARS, pattern=r"\S")
    """The whole post, as it is to be from now on."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/copies", tags=["copies"])
    records = core.records

    @router.get("")
    async def list_all(
        runs: RunIds,
        before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
        experiment: Annotated[str, Query(max_length=64)] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """Runs of sales copy with model, time and outcome, newest first; `run`: only these."""
        rows = await list_copies(
            records, before_ms=before, experiment=experiment, runs=runs, limit=limit
        )
        more = rows[-1][0].created_ms if len(rows) == limit else None
        versions = await versions_of(records, [copy.run_id for copy, _ in rows])
        names = await names_of(records, {copy.sku for copy, _ in rows})
        copies = [
            _json(*row, versions.get(row[0].run_id, ())) | {"name": names.get(row[0].sku, "")}
            for row in rows
        ]
        return {"copies": copies, "next": more}

    @router.get("/export")
    async def export(
        runs: Annotated[
            list[NamedRun], Query(alias="run", min_length=1, max_length=MAX_NAMED_RUNS)
        ],
        form: Annotated[Literal["md", "csv"], Query(alias="format")] = "md",
    ) -> Response:
        """The posts of these runs as a file, as they are now, with their outcomes."""
        rows = await list_copies(records, runs=runs, limit=MAX_NAMED_RUNS)
        names = await names_of(records, {copy.sku for copy, _ in rows})
        files = [
            Exported(copy, outcome, names.get(copy.sku, ""), await posts_of(core, copy.run_id))
            for copy, outcome in rows
        ]
        text = as_markdown(files) if form == "md" else as_csv(files)
        headers = {
            "Content-Disposition": f'attachment; filename="copy.{form}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(text, media_type=MEDIA[form], headers=headers)

    @router.get("/{run}")
    async def read(run_id: RunId) -> dict[str, Any]:
        """A run of sales copy with its posts: the text as it is now, and each version of it."""
        return {"run": run_id, "posts": [_post_json(post) for post in await posts_of(core, run_id)]}

    @router.put("/{run}/posts/{post}")
    async def edit(run_id: RunId, number: Number, definition: PostEdit) -> dict[str, Any]:
        """Store a person's text of a post; the text before it stays as a version."""
        post = await _find(core, run_id, number)
        if definition.text != post.text:
            await keep_edit(records, run_id, number, definition.text)
            post = await _find(core, run_id, number)
        return _post_json(post)

    return router


async def _find(core: Core, run_id: str, number: int) -> Post:
    """
    Raises:
        UnknownRecord: The run has no such post.
        SpecError: The post is not whole yet.
    """
    posts = {post.number: post for post in await posts_of(core, run_id)}
    if number not in posts:
        raise UnknownRecord(f"run {run_id} has no post {number}; it has {sorted(posts)}")
    if not posts[number].is_whole:
        raise SpecError(f"post {number} of run {run_id} is not whole; write it first")
    return posts[number]


def _post_json(post: Post) -> dict[str, Any]:
    return {
        "post": post.number,
        "text": post.text,
        "original": post.original,
        "model": post.model,
        "is_whole": post.is_whole,
        "versions": [_version_json(version) for version in post.versions],
    }


def _version_json(version: PostVersion) -> dict[str, Any]:
    return {
        "id": version.id,
        "text": version.text,
        "run": version.source_run,
        "model": version.model,
        "created_at": iso(version.created_ms),
    }


_FACTS: Final = (
    "sku",
    "style",
    "user_id",
    "experiment",
    "arm",
    "status",
    "models",
    "first_token_ms",
    "total_ms",
)


def _json(
    copy: CopyRow, outcome: OutcomeRow | None, versions: Sequence[PostVersion]
) -> dict[str, Any]:
    return {
        "run": copy.run_id,
        **{name: getattr(copy, name) for name in _FACTS},
        "created_at": iso(copy.created_ms),
        "is_adopted": None if outcome is None else outcome.is_adopted,
        "adopted_step": None if outcome is None else outcome.step,
        "edited": sorted({version.post for version in versions}),
    }
