"""What the documents say is there; what is there, the documents say; their examples run."""

from __future__ import annotations

import ast
import asyncio
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import aiohttp
import httpx
import pytest

import unspool
from support.servers import Serve
from unspool import LLMClient, Model, Settings, errors, plugs
from unspool.execution.runner import Runner
from unspool.generation.generate import GenerationDeps
from unspool.models.catalog import Catalog
from unspool.providers.upstream import vendor_errors as _errors
from unspool.runs.events import EVENT_TYPES
from unspool.runs.run import RunSpec

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "unspool"
README, README_ZH = ROOT / "README.md", ROOT / "README.zh-CN.md"
EXTENDING = ROOT / "docs" / "extending.md"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\[[^]]*]\(([^)\s]+)\)")
EXAMPLE = re.compile(r"# src/unspool/(\w+)/(\w+)\.py\n")


def blocks(path: Path, language: str = "") -> list[str]:
    found = BLOCK.findall(path.read_text())
    return [code for name, code in found if name == language or not language]


def quoted(path: Path) -> set[str]:
    """What stands between single backticks, outside of blocks."""
    return set(re.findall(r"`([^`\n]+)`", BLOCK.sub("", path.read_text())))


# The two READMEs


def headings(path: Path) -> list[str]:
    return re.findall(r"^#+(?= )", BLOCK.sub("", path.read_text()), re.M)


def test_both_readmes_have_the_same_headings_in_the_same_order() -> None:
    assert headings(README) == headings(README_ZH)
    assert len(headings(README)) > 10


def test_both_readmes_have_the_same_commands_and_the_same_code() -> None:
    def code(path: Path) -> list[tuple[str, str]]:
        # Blocks of plain text are shown to people, and may be in their language.
        return [block for block in BLOCK.findall(path.read_text()) if block[0] != "text"]

    assert code(README) == code(README_ZH)
    assert "make run\n" in blocks(README, "sh")


@pytest.mark.parametrize("path", [README, README_ZH], ids=lambda path: path.name)
def test_a_readme_offers_the_other_language_first_and_is_read_in_one_sitting(path: Path) -> None:
    lines = path.read_text().splitlines()
    other = README_ZH if path == README else README
    assert f"({other.name})" in lines[0]
    assert len(lines) < 300


def test_the_command_for_the_first_product_is_the_one_of_the_seed_document() -> None:
    line = (
        "curl -N -X POST http://127.0.0.1:8000/ai/generate/copy "
        '-H "Content-Type: application/json" '
        """-d '{"sku": "8WZ01CM1", "style": "natural"}'\n"""
    )
    assert line in blocks(README, "sh")


# Nothing is missing


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_table_with_its_default(name: str) -> None:
    field = Settings.model_fields[name]
    known_as = field.validation_alias or f"UNSPOOL_{name.upper()}"
    default = field.default
    shown = {None: "none", "": "empty", True: "`true`"}.get(default, f"`{default}`")
    if isinstance(default, float):
        shown = f"`{default:g}`"
    assert f"| `{known_as}` | {shown} |" in (ROOT / "docs" / "settings.md").read_text()


def tree_codes() -> Iterator[str]:
    for thing in vars(errors).values():
        if isinstance(thing, type) and issubclass(thing, errors.UnspoolError):
            yield thing.code


def constants(node: ast.AST) -> Iterator[str]:
    """The texts that an expression may be, not those that it compares with."""
    match node:
        case ast.Constant(str(text)):
            yield text
        case ast.IfExp(_, body, orelse):
            yield from constants(body)
            yield from constants(orelse)


def literal_codes() -> Iterator[str]:
    """Codes that are written where something is raised or answered."""
    for path in SRC.rglob("*.py"):
        # The command line has codes of its own, which never leave it.
        if path.is_relative_to(SRC / "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            for keyword in node.keywords:
                if keyword.arg == "code":
                    yield from constants(keyword.value)
            if isinstance(node.func, ast.Name) and node.func.id in {"error_answer", "_incomplete"}:
                for argument in node.args[:2]:
                    yield from (text for text in constants(argument) if text.isidentifier())
    yield from {_errors.of_status(status) for status in range(300, 600)}
    yield from {code for code, _ in (*_errors.WORDS, *_errors.PHRASES)}


def test_every_error_code_is_in_the_protocol() -> None:
    known = {*tree_codes(), *literal_codes()}
    assert {"bad_cursor", "interrupted", "truncated", "quota", "unknown_host", "auth"} <= known
    assert known - quoted(ROOT / "PROTOCOL.md") == set()


def test_the_protocol_tells_the_status_of_each_error_that_is_answered() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", (ROOT / "PROTOCOL.md").read_text(), re.M))
    answered = [
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type)
        and issubclass(thing, errors.UnspoolError)
        and not issubclass(thing, errors.ProviderError | errors.LLMClientError)
    ]
    assert {e.code: str(e.http_status) for e in answered}.items() <= rows.items()


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_event_type_is_in_the_protocol(name: str) -> None:
    assert f"\n| `{name}` |" in (ROOT / "PROTOCOL.md").read_text()


def test_the_example_events_of_the_protocol_are_events() -> None:
    lines = [
        line
        for block in blocks(ROOT / "PROTOCOL.md", "text")
        for line in block.splitlines()
        if line.startswith('{"seq":')
    ]
    shown = {unspool.events.decode_event(line.encode()).type for line in lines}
    assert shown == set(EVENT_TYPES)


@pytest.mark.parametrize("kind", get_args(plugs.Kind))
def test_every_plug_is_on_its_line_in_the_house(kind: plugs.Kind) -> None:
    (house,) = (b for b in blocks(ROOT / "ARCHITECTURE.md", "text") if b.startswith("src/unspool/"))
    (line,) = (line for line in house.splitlines() if line.startswith(f"  {kind}/"))
    told = re.findall(r"\w+", line.partition(": ")[2])
    assert set(ours(kind)) <= set(told)


def ours(kind: plugs.Kind) -> list[str]:
    return [name for name in plugs.names(kind) if list((SRC / kind).glob(f"{name}*"))]


@pytest.mark.parametrize("kind", ["flows", "dialects"])
def test_every_flow_and_every_dialect_is_named_in_the_protocol(kind: plugs.Kind) -> None:
    assert set(ours(kind)) <= quoted(ROOT / "PROTOCOL.md")


def test_every_path_of_the_application_is_in_the_protocol(openapi: dict[str, Any]) -> None:
    text = (ROOT / "PROTOCOL.md").read_text()
    for path, methods in openapi["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path.replace('{run_id}', '{id}')}`" in text


@pytest.fixture
def openapi(serve_with: Serve) -> dict[str, Any]:
    answer = httpx.get(f"{serve_with().url}/openapi.json")
    schema: dict[str, Any] = answer.json()
    return schema


def rooms() -> list[str]:
    files = [path.name for path in SRC.glob("*.py")]
    return sorted(files + [f"{path.parent.name}/" for path in SRC.glob("*/__init__.py")])


@pytest.mark.parametrize("room", rooms())
def test_every_room_is_in_the_house(room: str) -> None:
    assert f"\n  {room} " in (ROOT / "ARCHITECTURE.md").read_text()


def test_the_house_has_no_room_that_is_not_there() -> None:
    (house,) = (b for b in blocks(ROOT / "ARCHITECTURE.md", "text") if b.startswith("src/unspool/"))
    for line in house.splitlines()[1:]:
        assert (SRC / line.split()[0]).exists(), line


def test_the_floors_are_those_of_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = project["tool"]["importlinter"]["contracts"]
    floors = "\n".join(contract["layers"]) + "\n"
    assert floors in blocks(ROOT / "ARCHITECTURE.md", "text")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    text = BLOCK.sub("", path.read_text())
    for target in LINK.findall(text):
        if "://" not in target and not target.startswith("#"):
            assert (path.parent / target.partition("#")[0]).exists(), target


def test_every_file_that_the_way_from_the_seeds_names_is_there() -> None:
    text = (ROOT / "docs" / "from-the-seeds.md").read_text()
    places = re.findall(r"`(src/unspool/[\w/]+\.py)`", text)
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []


# What the examples say happens


def test_every_python_block_compiles() -> None:
    code = [block for path in DOCUMENTS for block in blocks(path, "python")]
    assert len(code) >= 4
    for block in code:
        compile(block, "block", "exec")


@pytest.mark.slow
def test_the_program_in_the_readme_prints_an_answer(tmp_path: Path) -> None:
    (program,) = (b for b in blocks(README, "python") if "# my_flows.py" not in b)
    # In a process of its own: it has an event loop of its own, and no model.
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=15,
        check=True,
    )
    assert "运动鞋" in ran.stdout
    assert "Usage(" in ran.stdout


@pytest.fixture
def additions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """
    The three files of docs/extending.md, each alone in a folder that its package looks into too.

    Nothing else is done to make them known: one new file is one new plug.
    """
    written = {}
    for block in blocks(EXTENDING, "python"):
        if found := EXAMPLE.match(block):
            kind, name = found.groups()
            file = tmp_path / kind / f"{name}.py"
            file.parent.mkdir()
            file.write_text(block)
            written[kind] = name
            package = importlib.import_module(f"unspool.{kind}")
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(file.parent)])
    forget(written)
    importlib.invalidate_caches()
    yield SimpleNamespace(**written)
    forget(written)
    shutil.rmtree(tmp_path, ignore_errors=True)


def forget(written: dict[str, str]) -> None:
    """Let the next search begin anew; without the file there is no such plug any more."""
    for kind, name in written.items():
        sys.modules.pop(f"unspool.{kind}.{name}", None)
        package = importlib.import_module(f"unspool.{kind}")
        vars(package).pop(name, None)
    plugs.names.cache_clear()
    plugs.load.cache_clear()


def test_a_provider_a_flow_and_a_dialect_are_one_file_each(additions: SimpleNamespace) -> None:
    assert sorted(vars(additions)) == ["dialects", "flows", "providers"]
    for kind, name in vars(additions).items():
        assert name in plugs.names(kind)


async def test_a_provider_needs_one_new_file(
    additions: SimpleNamespace, core: unspool.Core
) -> None:
    model = Model("mine", provider=additions.providers)
    said = [chunk async for chunk in LLMClient(model).stream_chat("ha ho")]
    assert said == ["ha ", "ho "]
    async with aiohttp.ClientSession() as http:
        runner = Runner(core.journal, Catalog([model]), GenerationDeps(http), core.settings)
        run_id = await runner.start(RunSpec("chat", {"prompt": "ha ho"}))
        events = [e async for batch in unspool.follow(core.journal, run_id) for e in batch]
        await runner.close()
    run = unspool.fold(events)
    assert (run.status, run.text, run.attempts[0].model) == ("completed", "ha ho ", "mine")


async def test_a_flow_needs_one_new_file(additions: SimpleNamespace, serve_with: Serve) -> None:
    server = await asyncio.to_thread(serve_with)
    body = {"flow": additions.flows, "input": {"topic": "coffee"}}
    async with httpx.AsyncClient(base_url=server.url) as http:
        wrong = await http.post("/v1/runs", json={"flow": additions.flows, "input": {}})
        assert wrong.status_code == 422
        run_id = (await http.post("/v1/runs", json=body)).json()["id"]
        await http.get(f"/v1/runs/{run_id}/events")  # ends when the run does
        run = (await http.get(f"/v1/runs/{run_id}")).json()
    assert run["status"] == "completed"
    assert [step["name"] for step in run["steps"]] == ["headline-1", "headline-2"]
    assert all(step["text"] for step in run["steps"])


async def test_the_flow_of_the_readme_is_a_file_of_thirty_lines_and_runs(
    tmp_path: Path, serve_with: Serve
) -> None:
    (example,) = (b for b in blocks(README, "python") if "# my_flows.py" in b)
    assert len(example.splitlines()) <= 30
    file = tmp_path / "my_flows.py"
    file.write_text(example, encoding="utf-8")
    server = await asyncio.to_thread(serve_with, flows=str(file))
    try:
        async with httpx.AsyncClient(base_url=server.url) as http:
            body = {"flow": "recipe", "input": {"name": "麻婆豆腐"}}
            run_id = (await http.post("/v1/runs", json=body)).json()["id"]
            await http.get(f"/v1/runs/{run_id}/events")  # ends when the run does
            run = (await http.get(f"/v1/runs/{run_id}")).json()
        assert (run["status"], set(run["result"])) == (
            "completed",
            {"title", "minutes", "ingredients"},
        )
    finally:
        plugs.withdraw("flows", "recipe")


async def test_a_dialect_needs_one_new_file_and_can_be_resumed(
    additions: SimpleNamespace, serve_with: Serve
) -> None:
    server = await asyncio.to_thread(serve_with)
    async with httpx.AsyncClient(base_url=server.url) as http:
        first = await http.post("/short", params={"prompt": "hello"})
        run_id = first.headers["x-run-id"]
        run = (await http.get(f"/v1/runs/{run_id}")).json()
        assert run["dialect"] == additions.dialects
        frames = [frame.split("\ndata: ") for frame in first.text.split("\n\n")[:-1]]
        *pieces, (_, end), (trailer,) = frames
        told = "".join(ast.literal_eval(data)["t"] for _, data in pieces)
        assert told == run["text"] != ""
        assert end == '{"end": "run.completed"}'
        assert trailer == "data: [DONE]"
        seen = pieces[2][0].removeprefix("id: ")
        rest = await http.get(f"/v1/runs/{run_id}/events", headers={"Last-Event-ID": seen})
        assert first.text.endswith(rest.text)
        assert rest.text.startswith(f"{pieces[3][0]}\n")


def test_the_names_of_the_examples_are_free_and_nothing_of_them_stays() -> None:
    for block in blocks(EXTENDING, "python"):
        if found := EXAMPLE.match(block):
            kind, name = found.groups()
            assert name not in plugs.names(kind)
