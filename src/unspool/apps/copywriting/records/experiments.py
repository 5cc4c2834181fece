"""
Experiments on sales copy: arms that differ in model, writer or prompt.

At most one is active, because two would blur each other. A person stays in one arm: a hash of
experiment and person chooses it, so nothing has to be stored; that is why the arms of an experiment
never change. Anonymous readers are drawn anew each time.

An experiment that learns draws the arm by Thompson sampling instead (W. R. Thompson, "On the
likelihood that one unknown probability exceeds another", 1933): an arm is drawn as often as it is
likely to be the best one by the outcomes so far. A person then stays in the arm of their first run.
The run keeps its arm in its input, so a later owner of the run draws nothing.

Once an experiment is ended, one of its arms may be declared the winner: from then on it writes for
everybody, until another experiment begins or the winner is taken back.
"""

from __future__ import annotations

import hashlib
import random
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, String, delete, false, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from unspool.errors import SpecError, UnknownRecord
from unspool.records import Base, Records, hold, now_ms

from .copies import arm_before, count_arms

MAX_NAME_CHARS: Final = 64

SUBJECT: Final = "experiments"
"""Held by those who begin, resume or end one."""

_PARTS: Final = 2**64


class Experiment(Base):
    __tablename__ = "experiments"

    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARS), primary_key=True)
    arms: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    """`name`, `weight`, `writer`, `model`, `prompt` each."""
    is_active: Mapped[bool] = mapped_column(default=True)
    learns: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The outcomes so far move the weights; those of the arms are of its beginning."""
    winner: Mapped[str] = mapped_column(String(MAX_NAME_CHARS), default="", server_default="")
    """The arm that was declared the winner; empty: none."""
    created_ms: Mapped[int] = mapped_column(BigInteger)
    ended_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)


async def list_experiments(records: Records) -> list[Experiment]:
    """Return all, newest first."""
    async with records.session() as session:
        newest = select(Experiment).order_by(Experiment.created_ms.desc(), Experiment.name)
        return list(await session.scalars(newest))


async def find_experiment(records: Records, name: str) -> Experiment:
    """
    Raises:
        UnknownRecord
    """
    async with records.session() as session:
        found = await session.get(Experiment, name)
    if found is None:
        raise UnknownRecord(f"no experiment {name[:MAX_NAME_CHARS]!r}; `GET /api/experiments`")
    return found


async def begin_experiment(
    records: Records, name: str, arms: list[dict[str, Any]], *, learns: bool = False
) -> Experiment:
    """
    Store an experiment; it is active from now on.

    Raises:
        SpecError: Another one is active, or one had that name.
    """
    made = Experiment(name=name, arms=arms, is_active=True, learns=learns, created_ms=now_ms())
    async with records.session() as session:
        await hold(session, SUBJECT)
        await _check_alone(session, name)
        session.add(made)
        try:
            await session.commit()
        except IntegrityError:
            raise SpecError(
                f"there is an experiment {name!r} already; its arms stay, so choose another name"
            ) from None
    return made


async def change_experiment(
    records: Records, name: str, *, is_active: bool | None = None, winner: str | None = None
) -> Experiment:
    """
    End an experiment, resume it, or declare an arm its winner (empty: none any more).

    Resuming takes the winner back. A declared winner ends the experiment.

    Raises:
        UnknownRecord, SpecError
    """
    found = await find_experiment(records, name)
    if winner and winner not in {arm["name"] for arm in found.arms}:
        raise SpecError(f"{name!r} has no arm {winner[:MAX_NAME_CHARS]!r}")
    if winner and is_active:
        raise SpecError("an experiment that goes on has no winner; leave out one of the two")
    fields: dict[str, Any] = {}
    if winner is not None:
        fields["winner"] = winner
    if winner or is_active is False:
        ended_ms = func.coalesce(Experiment.ended_ms, now_ms())
        fields |= {"is_active": False, "ended_ms": ended_ms}
    if is_active:
        fields |= {"is_active": True, "ended_ms": None, "winner": ""}
    async with records.session() as session:
        await hold(session, SUBJECT)
        if is_active:
            await _check_alone(session, name)
        if winner:  # one winner writes for everybody
            await session.execute(update(Experiment).values(winner=""))
        if fields:
            changing = update(Experiment).where(Experiment.name == name)
            await session.execute(changing.values(**fields))
        await session.commit()
    return await find_experiment(records, name)


async def remove_experiment(records: Records, name: str) -> None:
    """
    Delete an experiment; its copies stay, with its name.

    Raises:
        UnknownRecord
    """
    await find_experiment(records, name)
    async with records.session() as session:
        await session.execute(delete(Experiment).where(Experiment.name == name))
        await session.commit()


async def arm_for(records: Records, unit: str | None) -> dict[str, Any]:
    """
    Return a person's arm in the active experiment (None: anonymous).

    Without one, the arm that has won, which belongs to no experiment any more; else nothing.
    """
    wanted = select(Experiment).where(or_(Experiment.is_active, Experiment.winner != ""))
    async with records.session() as session:
        found = list(await session.scalars(wanted.order_by(Experiment.is_active.desc())))
    if not found:
        return {}
    experiment = found[0]
    if not experiment.is_active:
        arm = next(arm for arm in experiment.arms if arm["name"] == experiment.winner)
        return _facts(arm)
    if experiment.learns:
        arm = await _learned(records, experiment, unit)
    else:
        arm = chosen(experiment.name, experiment.arms, unit)
    return {"experiment": experiment.name, **_facts(arm)}


def _facts(arm: dict[str, Any]) -> dict[str, Any]:
    return {name: arm[name] for name in ("name", "writer", "model", "prompt")}


async def _learned(records: Records, experiment: Experiment, unit: str | None) -> dict[str, Any]:
    by_name = {arm["name"]: arm for arm in experiment.arms}
    if unit and (before := await arm_before(records, experiment.name, unit)) in by_name:
        return by_name[before]
    counts = {count.arm: count for count in await count_arms(records, experiment.name)}
    cases = {
        name: (counts[name].adopted, counts[name].judged) if name in counts else (0, 0)
        for name in by_name
    }
    return by_name[drawn(cases, {name: arm["weight"] for name, arm in by_name.items()})]


def drawn(
    cases: Mapping[str, tuple[int, int]],
    weights: Mapping[str, float],
    beta: Callable[[float, float], float] = random.betavariate,
) -> str:
    """
    Draw an arm by Thompson sampling.

    Args:
        cases: Adopted and judged runs of each arm.
        weights: Shares at the beginning; they count as much as one judged run of each arm.
        beta: Draws from a beta distribution.
    """
    most = max(weights.values())
    draws = {
        name: beta(weights[name] / most + adopted, 1 + judged - adopted)
        for name, (adopted, judged) in cases.items()
    }
    return max(draws, key=lambda name: draws[name])


def chosen(name: str, arms: list[dict[str, Any]], unit: str | None) -> dict[str, Any]:
    """Return the same arm for the same unit; the weights set the shares."""
    place = secrets.randbelow(_PARTS) if unit is None else _place(name, unit)
    left = place / _PARTS * sum(arm["weight"] for arm in arms)
    for arm in arms:
        left -= arm["weight"]
        if left < 0:
            return arm
    return arms[-1]


def _place(name: str, unit: str) -> int:
    # A separator that no name has: ("a", "bc") and ("ab", "c") are two units.
    digest = hashlib.blake2b(f"{name}\0{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


async def _check_alone(session: Any, name: str) -> None:
    wanted = select(Experiment.name).where(Experiment.is_active, Experiment.name != name)
    if (other := await session.scalar(wanted)) is not None:
        raise SpecError(f"the experiment {other!r} goes on; end it first (`is_active` false)")
