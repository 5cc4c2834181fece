"""Calls in JavaScript and TypeScript, JSX included, found with tree-sitter."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from .sites import Site, Told

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

JAVASCRIPT: Final = frozenset(
    {".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx", ".vue"}
)
"""Endings of files; of a Vue component we read the script."""

_NAME = "stream"
_BODIES: Final = frozenset({"body", "data", "json"})


@cache
def _parser(language: str) -> Parser:
    # Imported on use: no other command waits for them.
    import tree_sitter_javascript
    import tree_sitter_typescript
    from tree_sitter import Language, Parser

    languages = {
        "js": tree_sitter_javascript.language,
        "ts": tree_sitter_typescript.language_typescript,
        "tsx": tree_sitter_typescript.language_tsx,
    }
    return Parser(Language(languages[language]()))


def sites_in_javascript(source: bytes, file: str) -> list[Site]:
    """
    Return every call of a file; text that is not JavaScript is skipped.

    Raises:
        ValueError: It is not text.
    """
    source.decode()
    suffix = PurePath(file).suffix
    if suffix == ".vue":
        source = _script_of(source)
    language = "js" if suffix in {".js", ".mjs", ".cjs", ".jsx"} else "tsx"
    if suffix in {".ts", ".mts", ".cts"}:
        language = "ts"  # `<T>x` is a cast there, and an element in the others
    return list(_JavaScriptReader(file, _parser(language).parse(source).root_node).sites())


def _script_of(source: bytes) -> bytes:
    """Blank out everything but the script of a component, so that line numbers stay."""
    start = source.find(b"<script")
    begin = source.find(b">", start) + 1
    end = source.find(b"</script>", begin)
    if start < 0 or end < 0:
        return b""
    return b"\n" * source[:begin].count(b"\n") + source[begin:end]


class _JavaScriptReader:
    def __init__(self, file: str, root: Node) -> None:
        self._file = file
        self._root = root
        self._values: dict[str, list[Node]] = {}
        self._imports: set[str] = set()
        self._aliases: dict[str, str] = {}
        for node in _walk(root):
            self._note(node)

    def _note(self, node: Node) -> None:
        """Note the meaning of names: assignments and imports."""
        left = node.child_by_field_name("name") or node.child_by_field_name("left")
        right = node.child_by_field_name("value") or node.child_by_field_name("right")
        match node.type:
            case "variable_declarator" | "assignment_expression" if left and right:
                self._values.setdefault(_text(left), []).append(right)
            case "import_statement" if source := node.child_by_field_name("source"):
                self._imports.add(_text(source).strip("'\"`"))
            case "import_specifier" if left:
                alias = node.child_by_field_name("alias") or left
                self._aliases[_text(alias)] = _text(left)
            case "call_expression" if _text(node.child_by_field_name("function")) == "require":
                for argument in _arguments(node)[:1]:
                    self._imports.add(_text(argument).strip("'\"`"))
            case _:
                pass

    def sites(self) -> Iterator[Site]:
        for node in _walk(self._root):
            if node.type not in {"call_expression", "new_expression"}:
                continue
            callee = _callee(node)
            arguments = _arguments(node)
            row, column = node.start_point
            maker = self._maker(node)
            yield Site(
                self._file,
                row + 1,
                column + 1,
                callee,
                stream=self._stream(arguments),
                made_by=_callee(maker) if maker else (),
                made_streaming=bool(maker) and self._is_made_streaming(maker),
                url=next((t for a in arguments[:2] if "/" in (t := self._words(a))), ""),
                imports=frozenset(self._imports),
                aliases=self._aliases,
            )

    def _maker(self, node: Node) -> Node | None:
        function = node.child_by_field_name("function")
        receiver = function.child_by_field_name("object") if function else None
        if receiver is None:
            return None
        made = self._one(_text(receiver)) or receiver
        if made.type == "await_expression":
            made = made.named_children[0]
        return made if made.type in {"call_expression", "new_expression"} else None

    def _is_made_streaming(self, maker: Node | None) -> bool:
        if maker is None:
            return False
        return any(self._member(a, "streaming") == "yes" for a in _arguments(maker))

    def _one(self, name: str) -> Node | None:
        values = self._values.get(name, [])
        return values[0] if len({_text(value) for value in values}) == 1 else None

    def _stream(self, arguments: list[Node]) -> Told:
        for argument in arguments:
            if (told := self._member(argument, _NAME)) is not None:
                return told
        return "absent"

    def _member(self, node: Node, name: str) -> Told | None:
        """Return what an object says of a member, also inside its body; None: nothing."""
        node = self._object(node)
        members = node.named_children if node.type == "object" else []
        told = (self._in_pair(pair, name) for pair in members)
        return next((each for each in told if each is not None), None)

    def _in_pair(self, pair: Node, name: str) -> Told | None:
        if pair.type == "spread_element":
            return self._member(pair.named_children[0], name)
        if pair.type == "shorthand_property_identifier" and _text(pair) == name:
            found = self._one(name)
            return self._truth(found) if found else "unknown"
        key, value = pair.child_by_field_name("key"), pair.child_by_field_name("value")
        if key is None or value is None:
            return None
        if _text(key).strip("'\"") == name:
            return self._truth(value)
        return self._member(value, name) if _text(key) in _BODIES else None

    def _object(self, node: Node) -> Node:
        """Follow a name, or JSON text, to the object."""
        for _ in range(4):
            if node.type == "identifier" and (found := self._one(_text(node))):
                node = found
            elif node.type == "call_expression" and _callee(node)[-1] == "stringify":
                node = (_arguments(node) or [node])[0]
            else:
                break
        return node

    def _truth(self, node: Node) -> Told:
        if node.type in {"true", "false"}:
            return "yes" if node.type == "true" else "no"
        if node.type == "identifier" and (found := self._one(_text(node))) is not None:
            return self._truth(found)
        return "unknown"

    def _words(self, node: Node) -> str:
        """Return the constant parts of a text."""
        if node.type in {"string", "template_string"}:
            return _text(node).strip("'\"`")
        if node.type == "binary_expression":
            return "".join(self._words(child) for child in node.named_children)
        if node.type == "identifier" and (found := self._one(_text(node))) is not None:
            return self._words(found) if found.type != "identifier" else ""
        return ""


def _walk(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.children)


def _text(node: Node | None) -> str:
    return (node.text or b"").decode() if node is not None else ""


def _arguments(node: Node) -> list[Node]:
    found = node.child_by_field_name("arguments")
    return [] if found is None else list(found.named_children)


def _callee(node: Node) -> tuple[str, ...]:
    found = node.child_by_field_name("function") or node.child_by_field_name("constructor")
    names: list[str] = []
    while found is not None and found.type == "member_expression":
        names.append(_text(found.child_by_field_name("property")))
        found = found.child_by_field_name("object")
    is_name = found is not None and found.type in {"identifier", "this"}
    names.append(_text(found) if is_name else "?")
    return tuple(reversed(names))
