"""
Arithmetic, because models guess at it.

Python's own parser reads the expression; this module computes it node by node: numbers, the
operators below and brackets, nothing else. Every size has a limit, so no expression that a model
invents takes noticeable time.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any, Final

MAX_CHARS: Final = 500
"""Of an expression; a longer one is a program."""

MAX_SIZE: Final = 1e100
"""Of an intermediate number: powers of powers would fill the memory."""

MAX_EXPONENT: Final = 1000

Number = int | float

_OPERATORS: Final[dict[type[ast.AST], Callable[[Any, Any], Number]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}

_WRITTEN: Final = str.maketrans({"×": "*", "÷": "/", "−": "-", "，": ",", "（": "(", "）": ")"})
"""Signs that people write for the operators."""


async def plug(expression: str) -> dict[str, Any]:
    """
    Return the value of an expression such as `(459 - 60) * 3 / 2`.

    Raises:
        ValueError: It is not arithmetic, or too large.
    """
    text = expression.translate(_WRITTEN).replace("^", "**").strip()
    if len(text) > MAX_CHARS:
        raise ValueError(f"an expression has at most {MAX_CHARS} characters")
    try:
        value = _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, MemoryError, RecursionError):
        raise ValueError("that is not arithmetic; give an expression like 12 * (3 + 4)") from None
    except ZeroDivisionError:
        raise ValueError("it divides by zero") from None
    return {"expression": expression, "value": value}


def _value(node: ast.AST) -> Number:
    match node:
        case ast.Constant(int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand)
        case ast.UnaryOp(ast.UAdd(), operand):
            return _value(operand)
        case ast.BinOp(left, sign, right) if type(sign) in _OPERATORS:
            one, other = _value(left), _value(right)
            if isinstance(sign, ast.Pow) and abs(other) > MAX_EXPONENT:
                raise ValueError(f"an exponent is at most {MAX_EXPONENT}")
            return _computed(_OPERATORS[type(sign)], one, other)
        case _:
            raise ValueError("only numbers, + - * / // % ** and brackets are supported")


def _computed(operate: Callable[[Any, Any], Number], one: Number, other: Number) -> Number:
    try:
        return _bounded(operate(one, other))
    except OverflowError:
        raise ValueError("the number is too large") from None


def _bounded(number: Number) -> Number:
    # A negative number to a fractional power is complex.
    if isinstance(number, complex) or not math.isfinite(number) or abs(number) > MAX_SIZE:
        raise ValueError("the result is too large, or is not a real number")
    return number
