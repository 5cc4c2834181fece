"""
Every knob and every limit, read once, frozen.

To add one: a field with its unit last in the name and, below it, what it means and
why that number. It can then be set in the environment or in `.env` as
`UNSPOOL_<NAME>`; `tests/test_house.py` asks for it in docs/settings.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import Field, PrivateAttr, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_FILE = ".env"
"""In the working directory; what is in the environment goes before it."""

KIB = 1024
MIB = 1024 * KIB


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="UNSPOOL_",
        env_file=ENV_FILE,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    # Where things are

    data_dir: Path = Path(".data")
    """One directory holds all that is kept: `journal.db` (runs) and `records.db` (the rest)."""

    config: Path | None = None
    """File of models and routes. None: `unspool.yaml` in the working directory, if it is there."""

    flows: str = ""
    """Python files with flows of one's own, separated by commas; they are run at the start."""

    secret_key: SecretStr | None = None
    """
    What keys of models are sealed with in the database: 32 bytes in URL-safe base64; several,
    separated by commas, where the first one is new. None: `secret.key` in the data directory.
    """

    host: str = "127.0.0.1"
    """Address to listen on. Others than loopback need `--allow-open`: there are no keys yet."""

    port: int = Field(8000, ge=0, le=65535)
    """8000, because the printed examples of existing clients use it. 0 picks a free one."""

    allowed_hosts: str = ""
    """
    Names, separated by commas, that a request may give as its `Host` besides those of loopback.
    A page on another site cannot then drive a local server through a name of its own (DNS
    rebinding). `*` allows every name. Pages from these hosts may open WebSockets; `*` does not
    count there.
    """

    tool_hosts: str = ""
    """
    Hosts, separated by commas, that tools may send requests to; `host:port` where the port is not
    the usual one of `http` or `https`. Empty: none, because whoever may register a tool would
    choose where this server sends what a model has said.
    """

    sample_data: bool = True
    """Put sample products, behaviours, tools and presets into an empty database at first."""

    # The model from the environment: the names that existing installations use

    llm_api_key: SecretStr | None = Field(None, validation_alias="LLM_API_KEY")
    """Key of the model. Without a key nothing is sent anywhere: the built-in model answers."""

    llm_base_url: str = Field("", validation_alias="LLM_BASE_URL")
    """A full `…/chat/completions` address or the `/v1` root before it; both forms work."""

    llm_model: str = Field("", validation_alias="LLM_MODEL")
    """Name of the model at that address."""

    llm_provider: str = Field("openai", validation_alias="LLM_PROVIDER")
    """Which file of `providers/` speaks to it. One that is not `openai` needs no key or address."""

    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    """Used where neither `LLM_API_KEY` nor `LLM_BASE_URL` is set; so are the next three."""

    openai_base_url: str = Field("", validation_alias="OPENAI_BASE_URL")
    """Empty: OpenAI's own address."""

    openai_api_url: str = Field("", validation_alias="OPENAI_API_URL")
    """Another common name of `OPENAI_BASE_URL`."""

    openai_model: str = Field("", validation_alias="OPENAI_MODEL")
    """Name of the model at OpenAI's address."""

    allow_private_upstreams: bool = True
    """
    Let models be on this machine and in private networks. Link-local addresses, where clouds
    keep their credentials, are refused either way.
    """

    # Limits of one request to a model

    connect_s: float = Field(5.0, gt=0)
    """To open a connection. A provider that is up answers in well under one second."""

    first_event_s: float = Field(30.0, gt=0)
    """From the request to the first event; long prompts are read for ten seconds and more."""

    idle_s: float = Field(30.0, gt=0)
    """Without a single byte. Providers send keep-alives every 15 s or oftener."""

    progress_s: float = Field(120.0, gt=0)
    """With bytes but without output: a stream of keep-alives alone must end some time."""

    total_s: float | None = Field(None, gt=0)
    """For the whole answer. None, because a total limit kills healthy long streams."""

    max_event_bytes: int = Field(4 * MIB, gt=0)
    """Largest single event of a provider. Tool arguments of 1.6 MiB have been seen."""

    retries: int = Field(3, ge=0, le=10)
    """Requests sent again to one model while a text gets no further; waits of 0.5, 1 and 2 s."""

    retry_budget_s: float = Field(120.0, gt=0)
    """
    For all retries of a text before its first output. Longer than any one of them waits; who
    has seen nothing for two minutes has gone.
    """

    say_chars_per_s: float = Field(200.0, gt=0)
    """Pace of text that needs no model (templates): as readable as a quick model."""

    # The journal

    commit_window_ms: float = Field(2.0, ge=0, le=1000)
    """
    Longest wait of an event for company before a commit. A quiet journal commits at once;
    at 2 ms a busy one shares a commit between all runs and no reader can tell.
    """

    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    """
    NORMAL survives the death of the process (`kill -9`); a loss of power may take the last
    commits. FULL waits for the disk at each commit and survives that too.
    """

    max_run_bytes: int = Field(64 * MIB, gt=0)
    """Largest log of one run: a million tokens. More is a loop, not an answer."""

    max_live_runs: int = Field(2000, gt=0)
    """Runs going on at once; the next one is refused with 503 and `Retry-After`."""

    # What is kept

    keep_days: float | None = Field(None, gt=0)
    """Runs that ended longer ago are deleted. None: nothing is, until `unspool prune`."""

    max_journal_bytes: int | None = Field(None, gt=0)
    """Where runs take more, the oldest ended ones are deleted. None: as the disk allows."""

    # Sharing of equal runs

    cache: Literal["off", "read"] = "off"
    """
    `read`: an equal request (flow, input and model) gets the run that is there already, whole
    or still going on. A request says otherwise with the header `Unspool-Cache`.
    """

    cache_ttl_s: float = Field(86_400.0, gt=0)
    """A whole run answers equal requests for so long. A day: prices and stocks change."""

    # Viewers and requests

    heartbeat_s: float = Field(15.0, gt=0)
    """
    Longest silence on an open stream. A quarter of nginx's `proxy_read_timeout` (60 s):
    three beats may be lost.
    """

    stalled_viewer_s: float = Field(60.0, gt=0)
    """A viewer that takes nothing for so long is disconnected; it may resume where it was."""

    max_write_bytes: int = Field(64 * KIB, gt=0)
    """Most bytes handed to one viewer's connection at once: what a slow one can cost us."""

    max_tape_bytes: int = Field(1 * MIB, gt=0)
    """Encoded frames kept for the viewers of one run; who is further behind reads the journal."""

    max_body_bytes: int = Field(1 * MIB, gt=0)
    """Largest request body (413). A prompt of a million characters is a mistake."""

    max_target_bytes: int = Field(8 * KIB, gt=0)
    """Longest request line (414): what proxies in front of us accept."""

    max_header_bytes: int = Field(16 * KIB, gt=0)
    """Largest request head (431)."""

    request_head_s: float = Field(30.0, gt=0)
    """To send the whole request head; a client that drips headers is cut off."""

    _variables: dict[str, str | None] = PrivateAttr(default_factory=dict)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        file = values.get("_env_file", ENV_FILE)
        self._variables = {**(dotenv_values(file) if file else {}), **os.environ}

    def variable(self, name: str) -> str:
        """
        Return a variable of the environment or `.env` as it was at the start; empty if unset.

        For names that are not ours: the keys of vendors, and those that `unspool.yaml` names.
        """
        return (self._variables.get(name) or "").strip()
