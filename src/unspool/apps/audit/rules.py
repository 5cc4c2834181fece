"""
Rules: which calls ask a model, and which of them stream.

The end of a callee names its API (`chat.completions.create`); some APIs count only in files that
import their library. Each rule says what the API does by default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from .reasons import Reason
from .sites import AuditFinding, Site, Told, Verdict


@dataclass(frozen=True, slots=True)
class _Api:
    ends: tuple[str, ...]
    """Of the callee."""
    default: Verdict | None
    """The default; None: the call's own words do not count, see `always`."""
    always: Verdict | None = None
    needs: str = ""
    """Beginning of a module that the file imports; empty: the name alone is enough."""


def _apis(text: str, always: Verdict | None = None, needs: str = "") -> list[_Api]:
    default: Verdict = "not_streaming"
    return [_Api(tuple(name.split(".")), default, always, needs) for name in text.split()]


APIS: Final[tuple[_Api, ...]] = (
    # OpenAI and what speaks like it, Anthropic: Python and JavaScript are alike.
    *_apis("chat.completions.create completions.create responses.create messages.create"),
    *_apis("chat.completions.stream responses.stream messages.stream", "streaming"),
    *_apis("chat.completions.parse responses.parse", "not_streaming"),
    *_apis("ChatCompletion.create ChatCompletion.acreate Completion.create", needs="openai"),
    # LiteLLM
    *_apis("completion acompletion text_completion atext_completion responses", needs="litellm"),
    # DashScope
    *_apis("Generation.call MultiModalConversation.call AioGeneration.call", needs="dashscope"),
    # Ollama
    *_apis("chat generate", needs="ollama"),
    # LangChain
    *_apis("stream astream astream_events astream_log", "streaming", needs="langchain"),
    *_apis("invoke ainvoke predict apredict batch abatch", "not_streaming", needs="langchain"),
    # Vercel's AI SDK
    *_apis("streamText streamObject streamUI", "streaming", needs="ai"),
    *_apis("generateText generateObject", "not_streaming", needs="ai"),
    # Ours: answers that are not streamed are a fold of the stream.
    *_apis("stream_chat stream complete", "streaming", needs="unspool"),
    *_apis("openRun createStageStreamClient extractEventsForUserStream", "streaming"),
    *_apis("ctx.generate ctx.structured", "streaming"),
)

_LANGCHAIN_MODELS: Final = re.compile(r"^(Chat[A-Z]\w*|\w*LLM|LLMChain|\w+Chain|init_chat_model)$")
"""Constructors in LangChain of objects that ask a model: retrievers have `invoke` too."""

_LLM_NAMES: Final = re.compile(r"llm|model|chain|chat", re.IGNORECASE)
"""Names of such objects, if we cannot follow their construction."""

_OLLAMA: Final = re.compile(r"ollama|client", re.IGNORECASE)

_RAW: Final = re.compile(r"/chat/completions|/v1/messages|/v1/responses|/api/(chat|generate)\b")
"""Addresses of models, for posts without a library."""

_BODY: Final = ({"model", "messages"}, {"messages", "stream"}, {"model", "prompt", "stream"})
"""Keys of a body that asks a model, for posts to an address that we cannot follow."""

_ASKING: Final = re.compile(r"chat|completion|llm|call_model|ask_model", re.IGNORECASE)
"""Functions from elsewhere that ask a model, if they are called with `stream`."""

_COMMON: Final = frozenset({"run", "call", "execute", "get", "main", "parse", "send", "start"})
"""Names that mean something else in another file."""

_POSTS: Final = frozenset({"post", "request", "stream", "fetch", "axios", "ofetch"})

_REASONS: Final[dict[Told, Reason]] = {
    "yes": "stream_true",
    "no": "stream_false",
    "absent": "stream_absent",
    "unknown": "stream_unknown",
    "parameter": "stream_parameter",
}


def judged(sites: Iterable[Site]) -> Iterator[AuditFinding]:
    """Return the calls to models among all calls of a tree."""
    listed = list(sites)
    asking = [(site, api) for site in listed if (api := _api_of(site)) is not None]
    wrappers = _wrappers(listed, asking)
    homes = {(s.file, s.function[0]) for s in listed if s.function and s.default != "absent"}
    calls = [site for site in listed if _is_wrapped(site, wrappers, homes)]
    called = {site.callee[-1] for site in calls}
    inner = _inner(listed, called)
    coroutines = {site.function[0] for site in listed if site.function and site.in_coroutine}
    for site, api in asking:
        is_inner = any(name in called or name in inner for name in site.function)
        if not (is_inner and site.callee[-1] not in called):
            yield _found(site, api)
    for site in listed:
        name = site.callee[-1]
        if name in wrappers and not _is_wrapped(site, wrappers, homes):
            continue
        if name in called and not any(f in called or f in inner for f in site.function):
            told = wrappers[name] if site.stream == "absent" else site.stream
            if site.is_iterated and name in coroutines:
                yield _at(site, "not_awaited", "not_awaited", name)
            else:
                yield _finding(site, told, "not_streaming", name)
        elif name not in wrappers and _is_foreign(site):
            yield _finding(site, site.stream, "cannot_tell", "")


def _is_wrapped(site: Site, wrappers: dict[str, Told], homes: set[tuple[str, str]]) -> bool:
    """Whether it calls a function of the tree that passes the call on; a common name is local."""
    name = site.callee[-1]
    return name in wrappers and (name not in _COMMON or (site.file, name) in homes)


def _api_of(site: Site) -> _Api | None:
    if _is_raw(site):
        return _Api(site.callee, "not_streaming")
    own = (site.aliases.get(site.callee[0], site.callee[0]), *site.callee[1:])
    for api in APIS:
        if own[-len(api.ends) :] == api.ends and _is_met(api, site, own):
            return api
    return None


def _is_raw(site: Site) -> bool:
    is_post = site.callee[-1] in _POSTS or site.callee[-1].startswith("post")
    return is_post and (bool(_RAW.search(site.url)) or any(keys <= site.body for keys in _BODY))


def _is_foreign(site: Site) -> bool:
    """Whether it calls a function from elsewhere that asks a model and is told to stream or not."""
    is_told = site.stream in {"yes", "no"}
    return is_told and _api_of(site) is None and bool(_ASKING.search(site.callee[-1]))


def _is_met(api: _Api, site: Site, own: tuple[str, ...]) -> bool:
    """Whether the file imports the library, and the callee belongs to it and not only by name."""
    if not api.needs:
        return True
    if not any(
        each == api.needs
        or each.startswith((f"{api.needs}.", f"{api.needs}_", f"{api.needs}/", f"@{api.needs}"))
        for each in site.imports
    ):
        return False
    receiver = own[-2] if len(own) > len(api.ends) else ""
    if api.needs == "langchain":
        maker = site.made_by[-1] if site.made_by else ""
        return bool(_LANGCHAIN_MODELS.match(maker) or (not maker and _LLM_NAMES.search(receiver)))
    if api.needs in {"ollama", "unspool"}:
        is_bare = len(own) == 1 and own[0] in site.aliases.values()
        made = site.made_by[-1] if site.made_by else ""
        is_client = made in {"Client", "AsyncClient", "Ollama", "LLMClient", "get_llm_client"}
        return is_bare or is_client or (not made and bool(_OLLAMA.search(receiver)))
    return True


def _wrappers(listed: list[Site], asking: list[tuple[Site, _Api]]) -> dict[str, Told]:
    """
    Functions that pass their parameter `stream` on to a model, and its default.

    Directly, or by choosing between functions of their own that ask one.
    """
    found: dict[str, Told] = {}
    helpers = {site.function[0] for site, _ in asking if site.function}
    for site, _ in asking:
        if site.stream == "parameter" and site.function:
            found[site.function[0]] = site.default
    for site in listed:
        if site.function and site.default != "absent" and site.callee[-1] in helpers:
            found.setdefault(site.function[0], site.default)
    return found


def _inner(listed: list[Site], wrappers: set[str]) -> set[str]:
    """Functions that wrappers call: we report their requests at the calls of the wrappers."""
    return {
        site.callee[-1]
        for site in listed
        if site.function and site.function[0] in wrappers and site.default != "absent"
    }


def _found(site: Site, api: _Api) -> AuditFinding:
    if api.always is not None:
        is_made = api.needs == "langchain" and site.made_streaming
        verdict: Verdict = "streaming" if is_made else api.always
        reason: Reason = "waits" if verdict == "not_streaming" else "streams"
        return _at(site, verdict, "made_streaming" if is_made else reason)
    assert api.default is not None
    return _finding(site, site.stream, api.default, "")


def _finding(site: Site, told: Told, default: Verdict, through: str) -> AuditFinding:
    verdicts: dict[Told, Verdict] = {"yes": "streaming", "no": "not_streaming", "absent": default}
    verdict = verdicts.get(told, "cannot_tell")
    return _at(site, verdict, _REASONS[told], through)


def _at(site: Site, verdict: Verdict, reason: Reason, through: str = "") -> AuditFinding:
    callee = ".".join(site.callee)
    return AuditFinding(site.file, site.line, site.column, callee, verdict, reason, through)
