"""
Reads the event lines of a model: `用户ID|事件类型|时间戳|上下文信息`.

Models decorate: bullets, fences, a header, pipes around a table. The reader repairs harmless
decoration. A line that is not an event stays in the text, with a warning that gives the reason.
No text of a model makes the reader raise.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from unspool.flows import Recorder
from unspool.formats.lines import LineBuffer

HEADER: Final = "用户ID|事件类型|时间戳|上下文信息"

EVENT: Final = "event"
"""Kind of the items: `user_id`, `type`, `at` (`YYYY-MM-DD HH:MM:SS`), `context`."""

MAX_TYPE_CHARS: Final = 64
"""Of an event's type; it is a word or two."""

MAX_CONTEXT_CHARS: Final = 500
"""Of its context; a longer one is cut."""

MAX_EVENTS: Final = 5000
"""Of one answer: more than any model writes."""

MAX_WARNED: Final = 20
"""Lines with a warning of their own; more of them usually share one reason."""

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
        raise Decoration("格式标记")
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


class EventReader:
    """
    Records each event when its line ends (`flows.Reader`), and warns of each other line.

    Attributes:
        events: The recorded events.
        left_out: Number of lines that are not events, without the blank ones.
    """

    def __init__(self, ctx: Recorder, users: Collection[str], step: str) -> None:
        self._ctx = ctx
        self._users = users
        self._step = step
        self._lines = LineBuffer()
        self._number = 0
        self._known: set[EventLine] = set()
        self._decorations = 0
        self.events: list[EventLine] = []
        self.left_out = 0

    def feed(self, text: str) -> None:
        for line in self._lines.feed(text):
            self._line(line)

    def end(self) -> None:
        self._line(self._lines.take())
        if self._decorations:
            self._warn(f"{self._decorations} 行是表头、代码块等格式标记，不计为事件")
        if (more := self.left_out - self._decorations - MAX_WARNED) > 0:
            self._warn(f"另有 {more} 行未识别为事件；全文见输出")

    def _line(self, line: str) -> None:
        self._number += 1
        if not line.strip():
            return
        try:
            event = read_line(line, self._users)
            if event in self._known:
                raise NoEvent("重复")
            if len(self.events) >= MAX_EVENTS:
                raise NoEvent("事件过多")
        except Decoration:
            self.left_out += 1
            self._decorations += 1
        except NoEvent as error:
            self.left_out += 1
            if self.left_out - self._decorations <= MAX_WARNED:
                shown = line.strip()[:SHOWN_CHARS]
                self._warn(f"第 {self._number} 行未识别为事件（{error}）：{shown}")
        else:
            self._known.add(event)
            self.events.append(event)
            self._ctx.found(EVENT, event.facts(), step=self._step)

    def _warn(self, message: str) -> None:
        self._ctx.warn(message, step=self._step, code="unread_line")
