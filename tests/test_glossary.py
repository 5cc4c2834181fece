"""One noun for one thing: code, console and documents are held to docs/glossary.md."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from support.documents import DOCS, DOCUMENTS, ROOT, SRC, named, prose

GLOSSARY = DOCS / "glossary.md"
I18N = ROOT / "console" / "src" / "i18n"
CONSOLE_ZH = [I18N / "zh.ts", *sorted((I18N / "pages").glob("*.ts"))]
ALONE = {"session", "task", "stream", "job", "thread"}
"""These may stand beside a word that says of what: `EventStream`."""
THEIRS = {"RewriteProcessor"}
"""Names that seed documents print."""


def rows(heading: str) -> list[list[str]]:
    """The cells of each row of the table below a heading."""
    (section,) = re.findall(
        rf"^## {heading}.*?\n(.*?)(?=^## |\Z)", GLOSSARY.read_text(), re.M | re.S
    )
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


ON_SCREEN, IN_CODE, AVOIDED = (rows(h) for h in ("On screen", "In code", "Words we avoid"))
TERMS = [row[0] for row in ON_SCREEN + IN_CODE]


def avoided(where: str) -> set[str]:
    return {word for words, place, _ in AVOIDED if place == where for word in words.split(", ")}


def words_of(name: str) -> list[str]:
    """`EventStream` and `event_stream` are both event, stream."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)]


@cache
def names() -> frozenset[str]:
    """The names that our code defines: modules, classes, functions, arguments, fields, locals."""
    found: set[str] = set()
    for path in SRC.rglob("*.py"):
        found.add(path.stem)
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.ClassDef(name) | ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                    found.add(name)
                case ast.arg(name) | ast.AnnAssign(ast.Name(name)):
                    found.add(name)
                case ast.Constant(str(text)) if re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", text):
                    found.update(text.split("."))  # event types, codes, words of the wire
                case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(name, ast.Store()):
                    found.add(name)
    return frozenset(found)


@cache
def classes_and_modules() -> frozenset[str]:
    found = {path.stem for path in SRC.rglob("*.py")}
    for path in SRC.rglob("*.py"):
        found |= {
            n.name for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ClassDef)
        }
    return frozenset(found - THEIRS)


def plain(word: str) -> set[str]:
    return {word, f"{word}s"}


@pytest.mark.parametrize("term", TERMS)
def test_a_term_is_used_in_code(term: str) -> None:
    assert any(plain(term) & set(words_of(name)) for name in names())


def test_a_term_stands_in_one_row_and_has_a_word_of_its_own_in_chinese() -> None:
    assert len(TERMS) > 40
    chinese = [row[1] for row in ON_SCREEN + IN_CODE]
    assert len(set(TERMS)) == len(TERMS)
    assert len(set(chinese)) == len(chinese)
    assert [word for word in chinese if not re.search(r"[\u4e00-\u9fff]", word)] == []


@pytest.mark.parametrize(("term", "chinese"), [(row[0], row[1]) for row in ON_SCREEN])
def test_the_console_says_the_chinese_word(term: str, chinese: str) -> None:
    said = "".join(re.findall(r'"([^"]*)"', "".join(p.read_text() for p in CONSOLE_ZH)))
    assert chinese in said, term


def test_no_class_and_no_module_has_a_name_that_is_avoided() -> None:
    worn = avoided("names") - ALONE
    assert worn
    wrong = {
        name
        for name in classes_and_modules()
        if worn & set(words_of(name)) or [*ALONE & set(words_of(name))] == words_of(name)
    }
    assert wrong == set()


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path != GLOSSARY], ids=named)
def test_a_document_uses_no_word_that_is_avoided(path: Path) -> None:
    text = re.sub(r"`[^`]*`", "", prose(path)).lower()
    found = {
        word
        for word in avoided("documents")
        if re.search(rf"\b{word}s?\b" if word.isascii() else word, text)
    }
    assert found == set()


@pytest.mark.parametrize("path", CONSOLE_ZH, ids=named)
def test_the_console_uses_no_chinese_word_that_is_avoided(path: Path) -> None:
    chinese = {word for word in avoided("documents") if not word.isascii()}
    assert chinese
    assert [word for word in chinese if word in path.read_text()] == []
