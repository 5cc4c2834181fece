"""The house keeps its size and its names: what a tool can hold, people need not remember."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import unspool
from unspool import plugs
from unspool.errors import UnspoolError

ROOT = Path(__file__).parent.parent
ROOMS = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "bench").glob("*.py"))

MAX_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_ROOT_NAMES = 24

WORN_NAMES = ("Manager", "Service", "Handler", "Helper", "Utils", "Processor")
"""Each already means three other things here."""

KINDS: tuple[plugs.Kind, ...] = tuple(plugs.FOLDERS)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", ROOMS + TESTS, ids=named)
def test_a_file_is_one_room(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", ROOMS + TESTS, ids=named)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    # The function around a group of routes holds functions of its own: those are counted.
    for function in functions(ast.parse(path.read_text())):
        inner = sum(f.end_lineno - f.lineno + 1 for f in functions(function) if f is not function)
        lines = function.end_lineno - function.lineno + 1
        assert lines - inner <= MAX_FUNCTION_LINES, function.name


@pytest.mark.parametrize("path", ROOMS, ids=named)
def test_a_room_opens_by_saying_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "no docstring"


@pytest.mark.parametrize("path", ROOMS, ids=named)
def test_nothing_is_left_for_later_and_no_worn_name_is_used(path: Path) -> None:
    text = path.read_text()
    assert "TODO" not in text
    assert "FIXME" not in text
    classes = [n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef)]
    assert not [name for name in classes if name.endswith(WORN_NAMES)]


def test_the_public_names_are_sorted_and_all_there() -> None:
    assert unspool.__all__ == sorted(unspool.__all__)
    assert all(getattr(unspool, name) is not None for name in unspool.__all__)


@pytest.mark.parametrize("kind", KINDS)
def test_every_plug_folder_tells_the_next_author_what_to_do(kind: plugs.Kind) -> None:
    package = importlib.import_module(f"unspool.{plugs.FOLDERS[kind]}")
    assert "To add one" in (package.__doc__ or "")
    assert plugs.names(kind)
    for name in plugs.names(kind):
        assert plugs.load(kind, name) is not None


def test_a_wrong_plug_name_is_answered_with_the_right_ones() -> None:
    with pytest.raises(UnspoolError, match=r"no provider named 'opnai'; have: .*openai"):
        plugs.load("providers", "opnai")


def test_every_error_has_a_code_of_its_own() -> None:
    def family(error: type[UnspoolError]) -> Iterator[type[UnspoolError]]:
        yield error
        for child in error.__subclasses__():
            yield from family(child)

    codes = [error.code for error in family(UnspoolError) if error.__module__ == "unspool.errors"]
    assert len(codes) == len(set(codes))


HEAVY = "aiohttp", "fastapi", "sqlalchemy", "pydantic", "cryptography", "uvicorn", "tree_sitter"

CLIENT = {"pydantic"}

MAY_LOAD = {
    "abstract_events_batch": CLIENT,
    "abstract_events_batch_stream": CLIENT,
    "answer_question_with_graph": CLIENT,
    "call_model": {*CLIENT, "fastapi"},  # it makes the frames of S2, with the dialect's encoder
    "Completion": CLIENT,
    "connect": {"aiohttp"},
    "connect_blocking": {"aiohttp"},
    "Context": {"pydantic"},
    "Core": {*CLIENT, "fastapi", "sqlalchemy", "cryptography"},
    "flow": {"pydantic"},
    "generate_from_patterns": CLIENT,
    "get_llm_client": CLIENT,
    "LLMClient": CLIENT,
    "open_core": {*CLIENT, "fastapi", "sqlalchemy", "cryptography"},
    "Settings": {"pydantic"},
}
"""What each public name loads, of what takes long; names that are not here load none of it."""


def may_load() -> dict[frozenset[str], list[str]]:
    """The public names, together with those that may load the same."""
    groups: dict[frozenset[str], list[str]] = {}
    for name in ["__version__", *unspool.__all__]:
        groups.setdefault(frozenset(MAY_LOAD.get(name, set())), []).append(name)
    return groups


@pytest.mark.parametrize("names", may_load().values(), ids=",".join)
def test_a_public_name_loads_what_it_needs_and_no_more(names: list[str]) -> None:
    uses = "; ".join(f"unspool.{name}" for name in names)
    shown = f"print(*(module for module in {HEAVY} if module in sys.modules))"
    program = [sys.executable, "-c", f"import sys, unspool; {uses}; {shown}"]
    ran = subprocess.run(program, capture_output=True, check=True, text=True)
    assert set(ran.stdout.split()) == MAY_LOAD.get(names[0], set())


# The street


def test_the_root_of_the_source_is_read_at_a_glance() -> None:
    names = {
        path.stem
        for path in (ROOT / "src" / "unspool").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert len(names - {"__init__", "__main__"}) <= MAX_ROOT_NAMES


@pytest.mark.parametrize("path", ROOMS, ids=named)
def test_nobody_imports_a_private_module_of_another_package(path: Path) -> None:
    here = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts[:-1])
    for module in imported(path):
        package, _, private = module.partition("._")
        assert not private or package == here, f"{path} imports {module}"


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports from, by their whole names."""
    package = path.relative_to(ROOT / "src").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            up = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*up, *((node.module or "").split(".") if node.module else [])])
            if module.partition(".")[0] == "unspool":
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)


def test_a_class_name_means_one_thing() -> None:
    # What is private to a file may be called as in another file, unless it is a public name.
    places: dict[str, list[str]] = {}
    for path in ROOMS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(named(path))
    twice = {name for name, found in places.items() if len(found) > 1 and name[0] != "_"}
    shadowing = {name[1:] for name in places if name[0] == "_" and name[1:] in places}
    assert not twice | shadowing, {name: places[name] for name in twice | shadowing}
