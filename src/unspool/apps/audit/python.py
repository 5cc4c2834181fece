"""Calls in Python, found with the standard `ast`, and what each says of streaming."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from .sites import Site, Told

_NAME = "stream"


@dataclass(slots=True)
class _Scope:
    """The meaning of names in one function, or in the module."""

    name: str = ""
    values: dict[str, list[ast.expr]] = field(default_factory=dict)
    items: dict[tuple[str, str], list[ast.expr]] = field(default_factory=dict)
    """`payload["stream"] = True`, by name and key."""
    parameters: dict[str, ast.expr | None] = field(default_factory=dict)
    """With their defaults."""
    is_coroutine: bool = False
    """`async def` without `yield`."""
    iterated: set[int] = field(default_factory=set)
    """The calls over whose results `async for` goes, directly or by a name (`id` of the node)."""


def sites_in_python(source: bytes, file: str) -> list[Site]:
    """
    Return every call of a file.

    Raises:
        SyntaxError, ValueError: It is not Python.
    """
    reader = _PythonReader(file)
    reader.visit(ast.parse(source))
    return reader.sites


class _PythonReader(ast.NodeVisitor):
    def __init__(self, file: str) -> None:
        self.sites: list[Site] = []
        self._file = file
        self._scopes = [_Scope()]
        self._imports: set[str] = set()
        self._aliases: dict[str, str] = {}
        self._following: set[str] = set()
        self._decorators: set[int] = set()
        """`@router.post("/v1/chat/completions")` serves such requests and sends none."""

    def visit_Module(self, node: ast.Module) -> None:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import):
                self._imports |= {alias.name for alias in inner.names}
            elif isinstance(inner, ast.ImportFrom):
                self._imports.add(inner.module or "")
                self._aliases |= {a.asname or a.name: a.name for a in inner.names}
        self._fill(node.body)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        args = node.args
        plain = [*args.posonlyargs, *args.args]
        defaults: list[ast.expr | None] = [None] * (len(plain) - len(args.defaults))
        defaults += args.defaults
        both = zip([*plain, *args.kwonlyargs], [*defaults, *args.kw_defaults], strict=True)
        inside = list(_within(node.body))
        scope = _Scope(
            node.name,
            parameters={arg.arg: default for arg, default in both},
            is_coroutine=isinstance(node, ast.AsyncFunctionDef)
            and not any(isinstance(each, ast.Yield | ast.YieldFrom) for each in inside),
            iterated=_iterated(inside),
        )
        self._decorators |= {id(decorator) for decorator in node.decorator_list}
        self._scopes.append(scope)
        self._fill(node.body)
        self.generic_visit(node)
        self._scopes.pop()

    def _fill(self, body: list[ast.stmt]) -> None:
        """Note the assignments of this scope, but not of functions inside it."""
        scope = self._scopes[-1]
        for node in _within(body):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    _note(scope, target, node.value)
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                _note(scope, node.target, node.value)
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                _note(scope, node.optional_vars, node.context_expr)

    def visit_Call(self, node: ast.Call) -> None:
        if id(node) in self._decorators:
            self.generic_visit(node)
            return
        callee = self._callee(node.func)
        maker = self._maker(node.func)
        own = next((s for s in reversed(self._scopes) if s.name), _Scope())
        default = own.parameters.get(_NAME)
        site = Site(
            self._file,
            node.lineno,
            node.col_offset + 1,
            callee,
            stream=self._stream(node),
            url=self._url(node),
            imports=frozenset(self._imports),
            function=tuple(s.name for s in reversed(self._scopes) if s.name),
            aliases=self._aliases,
            body=self._body(node),
            in_coroutine=own.is_coroutine,
            is_iterated=id(node) in own.iterated,
        )
        if maker is not None:
            site.made_by = self._callee(maker.func)
            site.made_streaming = any(
                k.arg == "streaming" and self._truth(k.value) == "yes" for k in maker.keywords
            )
        if _NAME in own.parameters:
            site.default = "unknown" if default is None else self._truth(default)
        self.sites.append(site)
        self.generic_visit(node)

    def _callee(self, node: ast.expr) -> tuple[str, ...]:
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        names.append(node.id if isinstance(node, ast.Name) else "?")
        return tuple(reversed(names))

    def _maker(self, node: ast.expr) -> ast.Call | None:
        """Return the call that made the object of a method."""
        if not isinstance(node, ast.Attribute):
            return None
        receiver = node.value
        if isinstance(receiver, ast.Call):
            return receiver
        made = self._value(_key_of(receiver)) if _key_of(receiver) else None
        if isinstance(made, ast.Await):
            made = made.value
        return made if isinstance(made, ast.Call) else None

    def _value(self, name: str) -> ast.expr | None:
        """Return the value of a name, if it has only one."""
        for scope in reversed(self._scopes):
            if name in scope.values:
                values = scope.values[name]
                return values[0] if len({ast.dump(value) for value in values}) == 1 else None
            if name in scope.parameters:
                return None
        return None

    # What the call says of streaming

    def _stream(self, node: ast.Call) -> Told:
        told: Told = "absent"
        for keyword in node.keywords:
            if keyword.arg == _NAME:
                return self._truth(keyword.value)
            if keyword.arg in {None, "json", "data", "content", "body", "extra_body"}:
                told = self._in_mapping(keyword.value, is_spread=keyword.arg is None) or told
        return told

    def _body(self, node: ast.Call) -> frozenset[str]:
        """Return the keys of the object that a post sends."""
        for keyword in node.keywords:
            if keyword.arg in {"json", "data", "content", "body"}:
                value: ast.expr | None = keyword.value
                if isinstance(value, ast.Call) and value.args:  # json.dumps(...)
                    value = value.args[0]
                if isinstance(value, ast.Name):
                    value = self._value(value.id)
                if isinstance(value, ast.Dict):
                    keys = [key.value for key in value.keys if isinstance(key, ast.Constant)]
                    return frozenset(map(str, keys))
        return frozenset()

    def _in_mapping(self, node: ast.expr, *, is_spread: bool) -> Told | None:
        """Return what a mapping says; None if it says nothing."""
        if isinstance(node, ast.Call) and self._callee(node.func)[-1] == "dumps" and node.args:
            node = node.args[0]
        if isinstance(node, ast.Name):
            if (told := self._set_later(node.id)) is not None:
                return told
            found = self._value(node.id)
            if found is None:
                return "unknown" if is_spread or self._is_known(node.id) else None
            node = found
        if isinstance(node, ast.Dict):
            return self._in_dict(node)
        if isinstance(node, ast.Call) and self._callee(node.func) == ("dict",):
            return self._stream(node)
        return "unknown" if is_spread else None

    def _in_dict(self, node: ast.Dict) -> Told | None:
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == _NAME:
                return self._truth(value)
            if key is None and (told := self._in_mapping(value, is_spread=True)):
                return told
        return None

    def _set_later(self, name: str) -> Told | None:
        """Return the value that was set for `name["stream"]`."""
        for scope in reversed(self._scopes):
            if values := scope.items.get((name, _NAME)):
                facts = {self._truth(value) for value in values}
                return facts.pop() if len(facts) == 1 else "unknown"
        return None

    def _is_known(self, name: str) -> bool:
        return any(name in s.values or name in s.parameters for s in self._scopes)

    def _truth(self, node: ast.expr) -> Told:
        if isinstance(node, ast.Constant):
            return "yes" if node.value else "no"
        if isinstance(node, ast.Name):
            if (found := self._value(node.id)) is not None and not isinstance(found, ast.Name):
                return self._truth(found)
            own = next((s for s in reversed(self._scopes) if s.name), None)
            if own is not None and node.id == _NAME and _NAME in own.parameters:
                return "parameter"
        return "unknown"

    def _url(self, node: ast.Call) -> str:
        named = [k.value for k in node.keywords if k.arg in {"url", "path"}]
        for argument in [*named, *node.args[:2]]:
            if "/" in (text := self._text(argument)):
                return text
        return ""

    def _named(self, name: str) -> str:
        """Return the text of a name; a name made of itself (`x = a + x`) has none."""
        found = self._value(name)
        if name in self._following or not isinstance(
            found, ast.Constant | ast.JoinedStr | ast.BinOp
        ):
            return ""
        self._following.add(name)
        try:
            return self._text(found)
        finally:
            self._following.discard(name)

    def _text(self, node: ast.expr) -> str:
        """Return the constant parts of a text."""
        text = ""
        match node:
            case ast.Constant(str(said)):
                text = said
            case ast.JoinedStr(values):
                text = "".join(self._text(value) for value in values)
            case ast.FormattedValue(value) | ast.Await(value):
                text = self._text(value)
            case ast.BinOp(left, ast.Add(), right):
                text = self._text(left) + self._text(right)
            case ast.Name() | ast.Attribute():
                text = self._named(_key_of(node))
            case _:
                pass
        return text


def _key_of(node: ast.expr) -> str:
    """Return the name on the left of an assignment: `x`, or `self.x`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def _note(scope: _Scope, target: ast.expr, value: ast.expr) -> None:
    if key := _key_of(target):
        scope.values.setdefault(key, []).append(value)
    elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        item = _key_of(target.value), str(target.slice.value)
        scope.items.setdefault(item, []).append(value)


def _iterated(nodes: list[ast.AST]) -> set[int]:
    """Return the calls whose results are iterated with `async for`, none of them awaited."""
    over = [n.iter for n in nodes if isinstance(n, ast.AsyncFor)]
    over += [n.iter for n in nodes if isinstance(n, ast.comprehension) and n.is_async]
    found = {id(each) for each in over if isinstance(each, ast.Call)}
    names = {each.id for each in over if isinstance(each, ast.Name)}
    waits = [n.value for n in nodes if isinstance(n, ast.Await)]
    awaited = {value.id for value in waits if isinstance(value, ast.Name)}
    for node in nodes:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        if {t.id for t in node.targets if isinstance(t, ast.Name)} & (names - awaited):
            found.add(id(node.value))
    return found


def _within(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Walk statements, but not into functions, whose assignments are their own."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
