"""
Plans how to continue a broken text: the ladder.

* resume: the provider paused its turn, and goes on when it gets the turn back as it is.
* reattach: the provider still has the answer and sends the rest. We lose no text and pay once.
* prefill: the model gets its own text as the beginning of its answer, in each form that its vendor,
  its engine or its record speaks for (`models.prefills`).
* instruct: a message asks the model to continue, beginning with the last words (`seam`).

A text of lines continues after its last whole line, if viewers can take half a line back: models
begin lines well, and finish half of one badly.

If no rung fits, `generate` takes the text back and starts over, where the dialect allows that;
else the run ends incomplete. For a half tool call only `reattach` fits. `instruct` does not fit
constrained JSON, nor an answer that may still become a tool call: the model would write prose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from ..formats.tokens import estimate_tokens
from ..models.prefills import Prefills, Trust
from ..providers import Handle, Model, Prompt, TurnState
from ..providers.upstream.engines import can_render
from ..providers.upstream.turn_states import deployment_of
from ..runs.run import cut
from .seam import Seam, anchor_of
from .weights import weight

Strategy = Literal["first", "retry", "next", "resume", "reattach", "prefill", "instruct", "restart"]
"""Why we send a request, and how. `next`: to another model, before any text arrived."""

LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""Parameters that bound an answer; the text so far already counts towards them."""

MAX_LINE_CHARS: Final = 500
"""Characters of the last line that a model gets: its end is enough."""

CONSTRAINTS: Final = ("format", "guided_json", "guided_regex", "guided_grammar", "grammar")
"""Parameters that constrain the form of an answer, beside `response_format`."""

INSTRUCT_EN: Final = (
    "Your last message was cut off in the middle. Go on with it from exactly where it stopped, "
    "as one text.{anchor} Do not repeat anything earlier, do not start over, do not explain."
)
ANCHOR_EN: Final = ' Begin by repeating its last words exactly: "{words}", and write on from there.'
INSTRUCT_ZH: Final = (
    "你的上一条回答在中途断开了。请从断开的地方接着写完，使前后连成一篇。{anchor}"
    "不要重复更早的内容，不要重新开头，也不要解释。"
)
LINES_EN: Final = (
    "Your last message was cut off. The last line that you finished is: {line}\n"
    "Go on with the line after it, in the same form. Do not repeat lines that are written, do "
    "not start over, do not explain."
)
LINES_ZH: Final = (
    "你的上一条回答中途断开了，最后写完的一行是：{line}\n"
    "请从它的下一行接着写，格式不变。不要重复已经写好的行，不要重新开头，也不要解释。"
)
ANCHOR_ZH: Final = "请先一字不差地重复它结尾的这几个字：“{words}”，然后紧接着往下写。"


@dataclass(frozen=True, slots=True)
class RetainedAnswer:
    """An answer that its provider keeps, and how much of it arrived."""

    model: str
    id: str
    after: int | None
    prompt: Prompt
    """The prompt it answers."""
    text: str
    thoughts: int = 0
    """Characters of its reasoning that arrived."""
    fragments: int = 0
    """Fragments of its tool calls that arrived."""


@dataclass(slots=True)
class PartialText:
    """The text so far, over all attempts."""

    parts: list[str] = field(default_factory=list)
    has_call: bool = False
    """A fragment of a tool call arrived."""
    retained: RetainedAnswer | None = None
    """The last broken answer, if its provider keeps it."""
    paused: list[Mapping[str, Any]] = field(default_factory=list)
    """Messages of a turn that its provider paused: it goes on when they come back."""
    spent: set[tuple[str, str]] = field(default_factory=set)
    """Rungs that proved useless for a model: `instruct`, and forms of prefill."""
    has_ended_early: bool = False
    """An instructed model ended it with a few words; the next such end counts."""
    is_spoiled: bool = False
    """Its end is no text for a reader, who has read it: nothing continues it."""
    by_lines: bool = False
    """It consists of lines, and viewers can take half a line back."""
    can_rewind: bool = False
    """Viewers can take text back."""
    can_cut: bool = False
    """Viewers can take back the end of it, wherever that begins."""
    loops: list[tuple[int, int]] = field(default_factory=list)
    """Where a model repeated itself: viewers saw these characters, but no model continues them."""

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def base(self) -> str:
        """The part that stays when a model continues the text."""
        text = self.text
        return text[: text.rfind("\n") + 1] if self.by_lines else text

    @property
    def told(self) -> str:
        """The part that a model gets to continue: `base` without loops."""
        text = self.base
        for begin, end in reversed(self.loops):
            text = text[:begin] + text[end:]
        return text

    @property
    def has_written(self) -> bool:
        """Whether there is a text or a call to continue."""
        return self.has_call or bool(self.base)

    def restart(self) -> None:
        """Take all of it back."""
        self.parts.clear()
        self.has_call, self.retained, self.is_spoiled = False, None, False
        self.has_ended_early = False
        self.spent.clear()
        self.paused.clear()
        self.loops.clear()

    def leave_loop(self, begin: int, again: int) -> int:
        """Note that the text repeats itself from `begin` on; return where the good part ends."""
        base, told = self.base, self.told
        if self.by_lines:
            again = base.rfind("\n", 0, again) + 1
        good, period = told[: len(told) - (len(base) - again)], again - begin
        if good[-period:] == good[-2 * period : -period]:
            again = begin  # a continuation only went on with the loop
        if not (self.by_lines or self.loops):  # it may have begun before, and in mid-part
            while again > period and base[again - 1] == base[again - 1 - period]:
                again -= 1
        if 0 < again < len(base):
            self.loops.append((again, len(base)))
        return again

    def pause(self, text: str, state: TurnState) -> None:
        """Note that the provider paused its turn behind `text`, its own since the last pause."""
        kept = {"by": state.by, "data": state.data}
        self.paused.append({"role": "assistant", "content": text, "turn_state": kept})

    def take_back_half(self) -> bool:
        """Drop the half line at the end; return whether there was one."""
        base, length = self.base, len(self.text)
        if len(base) < length:
            cut(self.parts, len(base))
        return len(base) < length


@dataclass(frozen=True, slots=True)
class Way:
    """How a model gets the text as the beginning of its answer."""

    form: str
    """One of `vendors.PREFILLS`."""
    trust: Trust
    """How far the seam believes that the model goes on from it."""


@dataclass(frozen=True, slots=True, eq=False)
class ContinuationPlan:
    """One request: its strategy, its prompt, and the seam for its text."""

    strategy: Strategy
    prompt: Prompt
    seam: Seam
    way: Way | None = None
    """Of a prefill."""
    thoughts_again: int = 0
    """Characters of reasoning that will arrive again, after we passed them on."""
    fragments_again: int = 0
    """Fragments of tool calls, likewise."""

    @property
    def rung(self) -> str:
        """What `PartialText.spent` calls it."""
        return self.way.form if self.way else self.strategy


def continuation_plan(
    model: Model, prompt: Prompt, so_far: PartialText, prefills: Prefills, engine: str = ""
) -> ContinuationPlan | None:
    """
    Return the plan for the highest rung on which `model` can continue; None if none fits.

    `engine`: the name of the engine that serves it, if it gave one.
    """

    def is_open(rung: str) -> bool:
        return (model.name, rung) not in so_far.spent

    retained = so_far.retained
    if retained is not None and retained.model == model.name:
        # We assemble a call from its first fragment on, so we read it again from there.
        after = None if so_far.has_call else retained.after
        held = replace(retained.prompt, handle=Handle(retained.id, after), prefix=retained.text)
        if after is not None:
            return ContinuationPlan("reattach", held, Seam(""))
        # The seam leaves out the text that is there already, and this with it.
        thoughts = 0 if retained.text else retained.thoughts
        return ContinuationPlan(
            "reattach",
            held,
            Seam(""),
            thoughts_again=thoughts,
            fragments_again=retained.fragments,
        )
    text, by_lines = so_far.told, so_far.by_lines
    if so_far.has_call or so_far.is_spoiled or not text:
        return None
    rest = replace(prompt, params=_rest_of(prompt.params, text))
    for form in prefills.forms(model, engine):
        if is_open(form) and (form != "raw" or _can_be_raw(prompt)):
            trust = prefills.trust(model, form)
            seam = Seam(text, trust=trust, by_lines=by_lines)
            return ContinuationPlan("prefill", replace(rest, prefix=text), seam, Way(form, trust))
    if is_open("instruct") and not (_may_call(prompt) or is_constrained(prompt)):
        anchor = "" if by_lines else anchor_of(text)
        words = _lines_on(text) if by_lines else _instruction(text, anchor)
        facts = {"role": "user", "content": words}
        messages = (*prompt.messages, {"role": "assistant", "content": text}, facts)
        told = "" if by_lines else words.replace(anchor, "") if anchor else words
        is_new = not prefills.is_recorded
        seam = Seam(text, anchor=anchor, instruction=told, by_lines=by_lines, is_guarded=is_new)
        return ContinuationPlan("instruct", replace(rest, messages=messages), seam)
    return None


def _can_be_raw(prompt: Prompt) -> bool:
    return can_render(prompt) and not is_constrained(prompt)


def resume_plan(model: Model, prompt: Prompt, so_far: PartialText) -> ContinuationPlan | None:
    """Return the plan for a turn that `model` paused; None if there is none."""
    if not so_far.paused or so_far.paused[-1]["turn_state"]["by"] != deployment_of(model):
        return None
    again = replace(prompt, messages=(*prompt.messages, *so_far.paused))
    return ContinuationPlan("resume", again, Seam(""))


def _instruction(text: str, anchor: str) -> str:
    """Use the language of the text: an instruction in another one changes the answer."""
    is_wide = weight(text) > 1.5 * sum(c.isalnum() for c in text)
    instruction, ask = (INSTRUCT_ZH, ANCHOR_ZH) if is_wide else (INSTRUCT_EN, ANCHOR_EN)
    return instruction.format(anchor=ask.format(words=anchor) if anchor else "")


def _lines_on(text: str) -> str:
    """Lines are data, partly numbers and names: any wide character makes them Chinese."""
    line = text.rstrip("\n").rpartition("\n")[2][-MAX_LINE_CHARS:]
    has_wide = weight(line) > sum(c.isalnum() for c in line)
    return (LINES_ZH if has_wide else LINES_EN).format(line=line)


def _rest_of(params: Mapping[str, Any], text: str) -> dict[str, Any]:
    written = estimate_tokens(text)
    return {
        name: max(1, value - written) if name in LIMITS and isinstance(value, int) else value
        for name, value in params.items()
    }


def _may_call(prompt: Prompt) -> bool:
    return bool(prompt.tools) and prompt.params.get("tool_choice") != "none"


def is_constrained(prompt: Prompt) -> bool:
    """Whether the answer is bound to a form that is no prose."""
    params = prompt.params
    form = params.get("response_format")
    is_text = form is None or (isinstance(form, Mapping) and form.get("type") == "text")
    return prompt.is_bound or not is_text or any(params.get(name) for name in CONSTRAINTS)
