"""What the documents say is there; what is there, the documents say; their examples run."""

from __future__ import annotations

import ast
import asyncio
import dataclasses
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

import httpx
import pytest
import tree_sitter
import tree_sitter_javascript
import tree_sitter_typescript

import unspool
from support.documents import (
    DOCS,
    DOCUMENTS,
    README,
    README_ZH,
    ROOT,
    SRC,
    anchors,
    blocks,
    headings,
    links,
    named,
)
from support.servers import Serve
from unspool import LLMClient, Model, Settings, connect, plugs
from unspool.execution.runner import Runner
from unspool.generation.generate import GenerationDeps
from unspool.models.catalog import Catalog
from unspool.providers.upstream.http1 import Client
from unspool.runs.run import RunSpec

ARCHITECTURE = ROOT / "ARCHITECTURE.md"
EXTENDING = DOCS / "extending.md"
SETTINGS = [DOCS / "settings.md", DOCS / "settings.zh-CN.md"]
EXAMPLE = re.compile(r"# src/unspool/(\w+)/(\w+)\.py\n")
MAX_README_LINES = 120


# The READMEs: that both have the same headings and code is in test_walkthroughs.py


@pytest.mark.parametrize("path", [README, README_ZH], ids=named)
def test_a_readme_is_read_in_one_sitting_and_begins_with_a_command(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_README_LINES
    assert len(headings(path)) > 10
    assert blocks(path, "sh")[0] == "make run\n"


def test_the_command_for_the_first_product_is_the_one_of_the_seed_document() -> None:
    line = (
        "curl -N -X POST http://127.0.0.1:8000/ai/generate/copy "
        '-H "Content-Type: application/json" '
        """-d '{"sku": "8WZ01CM1", "style": "natural"}'\n"""
    )
    assert line in blocks(README, "sh")


def test_every_document_is_in_the_index() -> None:
    index = DOCS / "README.md"
    known = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}
    pages = {page for page in DOCS.rglob("*.md") if "zh-CN" not in page.name} - {index}
    contracts = {(ROOT / target).resolve() for target in links(ROOT / "PROTOCOL.md")}
    assert pages - known - contracts == set()


# Nothing is missing


@pytest.mark.parametrize("path", SETTINGS, ids=named)
@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_table_with_its_default(name: str, path: Path) -> None:
    field = Settings.model_fields[name]
    known_as = field.validation_alias or f"UNSPOOL_{name.upper()}"
    default = field.default
    shown = {None: "none", "": "empty"}.get(default, f"`{default}`")
    if isinstance(default, float):
        shown = f"`{default:g}`"
    if isinstance(default, bool):  # which equals 0 or 1
        shown = f"`{str(default).lower()}`"
    assert f"| `{known_as}` | {shown} |" in path.read_text()


def house() -> list[str]:
    """The lines of the tree in ARCHITECTURE.md."""
    (tree,) = (b for b in blocks(ARCHITECTURE, "text") if b.startswith("src/unspool/"))
    return tree.splitlines()[1:]


@pytest.mark.parametrize("kind", plugs.FOLDERS)
def test_every_plug_is_on_its_line_in_the_house(kind: plugs.Kind) -> None:
    folder = plugs.FOLDERS[kind].partition(".")[0]
    (line,) = (line for line in house() if line.startswith(f"  {folder}/"))
    told = re.findall(r"\w+", line.partition(": ")[2])
    # Resources are many, and have a page of their own.
    assert kind == "api" or set(ours(kind)) <= set(told)


def ours(kind: plugs.Kind) -> list[str]:
    """The plugs that are files of the kind's own folder."""
    folder = SRC / plugs.FOLDERS[kind].replace(".", "/")
    return [name for name in plugs.names(kind) if (folder / f"{name}.py").exists()]


def test_every_application_is_on_its_line_in_the_house() -> None:
    (line,) = (line for line in house() if line.startswith("  apps/"))
    assert set(re.findall(r"\w+", line.partition(": ")[2])) == set(plugs.apps())


def rooms() -> list[str]:
    files = [path.name for path in SRC.glob("*.py")]
    return sorted(files + [f"{path.parent.name}/" for path in SRC.glob("*/__init__.py")])


@pytest.mark.parametrize("room", rooms())
def test_every_room_is_in_the_house(room: str) -> None:
    assert [line for line in house() if line.startswith(f"  {room} ")]


def test_the_house_has_no_room_that_is_not_there() -> None:
    for line in house():
        assert (SRC / line.split()[0]).exists(), line


def test_the_floors_are_those_of_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert "\n".join(layers) + "\n" in blocks(ARCHITECTURE, "text")


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    for target in links(path):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_file_of_ours_that_a_document_names_is_there(path: Path) -> None:
    text = path.read_text()
    if path.name.startswith("from-the-seeds"):  # in their first column stand files of the seeds
        text = re.sub(r"^\| .+? \|", "", text, flags=re.M)
    files = re.findall(r"`((?:src/unspool|tests|console/src|examples|conformance)/[\w./-]+)`", text)
    assert [file for file in files if not (ROOT / file).exists()] == []
    # Files are also named from the package down: `generation/seam.py`.
    rooms = re.findall(r"`([a-z_]+/[\w/]+\.py)`", text)
    known = (ROOT, SRC, SRC / "apps" / "extraction", ROOT / "tests")
    assert [room for room in rooms if not any((base / room).exists() for base in known)] == []


def test_the_way_from_the_seeds_names_the_same_files_in_both_languages() -> None:
    english, chinese = (
        re.findall(r"`[\w/]+\.(?:py|vue|ts)`", (DOCS / name).read_text())
        for name in ("from-the-seeds.md", "from-the-seeds.zh-CN.md")
    )
    assert len(english) > 60
    assert sorted(english) == sorted(chinese)


def test_extending_tells_every_kind_of_plug_that_an_application_has() -> None:
    table = EXTENDING.read_text().partition("## An application")[2]
    told = set(re.findall(r"^\| `(\w+)` \|", table, re.M))
    assert told == {field.name for field in dataclasses.fields(plugs.App)}


# What the examples say happens


def test_every_python_block_compiles() -> None:
    code = [block for path in DOCUMENTS for block in blocks(path, "python")]
    assert len(code) >= 4
    for block in code:
        compile(block, "block", "exec")


GRAMMARS = {
    "js": tree_sitter_javascript.language(),
    "ts": tree_sitter_typescript.language_typescript(),
    "tsx": tree_sitter_typescript.language_tsx(),
}


@pytest.mark.parametrize("language", GRAMMARS)
def test_every_javascript_block_parses(language: str) -> None:
    parser = tree_sitter.Parser(tree_sitter.Language(GRAMMARS[language]))
    code = [(path, block) for path in DOCUMENTS for block in blocks(path, language)]
    assert code
    wrong = [
        (named(path), block)
        for path, block in code
        if parser.parse(block.encode()).root_node.has_error
    ]
    assert wrong == []


@pytest.mark.slow
def test_the_commands_for_curl_follow_a_run_twice_and_find_it_ended(serve_with: Serve) -> None:
    server = serve_with()
    (commands,) = blocks(DOCS / "clients.md", "sh")
    ran = subprocess.run(
        ["bash", "-eu", "-c", commands.replace("http://127.0.0.1:8000", server.url)],
        capture_output=True,
        text=True,
        timeout=15,
        check=True,
    )
    ids = [int(line[4:]) for line in ran.stdout.splitlines() if line.startswith("id: ")]
    (last,) = {at for at in ids if ids.count(at) == 2 and at == max(ids)}
    assert ids == [*range(1, last + 1), *range(4, last + 1)]
    assert '"status":"completed"' in ran.stdout


@pytest.mark.slow
def test_the_program_for_python_prints_an_answer(tmp_path: Path) -> None:
    program, *_ = blocks(DOCS / "python.md", "python")
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
    async with Client() as http:
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


async def test_the_flow_of_the_guide_is_a_file_of_thirty_lines_and_runs(
    tmp_path: Path, serve_with: Serve
) -> None:
    example, asking = blocks(DOCS / "flows.md", "python")
    assert len(example.splitlines()) <= 30
    files = tmp_path / "my_flows.py", tmp_path / "trips.py"
    for file, text in zip(files, (example, asking), strict=True):
        file.write_text(text, encoding="utf-8")
    server = await asyncio.to_thread(serve_with, flows=",".join(map(str, files)))
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
        async with connect(server.url) as elsewhere:
            trip = await elsewhere.start("book", {"to": "Oslo"})
            answers = {"name": "Ann", "seat": {"seat": "aisle"}}
            async for event in trip.events():
                if event.type == "question.asked":
                    await trip.answer(answers[event.data["step"]])
            assert (await trip.read())["result"] == "Ann sits at the aisle to Oslo"
    finally:
        plugs.withdraw("flows", "recipe")
        plugs.withdraw("flows", "book")


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
