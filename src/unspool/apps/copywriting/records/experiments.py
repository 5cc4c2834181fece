"""
Experiments on sales copy: arms that differ in model, writer or prompt.

At most one is active, because two would blur each other. A person stays in one arm: a hash of
experiment and person chooses it, so nothing has to be stored; that is why the arms of an experiment
never change. Anonymous readers are drawn anew each time.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, String, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from unspool.errors import SpecError, UnknownRecord
from unspool.records import Base, Records

MAX_NAME_CHARS: Final = 64

_PARTS: Final = 2**64


class Experiment(Base):
    __tablename__ = "experiments"

    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARS), primary_key=True)
    arms: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    """`name`, `weight`, `writer`, `model`, `prompt` each."""
    is_active: Mapped[bool] = mapped_column(default=True)
    created_ms: Mapped[int] = mapped_column(BigInteger)


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


async def begin_experiment(records: Records, name: str, arms: list[dict[str, Any]]) -> Experiment:
    """
    Store an experiment; it is active from now on.

    Raises:
        SpecError: Another one is active, or one had that name.
    """
    made = Experiment(name=name, arms=arms, is_active=True, created_ms=int(time.time() * 1000))
    async with records.session() as session:
        await _check_alone(session, name)
        session.add(made)
        try:
            await session.commit()
        except IntegrityError:
            raise SpecError(
                f"there is an experiment {name!r} already; its arms stay, so choose another name"
            ) from None
    return made


async def switch_experiment(records: Records, name: str, *, is_active: bool) -> Experiment:
    """
    End an experiment, or resume it.

    Raises:
        UnknownRecord, SpecError
    """
    async with records.session() as session:
        if is_active:
            await _check_alone(session, name)
        changing = update(Experiment).where(Experiment.name == name)
        await session.execute(changing.values(is_active=is_active))
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
    """Return a person's arm in the active experiment (None: anonymous); empty if none is active."""
    async with records.session() as session:
        found = await session.scalar(select(Experiment).where(Experiment.is_active))
    if found is None:
        return {}
    arm = chosen(found.name, found.arms, unit)
    facts = {name: arm[name] for name in ("name", "writer", "model", "prompt")}
    return {"experiment": found.name, **facts}


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
