"""
Every error unspool raises, in one tree, sorted by what the caller should do.

* UnspoolError
  + SpecError               fix the request
    - UnknownPlug           no provider, flow, journal or dialect of that name
    - UnknownRun            no run of that id
    - UnknownRecord         no product, model ... of that name
    - BadCursor             an event id that this run never gave out
    - BodyTooLarge          a request body above the limit
    - EmptyInput            the records hold nothing to work on; import some first
    - KeyReused             another request used this Idempotency-Key
    - NotReady              something else must exist first (409)
    - AlreadyRunning        another run does this already; wait for it or cancel it (409)
    - NotWaiting            the run asks no such question, or has its answer (409)
    - MessageBegun          the message has its turn; it cannot be changed any more (409)
    - QueueFull             too many messages wait in the conversation (409)
    - PriceUnknown          a budget cannot cover a model without a price
  + Unauthorized            no key, or one that does not hold (401)
  + MissingRight               the key may not do this (403)
  + BudgetExceeded          a budget has no room; wait for its next window (402)
  + RateLimited             too many requests for a budget; wait (429, Retry-After)
  + TooBusy                 the server is full; send the request again soon (503, Retry-After)
  + Stopping                the server stops; its next start continues the run (503, Retry-After)
  + SetupError              fix the machine or the configuration, then start again
  + JournalError            the log cannot be written or read; viewers saw committed events only
    - JournalFull           no space left; make room
    - StaleEpoch            stop writing: another worker owns this run now
    - KeyTaken              a run exists under this key already; use that one
  + RecordsError            the database cannot be written or read now (503)
  + ProviderError           this model cannot give (more of) this answer
    - ProviderRefused       do not send the same request again (401, 400, unknown model)
      - BudgetSpent         a budget has no room for the request; nothing was sent
    - ProviderUnavailable   no output yet: wait and try again, or try another model
    - ProviderInterrupted   the stream broke; the text so far is good, continue from there
  + InvalidAnswer           the model's answer is whole but does not fit its schema
    - AnswerRefused         the model would not give one
    - AnswerCut             its limit of tokens was reached first
  + Unanswered              nobody has answered a question of the run in its time
  + NothingFound            the model's answer is whole but holds nothing of the kind asked for
  + FewerThanBefore         far fewer results than are stored; a person decides which to keep
  + LLMClientError          `LLMClient` has spent all attempts

`code` is stable and public; the message tells people what happened, why, and what to do next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final


class UnspoolError(Exception):
    """Base of the tree."""

    code: str = "internal"
    http_status: ClassVar[int] = 500


class SpecError(UnspoolError):
    """The request is invalid, or asks for something impossible."""

    code = "invalid_request"
    http_status = 422

    problems: Sequence[Mapping[str, Any]] = ()
    """Fields that do not fit, as pydantic reports them, without their values."""


class UnknownPlug(SpecError):
    """`no provider named 'opnai'; have: anthropic, offline, openai`."""

    code = "unknown_plug"

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"no {kind} named {name!r}; have: {', '.join(known)}")


class UnknownRun(SpecError):
    code = "unknown_run"
    http_status = 404

    def __init__(self, run_id: str) -> None:
        super().__init__(f"no run {run_id!r}; `GET /v1/runs` lists the runs")


class UnknownRecord(SpecError):
    code = "unknown_record"
    http_status = 404


class EmptyInput(SpecError):
    """The request is valid, but there is nothing to work on; its run fails with this error."""

    code = "nothing_to_do"


class BadCursor(SpecError):
    code = "bad_cursor"
    http_status = 400


class BodyTooLarge(SpecError):
    code = "body_too_large"
    http_status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request body has more than {limit} bytes; send less")


class KeyReused(SpecError):
    """
    Attributes:
        run_id: The run of the other request; empty: it has none yet.
        asked: The identity of the other request; see `journals.Claim`.
    """

    code = "key_reused"

    def __init__(self, run_id: str, asked: str = "", *, user: str = "") -> None:
        super().__init__(
            f"another request used this Idempotency-Key ({user or f'run {run_id}'}); send the same "
            "body again to get what it got, or another key for another request"
        )
        self.run_id = run_id
        self.asked = asked


class NotReady(SpecError):
    code = "not_ready"
    http_status = 409


class AlreadyRunning(SpecError):
    """
    Attributes:
        run_id: The run that does it already.
    """

    code = "going_on"
    http_status = 409

    def __init__(self, subject: str, run_id: str) -> None:
        super().__init__(
            f"the run {run_id} is writing {subject} already; follow that run "
            f"(GET /v1/runs/{run_id}/events), or cancel it first"
        )
        self.run_id = run_id


class NotWaiting(SpecError):
    code = "not_waiting"
    http_status = 409


class MessageBegun(SpecError):
    code = "message_begun"
    http_status = 409


class QueueFull(SpecError):
    code = "queue_full"
    http_status = 409


class PriceUnknown(SpecError):
    code = "price_unknown"


class BudgetExceeded(UnspoolError):
    code = "budget_exceeded"
    http_status = 402


class RateLimited(UnspoolError):
    """
    Attributes:
        retry_after_s: Seconds until there may be room.
        most: How much a minute, or at once, is allowed.
    """

    code = "rate_limited"
    http_status = 429

    def __init__(self, message: str, retry_after_s: int, most: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.most = most


class Unauthorized(UnspoolError):
    code = "unauthorized"
    http_status = 401


class MissingRight(UnspoolError):
    code = "forbidden"
    http_status = 403


NOT_ADMITTED: Final = (SpecError, MissingRight, BudgetExceeded)
"""A run that is refused with one of these does not begin, however often it is asked for."""


class TooBusy(UnspoolError):
    code = "too_busy"
    http_status = 503


class Stopping(UnspoolError):
    code = "stopping"
    http_status = 503

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"the server stops before the answer is whole; run {run_id} continues at its next "
            f"start: read it then with GET /v1/runs/{run_id}"
        )


class SetupError(UnspoolError):
    """One clear sentence for the person who starts the program; never a traceback."""

    code = "setup"


class JournalError(UnspoolError):
    code = "journal_unavailable"
    http_status = 503


class JournalFull(JournalError):
    code = "journal_full"
    http_status = 507


class StaleEpoch(JournalError):
    code = "stale_epoch"


class KeyTaken(JournalError):
    """
    A run exists under this key already. Not a failure for the client: its run is `run_id`.

    Attributes:
        run_id: The run under the key.
        request_digest: The digest of its request; see `journals.Claim`.
    """

    code = "key_taken"

    def __init__(self, run_id: str, request_digest: str) -> None:
        super().__init__(f"run {run_id} exists under this key already")
        self.run_id = run_id
        self.request_digest = request_digest


class RecordsError(UnspoolError):
    """The database cannot be used now, because the disk is full, say; try again later."""

    code = "records_unavailable"
    http_status = 503


class ProviderError(UnspoolError):
    """
    One attempt failed.

    Attributes:
        status: HTTP status the provider answered with, if it answered.
        retry_after_s: The wait that the provider asked for, in seconds.
        after: Number of the last event of a stored answer (`providers.Handle`), if any.
        finish_reason: The finish reason of an answer without output, if it gave one.
        param: The parameter that the provider complains of, if it names one.
        turn_state: What the provider wants back with a turn that it paused (`TurnState`).
    """

    code = "provider_failed"
    http_status = 502

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.status = status
        self.retry_after_s = retry_after_s
        self.after: int | None = None
        self.finish_reason: str | None = None
        self.param: str | None = None
        self.turn_state: object = None


TOO_LONG: Final = re.compile(
    r"context[ _-]?(length|window|size)|maximum.{0,20}context|exceed.{0,40}context|"
    r"(prompt|input|request|message)s?\b.{0,30}too (long|large|many tokens)|"
    r"too many (input )?tokens|token (count|limit).{0,40}exceed|range of input length|"
    r"(输入|上下文).{0,10}(过长|超)",
    re.IGNORECASE,
)
"""Words of vendors for a request that is longer than the model can read."""


class ProviderRefused(ProviderError):
    code = "provider_refused"

    @property
    def is_too_long(self) -> bool:
        """Whether the provider says that the request is longer than the model can read."""
        return self.code == "invalid_request" and bool(TOO_LONG.search(str(self)))


class BudgetSpent(ProviderRefused):
    """Nothing was sent: a budget has no room for the estimated cost of one more request."""

    code = "budget"


class ProviderUnavailable(ProviderError):
    code = "provider_unavailable"


class ProviderInterrupted(ProviderError):
    code = "provider_interrupted"


class InvalidAnswer(UnspoolError):
    """The model's second answer does not fit its schema either; ask another model, or for less."""

    code = "answer_unfit"
    http_status = 502


class AnswerRefused(InvalidAnswer):
    """The model would not answer, or its provider withheld the answer."""

    code = "refused"


class AnswerCut(InvalidAnswer):
    """The answer reached its limit of tokens before it fitted."""

    code = "length"


class Unanswered(UnspoolError):
    code = "unanswered"

    def __init__(self, step: str) -> None:
        super().__init__(f"nobody has answered the question {step!r} in its time")


class NothingFound(UnspoolError):
    """Ask again, or ask another model; what is stored stays."""

    code = "nothing_found"
    http_status = 502


class FewerThanBefore(UnspoolError):
    """What is stored stays until somebody accepts the new results."""

    code = "fewer_than_before"
    http_status = 409


class LLMClientError(UnspoolError):
    """
    The model gave no whole answer in any attempt.

    Attributes:
        status: HTTP status of the last answer, if there was one.
        attempts: Number of requests sent.
        text: The text that had arrived, usable as far as it goes.
    """

    code = "llm_failed"

    def __init__(
        self, message: str, *, code: str, status: int | None, attempts: int, text: str
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.attempts = attempts
        self.text = text
