"""
Every error unspool raises, in one tree, sorted by what the caller should do.

* UnspoolError
  + SpecError               fix the request
    - UnknownPlug           no provider, flow, journal or dialect of that name
    - UnknownRun            no run of that id
    - UnknownRecord         no product, model ... of that name
    - BadCursor             an event id that this run never gave out
    - BodyTooLarge          a request body above the limit
    - EmptyInput            there is nothing in our records to work on; bring some
    - KeyReused             another request was sent under this Idempotency-Key
    - NotReady              something must be there first (409)
    - AlreadyRunning        a run is at it already; wait for it or stop it (409)
  + TooBusy                 the same request may be right in a moment (503, Retry-After)
  + Stopping                the server stops; the run goes on at the next one (503, Retry-After)
  + SetupError              fix the machine or the configuration, then start again
  + JournalError            the log cannot be written or read; nothing was shown that is not kept
    - JournalFull           no space left; make room
    - StaleEpoch            stop writing: another worker owns this run now
    - KeyTaken              a run was asked for under this key already; it is that one
  + RecordsError            the database cannot be written or read now (503)
  + ProviderError           this model cannot give (more of) this answer
    - ProviderRefused       do not send the same request again (401, 400, unknown model)
    - ProviderUnavailable   nothing has been written: wait and try again, or try another model
    - ProviderInterrupted   the stream broke; the text so far is good, go on from there
  + InvalidAnswer           the model's answer is whole and does not fit its schema
  + LLMClientError          what `LLMClient` raises when all attempts are spent

`code` is stable and public, the message is for people: what happened, why, what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class UnspoolError(Exception):
    """Base of the tree."""

    code: str = "internal"
    http_status: ClassVar[int] = 500


class SpecError(UnspoolError):
    """The request asks for something that cannot be done."""

    code = "invalid_request"
    http_status = 422


class UnknownPlug(SpecError):
    """`no provider named 'opnai'; have: anthropic, offline, openai`."""

    code = "unknown_plug"

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"no {kind} named {name!r}; have: {', '.join(known)}")


class UnknownRun(SpecError):
    code = "unknown_run"
    http_status = 404

    def __init__(self, run_id: str) -> None:
        super().__init__(f"no run {run_id!r}; `GET /v1/runs` lists those there are")


class UnknownRecord(SpecError):
    code = "unknown_record"
    http_status = 404


class EmptyInput(SpecError):
    """The request is right, and there is nothing to work on; a run of it fails with this."""

    code = "nothing_to_do"


class BadCursor(SpecError):
    code = "bad_cursor"
    http_status = 400


class BodyTooLarge(SpecError):
    code = "body_too_large"
    http_status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"a request body may have {limit} bytes; send less")


class KeyReused(SpecError):
    code = "key_reused"

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"another request was sent under this Idempotency-Key (run {run_id}); send the same "
            "body again to get that run, or another key for another run"
        )
        self.run_id = run_id


class NotReady(SpecError):
    code = "not_ready"
    http_status = 409


class AlreadyRunning(SpecError):
    """
    Attributes:
        run_id: The run that is at it.
    """

    code = "going_on"
    http_status = 409

    def __init__(self, what: str, run_id: str) -> None:
        super().__init__(
            f"{what} is being written by the run {run_id}; follow that one "
            f"(GET /v1/runs/{run_id}/events), or stop it first"
        )
        self.run_id = run_id


class TooBusy(UnspoolError):
    code = "too_busy"
    http_status = 503


class Stopping(UnspoolError):
    code = "stopping"
    http_status = 503

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"the server stops before the answer is whole; run {run_id} goes on at the next one: "
            f"read it there with GET /v1/runs/{run_id}"
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
    Not a failure for the client: its run is `run_id`.

    Attributes:
        run_id: The run with this key.
        request_digest: The digest of its request; see `journals.Claim`.
    """

    code = "key_taken"

    def __init__(self, run_id: str, request_digest: str) -> None:
        super().__init__(f"run {run_id} has this key already")
        self.run_id = run_id
        self.request_digest = request_digest


class RecordsError(UnspoolError):
    """The database refuses a request that it may grant later: the disk is full, say."""

    code = "records_unavailable"
    http_status = 503


class ProviderError(UnspoolError):
    """
    One attempt failed.

    Attributes:
        status: HTTP status the provider answered with, if it answered.
        retry_after_s: How long the provider asked us to wait, in seconds.
        after: Number of the last event of a kept answer (`providers.Handle`), if it has them.
        finish_reason: Reason for the end that an answer without any output gave all the same.
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


class ProviderRefused(ProviderError):
    code = "provider_refused"


class ProviderUnavailable(ProviderError):
    code = "provider_unavailable"


class ProviderInterrupted(ProviderError):
    code = "provider_interrupted"


class InvalidAnswer(UnspoolError):
    """Ask another model, or for less: this one was told what was wrong, and did it again."""

    code = "answer_unfit"
    http_status = 502


class LLMClientError(UnspoolError):
    """
    The model gave no (whole) answer within all attempts.

    Attributes:
        status: HTTP status of the last answer, if there was one.
        attempts: How many requests were sent.
        text: What had arrived before the end; good as far as it goes.
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
