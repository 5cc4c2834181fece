"""
Reads the event lines of a model: `用户ID|事件类型|时间戳|上下文信息`.

Models decorate: bullets, fences, a header, pipes around a table. The reader repairs harmless
decoration. A line that is not an event stays in the text; a warning gives the reason.
No text of a model makes the reader raise.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from unspool.flows import Recorder
from unspool.flows.kit.grounding import CODE, MAX_FINDINGS, report
from unspool.formats.lines import LineBuffer

from .event_checks import Grounds

HEADER: Final = "用户ID|事件类型|时间戳|上下文信息"

EVENT: Final = "event"
"""Kind of the items: `user_id`, `type`, `at` (`YYYY-MM-DD HH:MM:SS`), `context`."""

MAX_TYPE_CHARS: Final = 64
"""Of an event's type; it is a word or two."""

MAX_CONTEXT_CHARS: Final = 500
"""Of its context; a longer one is cut."""

MAX_EVENTS: Final = 5000
"""Of one answer: more than any model writes."""

DECORATION: Final = "格式标记"
"""The reason of a fence, a header or a ruler."""

SHOWN_CHARS: Final = 120
"""Of a line in a warning; the whole one is in the text."""

YEARS: Final = range(1970, 2201)

_BULLET: Final = re.compile(r"^(?:[-*•·–—>]+|\d{1,4}[.)、．）])\s+")
_MOMENT: Final = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[T\s]+(\d{1,2})[::时](\d{1,2})分?"
    r"(?:[::]?(\d{1,2})秒?(?:\.\d+)?)?)?(?:Z|\+00:00)?"
)
_RULER: Final = re.compile(r"[\s|:=+\-—]+")
_FORM: Final = frozenset({"用户ID", "用户id", "user_id", "userid", "user id"})


@dataclass(frozen=True, slots=True)
class EventLine:
    user_id: str
    type: str
    at: str
    context: str

    def facts(self) -> dict[str, Any]:
        """Return the event as an item."""
        return {
            "user_id": self.user_id,
            "type": self.type,
            "at": self.at,
            "context": self.context,
        }


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """A person whose events are read: the true id, and what grounds an event."""

    user_id: str
    grounds: Grounds


class Decoration(ValueError):
    """A fence, a header or a ruler: it holds no data to lose."""


class NoEvent(ValueError):
    """The line is not an event; the message gives people the reason."""


def read_line(line: str, users: Collection[str]) -> EventLine:
    """
    Read one line that is not blank.

    Raises:
        Decoration, NoEvent: It is not an event of these users.
    """
    bare = _BULLET.sub("", line.strip().replace("｜", "|")).strip("`*").strip()
    if not bare or line.strip().startswith("```") or _RULER.fullmatch(bare):
        raise Decoration(DECORATION)
    if bare.startswith("|"):
        bare = bare.strip("|")
    fields = [field.strip(" \t`*\"'") for field in bare.split("|", 3)]
    if fields[0] in _FORM and len(fields) > 1:
        raise Decoration("表头")
    if len(fields) < 3:
        raise NoEvent("字段不足")
    user_id, kind, when, *context = fields
    if user_id not in users:
        raise NoEvent("用户不符")
    if not kind or len(kind) > MAX_TYPE_CHARS:
        raise NoEvent("事件类型为空或过长")
    return EventLine(user_id, kind, _moment(when), "".join(context)[:MAX_CONTEXT_CHARS])


def _moment(text: str) -> str:
    found = _MOMENT.fullmatch(unicodedata.normalize("NFKC", text).strip())
    if found is None:
        raise NoEvent("时间无法识别")
    try:
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise NoEvent("没有这个时间") from None
    if moment.year not in YEARS:
        raise NoEvent("时间超出范围")
    return f"{moment:%Y-%m-%d %H:%M:%S}"


MAX_IDLE_LINES: Final = 20
"""Lines in a row without a new event, after some, until a model is stopped: it repeats itself."""


class EventReader:
    """
    Records each event when its line ends (`flows.Reader`).

    A line that is no event gets a warning, the first one for each reason, and a number at the
    end. An event that nothing grounds is a finding (`event_checks`) and is not recorded.

    Attributes:
        people: The people by the names that the lines have.
        grounds: What grounds the next events of each of them.
        known: The events read so far, whether recorded or not.
        events: The recorded events, with those of the readers before.
        left_out: Number of lines that are not events, without the blank ones.
        ungrounded: Number of events that nothing grounds.
    """

    def __init__(
        self,
        ctx: Recorder,
        people: Mapping[str, KnownPerson],
        step: str,
        *,
        before: EventReader | None = None,
        max_lines: int = MAX_EVENTS,
        enough: Callable[[], object] = lambda: None,
    ) -> None:
        """
        Read the lines of `people`, each by the name that the lines have.

        The events of the reader `before` are not told again. After `max_lines` it says `enough`.
        """
        self._ctx = ctx
        self.people = people
        self._step = step
        self._lines = LineBuffer()
        self._number = self._idle = 0
        self._max_lines = max_lines
        self._enough = enough
        self._reasons: Counter[str] = Counter()
        self._findings: Counter[str] = Counter()
        self._quoted: set[str] = set()
        self.grounds: dict[str, Grounds] = {}
        self.known: set[EventLine] = set()
        self.events: list[EventLine] = []
        self.left_out = self.ungrounded = 0
        self._start(before)

    def _start(self, before: EventReader | None) -> None:
        # Copies, because a reader that begins anew starts from the same state.
        if before is None:
            self.grounds = {name: one.grounds.copy() for name, one in self.people.items()}
            return
        self.grounds = {name: grounds.copy() for name, grounds in before.grounds.items()}
        self.known, self.events = set(before.known), list(before.events)
        self.left_out, self.ungrounded = before.left_out, before.ungrounded

    def feed(self, text: str) -> None:
        for line in self._lines.feed(text):
            self._line(line)

    def end(self) -> None:
        self._line(self._lines.take())
        for reason, count in self._reasons.items():
            if reason == DECORATION:
                self._warn(f"{count} 行是表头、代码块等格式标记，不计为事件", count)
            elif count > 1:
                self._warn(f"另有 {count - 1} 行未识别为事件（{reason}）；全文见输出", count - 1)
        if (more := self._findings.total() - len(self._quoted)) > 0:
            message = f"另有 {more} 行与行为不符，不计为事件"
            self._ctx.warn(message, step=self._step, code=CODE, kind="more", count=more)

    def _line(self, line: str) -> None:
        self._number += 1
        if not line.strip():
            return
        before = len(self.events)
        try:
            event = read_line(line, self.people)
            if event in self.known:
                raise NoEvent("重复")
            if len(self.events) >= MAX_EVENTS:
                raise NoEvent("事件过多")
        except Decoration:
            self.left_out += 1
            self._reasons[DECORATION] += 1
        except NoEvent as error:
            self.left_out += 1
            self._reasons[str(error)] += 1
            if self._reasons[str(error)] == 1:
                shown = line.strip()[:SHOWN_CHARS]
                self._warn(f"第 {self._number} 行未识别为事件（{error}）：{shown}", 1)
        else:
            self._judge(event, line.strip())
        self._idle = 0 if len(self.events) > before else self._idle + 1
        is_idle = self._idle == MAX_IDLE_LINES and self.events
        if self._number == self._max_lines or is_idle:
            self._enough()

    def _judge(self, event: EventLine, line: str) -> None:
        self.known.add(event)
        findings = self.grounds[event.user_id].check(line, event.type, event.at)
        if findings:
            self.ungrounded += 1
            self._findings[findings[0].kind] += 1
            if len(self._quoted) < MAX_FINDINGS:
                self._quoted.add(line)
                report(self._ctx, findings[:1], step=self._step)
            return
        event = replace(event, user_id=self.people[event.user_id].user_id)
        self.events.append(event)
        self._ctx.found(EVENT, event.facts(), step=self._step)

    def _warn(self, message: str, count: int) -> None:
        self._ctx.warn(message, step=self._step, code="unread_line", count=count)
