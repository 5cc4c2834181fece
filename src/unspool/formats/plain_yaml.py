"""
The part of YAML that a configuration file needs: text, numbers, booleans, lists, mappings.

No tags, so that a file makes nothing but data; no aliases, so that a small file stays small; no
key twice in one mapping; and `no`, `12:30` and `2026-01-01` are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import yaml

from ..errors import SetupError

MAX_LEVELS: Final = 32
"""Of nested lists and mappings; ours have five, parameters of models may have some more."""


class _NotPlain(yaml.MarkedYAMLError):
    """Valid YAML, but more than we support; the problem is `advice; subject`."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's name

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _NotPlain(None, None, "write it out; anchors and aliases", event.start_mark)
        if getattr(event, "tag", None):
            raise _NotPlain(None, None, "leave the tag out; tags", event.start_mark)
        if self._levels > MAX_LEVELS:
            raise _NotPlain(
                None, None, f"use fewer; more than {MAX_LEVELS} levels", event.start_mark
            )
        self._levels += 1
        node = super().compose_node(parent, index)
        self._levels -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None or name in seen:
                raise _NotPlain(None, None, "keep one; keys that appear twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


for tag, pattern, first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})$"), first)


def read_yaml(raw: bytes, path: str) -> tuple[Any, Callable[[Sequence[Any]], int]]:
    """
    Return the data of a file, and a function that finds the line of a path in it.

    Raises:
        SetupError: It is not YAML, or uses more of it than we support.
    """
    try:
        text = raw.decode("utf-8-sig")
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            value = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except UnicodeDecodeError:
        raise SetupError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except _NotPlain as error:
        line = _line(error.problem_mark)
        advice, _, subject = str(error.problem).partition("; ")
        raise SetupError(f"{path}, line {line}: {subject} are not supported; {advice}") from None
    except yaml.MarkedYAMLError as error:
        line = _line(error.problem_mark)
        raise SetupError(f"{path}, line {line} is not YAML: {error.problem}; fix it") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SetupError(f"{path} is not YAML ({type(error).__name__}); fix it") from None
    return value, lambda place: _line_of(node, place)


def _line(mark: yaml.Mark | None) -> int:
    return 1 if mark is None else mark.line + 1


def _line_of(node: yaml.Node | None, place: Sequence[Any]) -> int:
    """Return the line of a path, or of the deepest part of it that exists."""
    line = 1
    for part in place:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = _line(node.start_mark)
        elif isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == part]
            if not found:
                break
            ((key, node),) = found
            line = _line(key.start_mark)
        else:
            break
    return line
