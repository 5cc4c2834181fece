"""
Streaming generation. A run is an append-only log of events; a viewer is a cursor over it.

The public names; each loads its module at first use. A program that uses the client need not
wait for the database, and `unspool --help` waits for neither.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .apps.debug_chat.client import call_model
    from .apps.extraction.client import (
        abstract_events_batch,
        abstract_events_batch_stream,
        answer_question_with_graph,
        generate_from_patterns,
    )
    from .core import Core, open_core
    from .errors import LLMClientError, UnspoolError
    from .flows import Context
    from .flows.kit.functions import flow
    from .generation.client import Completion, LLMClient, get_llm_client
    from .journals import Journal, Pen, open_journal
    from .providers import Limits, Model, Prompt
    from .runs.events import Draft, Event
    from .runs.run import Run, RunSpec, fold
    from .settings import Settings
    from .viewing.cursor import follow
    from .viewing.remote.blocking import connect_blocking
    from .viewing.remote.runs import connect

__version__ = version("unspool")

__all__ = [
    "Completion",
    "Context",
    "Core",
    "Draft",
    "Event",
    "Journal",
    "LLMClient",
    "LLMClientError",
    "Limits",
    "Model",
    "Pen",
    "Prompt",
    "Run",
    "RunSpec",
    "Settings",
    "UnspoolError",
    "abstract_events_batch",
    "abstract_events_batch_stream",
    "answer_question_with_graph",
    "call_model",
    "connect",
    "connect_blocking",
    "flow",
    "fold",
    "follow",
    "generate_from_patterns",
    "get_llm_client",
    "open_core",
    "open_journal",
]

_MODULES = {
    "apps.debug_chat.client": ("call_model",),
    "apps.extraction.client": (
        "abstract_events_batch",
        "abstract_events_batch_stream",
        "answer_question_with_graph",
        "generate_from_patterns",
    ),
    "core": ("Core", "open_core"),
    "errors": ("LLMClientError", "UnspoolError"),
    "flows": ("Context",),
    "flows.kit.functions": ("flow",),
    "generation.client": ("Completion", "LLMClient", "get_llm_client"),
    "journals": ("Journal", "Pen", "open_journal"),
    "providers": ("Limits", "Model", "Prompt"),
    "runs.events": ("Draft", "Event"),
    "runs.run": ("Run", "RunSpec", "fold"),
    "settings": ("Settings",),
    "viewing.cursor": ("follow",),
    "viewing.remote.runs": ("connect",),
    "viewing.remote.blocking": ("connect_blocking",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
