"""
`keys`, `tenants` and `audit-log`: who may use a server, and who changed that.

They work on its database, also while it runs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SpecError
from ._bootstrap import read_settings
from ._console import say, stderr, stdout, write_json
from ._options import DataDir, Json
from ._records import tenant_of, with_records

if TYPE_CHECKING:
    from ..records import Records

# SQLAlchemy takes a quarter of a second to import: only where it is needed.

keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke keys.")
tenants = typer.Typer(no_args_is_help=True, help="Add and list tenants.")

Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help="runs:read, runs:write, records:read …, admin; may be repeated."),
]


@keys.command("add")
def add(  # noqa: PLR0913 - each option is a word of the command line
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    scope: Scopes = None,
    tenant: Annotated[str, typer.Option(help="Name or id; the default one without it.")] = "",
    model: Annotated[
        list[str] | None, typer.Option(help="A model or route that it may ask; else all.")
    ] = None,
    flow: Annotated[list[str] | None, typer.Option(help="A flow that it may start.")] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="Pages of this origin may use it.")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0.001, help="Days until it expires.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it; it is stored nowhere else."""
    from ..runs.principal import SCOPES

    scopes = scope or ["runs:read", "runs:write"]
    if wrong := [word for word in scopes if word not in SCOPES]:
        raise SpecError(f"There is no scope {wrong[0]}; have: {', '.join(SCOPES)}.")
    rights = {"scopes": scopes, "models": model, "flows": flow, "origins": origin}

    async def work(records: Records) -> Any:
        from ..records.keys import add_key

        facts: dict[str, Any] = {name: value or [] for name, value in rights.items()}
        return await add_key(records, await tenant_of(records, tenant), name, days=days, **facts)

    made = with_records(data_dir, work)
    if as_json:
        write_json({"key": made.text, "id": made.row.id, "tenant": made.row.tenant})
        return
    say(made.text, to=stdout())
    say("Keep it: only its digest is stored. Send it as `Authorization: Bearer …`.", to=stderr())
    settings = read_settings(data_dir=data_dir)
    where = "UNSPOOL_DATABASE_URL" if settings.database_url else settings.data_dir.resolve()
    # A command in another folder than the server makes a key that this server does not know.
    say(
        f"Servers over {where} take it. On 127.0.0.1 they want one only with UNSPOOL_ACCESS=keys.",
        to=stderr(),
    )


@keys.command("list")
def list_(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List all keys, without their secrets."""

    async def work(records: Records) -> Any:
        from ..records.keys import list_keys

        return await list_keys(records)

    rows = with_records(data_dir, work)
    facts = [
        {"id": row.id, "name": row.name, "tenant": row.tenant, "scopes": list(row.scopes)}
        | {"revoked": row.revoked_ms is not None}
        for row in rows
    ]
    if as_json:
        write_json(facts)
        return
    for row in facts:
        state = "revoked" if row["revoked"] else ", ".join(row["scopes"])
        say(f"{row['id']}  {row['tenant']}  {row['name']}  {state}", to=stdout())


@keys.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID")],
    data_dir: DataDir = None,
) -> None:
    """Revoke a key; its open streams end within a second."""

    async def work(records: Records) -> bool:
        from ..records.keys import revoke_key

        return await revoke_key(records, key_id)

    if not with_records(data_dir, work):
        raise SpecError(f"There is no key {key_id} that holds; `unspool keys list` lists them.")


@tenants.command("add")
def add_tenant(
    name: Annotated[str, typer.Argument()], data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Add a tenant: its runs and records are its own."""

    async def work(records: Records) -> Any:
        from ..records.keys import add_tenant as add_row

        return await add_row(records, name)

    row = with_records(data_dir, work)
    if row is None:
        raise SpecError(f"A tenant named {name} is there already.")
    if as_json:
        write_json({"id": row.id, "name": row.name})
    else:
        say(row.id, to=stdout())


@tenants.command("list")
def list_tenants(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the tenants."""

    async def work(records: Records) -> Any:
        from ..records.keys import list_tenants as rows

        return await rows(records)

    facts = [{"id": row.id, "name": row.name} for row in with_records(data_dir, work)]
    if as_json:
        write_json(facts)
        return
    for row in facts:
        say(f"{row['id']}  {row['name']}", to=stdout())


def audit_log(
    limit: Annotated[int, typer.Option(min=1, max=20_000, help="Rows, the newest first.")] = 50,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List who changed keys, tenants, shares, models and routes."""

    async def work(records: Records) -> Any:
        from ..records.audit import list_audit

        return await list_audit(records, None, limit=limit)

    rows = with_records(data_dir, work)
    names = ("id", "at_ms", "tenant", "actor_kind", "actor", "action", "subject", "detail")
    if as_json:
        write_json([{name: getattr(row, name) for name in names} for row in rows])
        return
    for row in rows:
        at = datetime.fromtimestamp(row.at_ms / 1000, UTC).isoformat(timespec="seconds")
        by = f"{row.actor_kind} {row.actor}".strip()
        say(f"{at}  {row.tenant}  {by}  {row.action}  {row.subject}", to=stdout())
