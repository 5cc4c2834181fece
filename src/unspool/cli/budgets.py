"""`budgets`: what tenants, keys and end users may spend. A running server follows in a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SpecError
from ._console import say, stdout, write_json
from ._options import DataDir, Json
from ._records import tenant_of, with_records

if TYPE_CHECKING:
    from ..records import Records

app = typer.Typer(no_args_is_help=True, help="Set, list and delete budgets.")

Count = Annotated[int | None, typer.Option(min=0)]


@app.command("set")
def set_(  # noqa: PLR0913 - each option is a word of the command line
    kind: Annotated[str, typer.Argument(help="tenant, key or user.")],
    subject: Annotated[
        str, typer.Argument(help="Id of the key; name of the end user, or * for each of them.")
    ] = "",
    *,
    tenant: Annotated[str, typer.Option(help="Name or id; the default one without it.")] = "",
    most: Annotated[float | None, typer.Option("--max", min=0, help="Money in a window.")] = None,
    currency: str = "USD",
    window: Annotated[str, typer.Option(help="day, week, month or total.")] = "month",
    time_zone: Annotated[str, typer.Option(help="Where its days begin.")] = "",
    warn_percent: Annotated[int, typer.Option(min=1, max=100)] = 80,
    ceiling: Annotated[
        float | None, typer.Option(help="For a million tokens of a model without a price.")
    ] = None,
    requests_per_minute: Count = None,
    tokens_per_minute: Count = None,
    live_runs: Count = None,
    viewers: Count = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Set a budget, or change it; what was spent stays."""
    wanted = {"kind": kind, "subject": subject, "max": most, "currency": currency}
    wanted |= {"window": window, "time_zone": time_zone, "warn_percent": warn_percent}
    wanted |= {"ceiling": ceiling, "requests_per_minute": requests_per_minute}
    wanted |= {"tokens_per_minute": tokens_per_minute, "live_runs": live_runs, "viewers": viewers}

    async def work(records: Records) -> dict[str, Any]:
        from pydantic import ValidationError

        from ..records.budgets import BudgetInput, put_budget
        from ._bootstrap import read_settings

        try:
            budget = BudgetInput.model_validate(wanted)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise SpecError(f"{place or 'the budget'}: {first['msg']}.") from None
        facts = budget.facts(read_settings(data_dir=data_dir).time_zone)
        owner = await tenant_of(records, tenant)
        row = await put_budget(records, owner, budget.kind, subject, facts)
        return {"id": row.id, "tenant": row.tenant, "kind": row.kind, "subject": row.subject}

    made = with_records(data_dir, work)
    if as_json:
        write_json(made)
    else:
        say(made["id"], to=stdout())


@app.command("list")
def list_(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List all budgets, and what is spent and reserved in their newest windows."""

    async def work(records: Records) -> list[dict[str, Any]]:
        from ..records.budgets import budgets_of
        from ..records.reservations import accounts_of, budget_json

        rows = await budgets_of(records)
        accounts = await accounts_of(records, [row.id for row in rows])
        return [budget_json(row, accounts) for row in rows]

    found = with_records(data_dir, work)
    if as_json:
        write_json(found)
        return
    for row in found:
        newest = next(iter(row["accounts"]), {"spent": 0, "reserved": 0})
        most = "no limit" if row["max"] is None else f"{row['max']:g} {row['currency']}"
        say(
            f"{row['id']}  {row['tenant']}  {row['kind']} {row['subject']}  {most} a "
            f"{row['window']}: {newest['spent']:g} spent, {newest['reserved']:g} reserved",
            to=stdout(),
        )


@app.command("delete")
def delete(
    budget_id: Annotated[str, typer.Argument(metavar="ID")],
    data_dir: DataDir = None,
) -> None:
    """Delete a budget and what it counted; its runs go on without it."""

    async def work(records: Records) -> bool:
        from ..records.budgets import delete_budget

        return await delete_budget(records, budget_id)

    if not with_records(data_dir, work):
        raise SpecError(f"There is no budget {budget_id}; `unspool budgets list` lists them.")
