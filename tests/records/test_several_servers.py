"""Two servers over one PostgreSQL database: what both do at once is done once, and right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from support.postgres import shared_server
from support.stores import new_store
from unspool.apps.copywriting.records.experiments import (
    begin_experiment,
    change_experiment,
    list_experiments,
)
from unspool.apps.copywriting.records.versions import MAX_VERSIONS, keep_edit, versions_of
from unspool.apps.extraction.records.events import events_of
from unspool.apps.extraction.records.extractions import (
    Ending,
    begin_extraction,
    end_extraction,
    extractions_of,
)
from unspool.apps.stories.records import add_project, claim_stages, stages_of
from unspool.errors import SetupError, SpecError
from unspool.models.definitions import ModelInput, RouteInput
from unspool.models.following import Following
from unspool.models.health import Health
from unspool.models.registry import ModelRegistry
from unspool.providers.upstream.http import open_http
from unspool.records import Records, hold
from unspool.records.behaviors import count_behaviors
from unspool.records.changes import MODELS, note_change, number_of
from unspool.records.conversations import (
    add_conversation,
    find_conversation,
    save_turn,
    turns_of,
)
from unspool.records.default_models import change_defaults, read_defaults
from unspool.records.findings import FindingRow, list_findings, replace_findings
from unspool.records.models import list_models, note_models, save_model
from unspool.records.people import find_person, save_people
from unspool.records.presets import change_preset, find_preset, list_versions, save_preset
from unspool.records.products import count_products, find_product, save_products
from unspool.records.samples import seed_samples
from unspool.records.sealing import check_sealing_key
from unspool.records.secrets import Secrets
from unspool.settings import Settings

pytestmark = pytest.mark.timeout(60)  # the first test of a worker starts PostgreSQL

TIMES = 12


@pytest.fixture
async def url(tmp_path: Path) -> str:
    return await new_store("postgresql", tmp_path)


@pytest.fixture
async def servers(url: str) -> AsyncIterator[tuple[Records, Records]]:
    both = await Records.open(url), await Records.open(url)
    yield both
    for records in both:
        await records.aclose()


Servers = tuple[Records, Records]


async def test_a_new_database_is_made_once_by_all_who_start_together() -> None:
    url = shared_server().new_database()
    opened = await asyncio.gather(*(Records.open(url) for _ in range(4)))
    assert [await count_products(records) for records in opened] == [0, 0, 0, 0]
    assert shared_server().query("select count(*) from alembic_version", url) == "1"
    for records in opened:
        await records.aclose()


async def test_samples_are_seeded_once(servers: Servers) -> None:
    assert sorted(await asyncio.gather(*map(seed_samples, servers))) == [False, True]
    assert await count_behaviors(servers[0]) > 1000


async def test_who_holds_a_subject_makes_the_others_wait_up_to_the_commit(
    servers: Servers,
) -> None:
    done: list[str] = []

    async def second() -> None:
        async with servers[1].session() as session:
            await hold(session, "one")
            done.append("second")

    async with servers[0].session() as session:
        await hold(session, "one")
        waiting = asyncio.create_task(second())
        async with servers[1].session() as other:
            await hold(other, "another")  # which nobody holds
        done.append("first")
        await session.commit()
    await waiting
    assert done == ["first", "second"]


# Conversations


async def test_a_late_write_of_a_turn_does_not_go_back_in_the_conversation(
    servers: Servers,
) -> None:
    owner, finder = servers
    number = await add_conversation(owner, "")
    await save_turn(finder, number, 1, ("run1", "first"), parent=0)
    await save_turn(finder, number, 2, ("run2", "second"), parent=0)
    await save_turn(owner, number, 1, ("run1", "first"), parent=0)
    assert (await find_conversation(owner, number)).row.current == 2
    assert [turn.asked for turn in await turns_of(owner, number)] == ["first", "second"]


async def test_turns_written_at_the_same_moment_are_all_there(servers: Servers) -> None:
    number = await add_conversation(servers[0], "")
    await asyncio.gather(
        *(
            save_turn(servers[at % 2], number, at // 2 + 1, (f"run{at // 2}", "key"), parent=0)
            for at in range(2 * TIMES)
        )
    )
    turns = await turns_of(servers[0], number)
    assert [turn.number for turn in turns] == list(range(1, TIMES + 1))
    assert {turn.asked for turn in turns} == {"key"}


# Things with versions


async def test_every_change_of_a_preset_has_a_version_of_its_own(servers: Servers) -> None:
    number = await save_preset(servers[0], {"name": "one", "prompt": "start"})
    assert number is not None
    await asyncio.gather(
        *(change_preset(servers[at % 2], number, {"prompt": str(at)}) for at in range(TIMES))
    )
    now = await find_preset(servers[0], number)
    before = await list_versions(servers[0], number)
    assert now.version == TIMES + 1
    texts = {now.prompt, *(version.prompt for version in before)}
    assert texts == {"start", *(str(at) for at in range(TIMES))}


async def test_a_run_has_no_more_versions_than_it_may(servers: Servers) -> None:
    for at in range(MAX_VERSIONS - 2):
        await keep_edit(servers[at % 2], "run", 1, str(at))
    told = await asyncio.gather(
        *(keep_edit(servers[at % 2], "run", 1, str(at)) for at in range(6)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, SpecError) for one in told) == 4
    assert len((await versions_of(servers[0], ["run"]))["run"]) == MAX_VERSIONS


# Experiments, projects, extractions


async def test_one_experiment_is_active_however_many_begin(servers: Servers) -> None:
    arms = [{"name": "a", "weight": 1, "writer": "", "model": "", "prompt": ""}]
    told = await asyncio.gather(
        *(begin_experiment(servers[at % 2], f"e{at}", arms) for at in range(6)),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, SpecError) for one in told) == 1
    (first,) = await list_experiments(servers[0])
    await change_experiment(servers[1], first.name, is_active=False)
    await begin_experiment(servers[0], "last", arms)
    with pytest.raises(SpecError, match="goes on"):
        await change_experiment(servers[1], first.name, is_active=True)


async def test_one_run_claims_a_stage(servers: Servers) -> None:
    project = await add_project(servers[0], "film", "topic")
    claims = (
        claim_stages(servers[at % 2], project.id, ["rewrite", "storyboard"], f"run{at}")
        for at in range(6)
    )
    told = await asyncio.gather(*claims)
    winner = next(f"run{at}" for at, other in enumerate(told) if other is None)
    assert sorted(told, key=str) == sorted([None, *[winner] * 5], key=str)
    rewrite, storyboard, _ = await stages_of(servers[1], project.id)
    assert (rewrite.run_id, rewrite.status) == (winner, "running")
    assert (storyboard.run_id, storyboard.status) == (winner, "queued")


async def test_a_person_has_the_events_of_one_extraction(servers: Servers) -> None:
    at = datetime(2025, 11, 24, tzinfo=UTC)

    async def extract(number: int) -> None:
        records, run = servers[number % 2], f"run{number:02}"
        await begin_extraction(records, "u1", run)
        events = [{"type": run, "at": at, "context": ""}] * 3
        await end_extraction(records, "u1", run, events, Ending("completed", "", None))
        # Another server, which took the run over, tells the same again.
        await end_extraction(
            servers[1 - number % 2], "u1", run, events, Ending("completed", "", None)
        )

    await asyncio.gather(*(extract(number) for number in range(TIMES)))
    events = await events_of(servers[0], "u1", limit=100)
    assert len(events) == 3
    assert len({event.run_id for event in events}) == 1
    last = (await extractions_of(servers[1], ["u1"]))["u1"]
    assert (last.run_id, last.status) == (f"run{TIMES - 1:02}", "completed")


# Imports


async def test_files_imported_at_once_lose_nothing_of_each_other(servers: Servers) -> None:
    async def products(at: int) -> None:
        rows = [
            {"sku": f"S{(at * 7 + n) % 40:02}", "name": "鞋", "properties": {f"p{at}": "1"}}
            for n in range(40)
        ]
        async with servers[at % 2].session() as session:
            await save_products(session, rows)
            await session.commit()

    async def people(at: int) -> None:
        rows = [
            {"user_id": f"u{(at * 7 + n) % 40:02}", "properties": {f"p{at}": "1"}}
            for n in range(40)
        ]
        async with servers[at % 2].session() as session:
            await save_people(session, rows)
            await session.commit()

    await asyncio.gather(*map(products, range(6)), *map(people, range(6)))
    whole = {f"p{at}": "1" for at in range(6)}
    for n in range(40):
        assert (await find_product(servers[0], f"S{n:02}")).properties == whole
        assert (await find_person(servers[1], f"u{n:02}")).properties == whole


# Models


async def test_models_and_defaults_written_at_once_are_each_there_once(servers: Servers) -> None:
    seen = {f"m{at}": "environment" for at in range(6)}
    await asyncio.gather(
        note_models(servers[0], seen),
        note_models(servers[1], dict(reversed(seen.items()))),
        *(change_defaults(servers[at % 2], {"": "m1", "chat": f"m{at}"}) for at in range(6)),
        *(save_model(servers[at % 2], {"name": "own"}) for at in range(4)),
        *(replace_findings(servers[at % 2], "m1", [_finding(at)]) for at in range(4)),
    )
    names = [row.name for row in await list_models(servers[0])]
    assert sorted(names) == [*sorted(seen), "own"]
    assert set(await read_defaults(servers[1])) == {"", "chat"}
    assert len(await list_findings(servers[0])) == 1


def _finding(at: int) -> FindingRow:
    counts = {"went_on": at, "started_anew": 0, "refused": 0}
    return FindingRow(model="m1", deployment="d", form="f", place=0, **counts)


async def test_a_change_is_counted_with_its_commit_and_not_without(servers: Servers) -> None:
    async def change(records: Records) -> None:
        async with records.session() as session:
            await note_change(session, MODELS)
            await session.commit()

    await asyncio.gather(*(change(servers[at % 2]) for at in range(TIMES)))
    assert await number_of(servers[0], MODELS) == TIMES
    async with servers[0].session() as session:
        await note_change(session, MODELS)
    assert await number_of(servers[1], MODELS) == TIMES


@pytest.fixture
async def registries(
    servers: Servers, tmp_path: Path
) -> AsyncIterator[tuple[ModelRegistry, ModelRegistry]]:
    key = Fernet.generate_key().decode()
    made = []
    async with open_http(allow_private=True) as http:
        for at, records in enumerate(servers):
            given: Any = {"data_dir": tmp_path / str(at), "secret_key": key}
            made.append(await ModelRegistry.open(Settings(**given), records, http, Health()))
        yield made[0], made[1]


def _model(name: str) -> ModelInput:
    return ModelInput(name=name, base_url="https://models.example/v1", api_key="sk-secret")  # type: ignore[arg-type]


async def test_a_server_follows_the_models_routes_and_defaults_of_another(
    registries: tuple[ModelRegistry, ModelRegistry],
) -> None:
    here, there = registries
    following = Following(there, every_s=0.01)
    entry = await here.add(_model("new"))
    await here.add_route(
        RouteInput(name="both", strategy="ordered", models=[{"model": "new", "weight": 1}])  # type: ignore[list-item]
    )
    while not there.catalog.has_name("both"):  # noqa: ASYNC110 - the limit of the test ends it
        await asyncio.sleep(0.01)
    seen = there.catalog.entry("new")
    assert (seen.id, seen.problem, seen.model.api_key) == (entry.id, "", "sk-secret")
    await there.change(entry.id, {"is_active": False})
    assert not there.catalog.entry("new").is_active
    await here.refresh()
    assert not here.catalog.entry("new").is_active
    await following.aclose()


async def test_one_name_is_a_model_or_a_route_whichever_server_is_asked(
    registries: tuple[ModelRegistry, ModelRegistry],
) -> None:
    here, there = registries
    await here.add(_model("new"))
    route = RouteInput(name="new", strategy="ordered", models=[{"model": "offline", "weight": 1}])  # type: ignore[list-item]
    with pytest.raises(SpecError, match="is a model"):
        await there.add_route(route)
    told = await asyncio.gather(
        here.add(_model("same")), there.add(_model("same")), return_exceptions=True
    )
    assert sum(isinstance(one, SpecError) for one in told) == 1


# The sealing key


async def test_servers_without_a_common_key_do_not_start(servers: Servers, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    await check_sealing_key(servers[0], Secrets(tmp_path / "a"))
    await check_sealing_key(servers[1], Secrets(tmp_path / "a"))
    with pytest.raises(SetupError, match="UNSPOOL_SECRET_KEY"):
        await check_sealing_key(servers[1], Secrets(tmp_path / "b"))


async def test_a_key_that_is_set_replaces_one_that_sealed_nothing_and_no_other(
    servers: Servers, tmp_path: Path
) -> None:
    here, there = servers
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    await check_sealing_key(here, Secrets(tmp_path))
    await check_sealing_key(there, Secrets(tmp_path / "elsewhere", old))
    sealed = Secrets(tmp_path / "elsewhere", old).seal("sk-secret")
    await save_model(here, {"name": "m", "sealed_key": sealed})
    with pytest.raises(SetupError, match="UNSPOOL_SECRET_KEY"):
        await check_sealing_key(there, Secrets(tmp_path / "elsewhere", new))


async def test_the_sealing_key_can_be_rotated(servers: Servers, tmp_path: Path) -> None:
    here, there = servers
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    empty = tmp_path / "empty"
    await save_model(here, {"name": "m", "sealed_key": Secrets(empty, old).seal("sk-secret")})
    for keys in (old, f"{new},{old}", f"{old},{new}", f"{new},{old}", new):
        await check_sealing_key(here, Secrets(empty, keys))
        await check_sealing_key(there, Secrets(empty, keys))
    with pytest.raises(SetupError, match="UNSPOOL_SECRET_KEY"):
        await check_sealing_key(there, Secrets(empty, old))
