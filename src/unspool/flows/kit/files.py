"""
Flows of your own: a Python file with `@flow` functions, known while this process lives.

The server runs the file as code, so only the person who starts the server names it, never a
request.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from unspool import plugs
from unspool.errors import SetupError

from .. import Flow
from .functions import FunctionFlow

MODULE: Final = "unspool_flows_"
"""Prefix of the module names that such files get."""


def offer_flows(paths: str) -> list[str]:
    """
    Offer the flows of some files, separated by commas, and return the flows' names.

    A file offers each `@flow` function under that function's name, and an object `plug`, which
    is a `Flow`, under the name of the file.

    Raises:
        SetupError: A file is missing, fails to run, offers nothing, or takes the name of a
            built-in flow.
    """
    offered: list[str] = []
    for path in (Path(part.strip()) for part in paths.split(",") if part.strip()):
        found = dict(_flows_in(_run(path), path.stem))
        if not found:
            raise SetupError(
                f"{path} has no flow: put `@flow` (from unspool import flow) before an async "
                "function `(ctx, input: SomePydanticModel)`"
            )
        for name, flow in found.items():
            if name in plugs.names("flows") and not _is_from(plugs.load("flows", name), path):
                raise SetupError(f"{path}: a flow named {name} exists already; choose another name")
            plugs.offer("flows", name, flow)
            offered.append(name)
    return offered


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{MODULE}{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SetupError(f"{path} is not a Python file; give --flows a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    # `get_type_hints` looks the annotations up in the module, by its name.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SetupError as error:
        raise SetupError(f"{path}: {error}") from None
    except Exception as error:
        raise SetupError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module


def _flows_in(module: ModuleType, stem: str) -> Iterator[tuple[str, Flow[Any]]]:
    for name, value in vars(module).items():
        if isinstance(value, FunctionFlow) and value.function.__module__ == module.__name__:
            yield value.name, value
        elif name == "plug" and isinstance(value, Flow):
            yield stem, value


def _is_from(flow: Flow[Any], path: Path) -> bool:
    """Whether a flow comes from this very file, so that the file may be loaded again."""
    module = flow.function.__module__ if isinstance(flow, FunctionFlow) else type(flow).__module__
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and Path(file).resolve() == path.resolve()
