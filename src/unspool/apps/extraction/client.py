"""
Events, causal graphs and answers from them without a run, for programs of your own (S3).

    events = await abstract_events_batch({"user_0007": behaviors})
    graph = await generate_from_patterns(patterns)
    answer = await answer_question_with_graph("为什么收藏后没有购买？", graph)

The prompts and readers are those of the flows `extraction`, `causal_graph` and `graph_question`;
nothing is stored. All functions stream inside; those that return a whole answer fold the stream.
Each raises `LLMClientError` if no model could finish.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from unspool.flows import Reader, Recorder
from unspool.generation.client import LLMClient, get_llm_client

from .event_checks import Grounds, known_from
from .event_lines import EventReader, KnownPerson
from .event_prompts import SYSTEM, events_prompt
from .graph_checks import patterns_of
from .graph_facts import facts_of
from .graph_prompts import (
    ANSWER_SYSTEM,
    GRAPH_SYSTEM,
    answer_prompt,
    declined,
    graph_prompt,
    ids_in,
)
from .graph_reading import CitationReader, GraphReader
from .graph_retrieval import retrieve

log = logging.getLogger(__name__)

StreamCallback = Callable[[str], Awaitable[object]]
"""Awaited with each piece of the answer as it comes."""

Behaviors = Mapping[str, Sequence[Mapping[str, Any]]]
"""The behaviours of each user, oldest first. Any keys; a prompt starts with `at` and `action`."""

Profiles = Mapping[str, Mapping[str, Any]]


class _Log(Recorder):
    """Sends warnings to the program's log, because there is no run."""

    def found(self, kind: str, item: Mapping[str, Any], *, step: str = "") -> None:
        pass  # the readers hold their items

    def warn(self, message: str, **facts: Any) -> None:
        log.warning("%s", message)


async def abstract_events_batch_stream(
    user_behaviors: Behaviors,
    user_profiles: Profiles | None = None,
    stream_callback: StreamCallback | None = None,
    *,
    client: LLMClient | None = None,
) -> AsyncGenerator[str]:
    """Yield the event lines of these users, piece by piece as the model writes them."""
    prompt = events_prompt(user_behaviors, user_profiles)
    answer = (client or get_llm_client()).stream_chat(prompt, system=SYSTEM)
    async with aclosing(answer) as chunks:
        async for chunk in chunks:
            if stream_callback is not None:
                await stream_callback(chunk)
            yield chunk


async def abstract_events_batch(
    user_behaviors: Behaviors,
    user_profiles: Profiles | None = None,
    stream_callback: StreamCallback | None = None,
    *,
    client: LLMClient | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """
    Return the events of each user: `user_id`, `type`, `at` (`YYYY-MM-DD HH:MM:SS`), `context`.

    The log gets warnings of lines that are not events, or that no behaviour of the user grounds.
    """
    people = {
        user_id: KnownPerson(user_id, Grounds(known_from(behaviors)))
        for user_id, behaviors in user_behaviors.items()
    }
    reader = EventReader(_Log(), people, "events")
    answer = abstract_events_batch_stream(
        user_behaviors, user_profiles, stream_callback, client=client
    )
    await _read(answer, reader, None)
    events: dict[str, list[dict[str, Any]]] = {user_id: [] for user_id in user_behaviors}
    for event in reader.events:
        events[event.user_id].append(event.facts())
    return events


async def generate_from_patterns(
    patterns: Sequence[Mapping[str, Any]],
    stream_callback: StreamCallback | None = None,
    *,
    client: LLMClient | None = None,
) -> dict[str, list[Any]]:
    """
    Return a graph (`nodes`, `edges`, `insights`) drawn from frequent patterns.

    A pattern has `events`, `support` and `confidence` (0 to 1), like those of
    `GET /api/v1/patterns`. Names and relations that are in no pattern are left out, with a
    warning in the log. The graph of a broken answer has its readable parts.
    """
    facts = facts_of(patterns)
    reader = GraphReader(_Log(), "graph", facts)
    answer = (client or get_llm_client()).stream_chat(
        graph_prompt(facts), system=GRAPH_SYSTEM, is_bound=True
    )
    await _read(answer, reader, stream_callback)
    return {
        "nodes": list(reader.nodes.values()),
        "edges": reader.edges,
        "insights": reader.insights,
    }


async def answer_question_with_graph(
    question: str,
    graph: Mapping[str, Any],
    stream_callback: StreamCallback | None = None,
    *,
    client: LLMClient | None = None,
) -> dict[str, Any]:
    """
    Return the `answer` to a question over a graph, the `nodes` (ids) it names, and `is_answered`.

    The words of the question choose the parts that the model sees. If there are none, the answer
    says so, without a model.
    """
    chosen = retrieve(question, graph)
    if chosen.is_empty:
        return {"answer": declined(chosen.unknown), "nodes": [], "is_answered": False}
    parts = chosen.parts()
    reader = CitationReader(_Log(), "answer", ids_in(chosen.nodes), patterns_of(parts))
    answer = (client or get_llm_client()).stream_chat(
        answer_prompt(question, parts, chosen.unknown), system=ANSWER_SYSTEM
    )
    text = await _read(answer, reader, stream_callback)
    return {"answer": text, "nodes": reader.cited, "is_answered": reader.is_answered}


async def _read(
    answer: AsyncGenerator[str], reader: Reader, stream_callback: StreamCallback | None
) -> str:
    parts: list[str] = []
    async with aclosing(answer) as chunks:
        async for chunk in chunks:
            parts.append(chunk)
            reader.feed(chunk)
            if stream_callback is not None:
                await stream_callback(chunk)
    reader.end()
    return "".join(parts)
