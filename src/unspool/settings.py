"""
Every setting and every limit, read once, frozen.

To add one: add a field with its unit last in the name and, below it, its meaning and the reason
for the number. The environment or `.env` can then set it as `UNSPOOL_<NAME>`;
`tests/test_house.py` requires it in docs/settings.md.
"""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, PrivateAttr, SecretStr, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_FILE = ".env"
"""In the working directory; the environment wins over it."""

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
        hide_input_in_errors=True,  # it may be a key or a password
    )

    # Where things are

    data_dir: Path = Path(".data")
    """The directory of all data: `journal.db` (runs) and `records.db` (the rest), or, with a
    `database_url`, of what a server can make again."""

    database_url: SecretStr | None = None
    """
    A PostgreSQL database for runs and records, `postgresql://user:password@host/database`: any
    number of servers may share it. None: files in the data directory, for one server.
    """

    config: Path | None = None
    """File of models and routes. None: `unspool.yaml` in the working directory, if it exists."""

    flows: str = ""
    """Python files with flows of your own, separated by commas; the server runs them at its
    start."""

    secret_key: SecretStr | None = None
    """
    Seals the keys of models in the database: 32 bytes in URL-safe base64. To rotate, give
    several, separated by commas, the new one first. None: `secret.key` in the data directory.
    """

    host: str = "127.0.0.1"
    """Address to listen on. Any but loopback needs `--allow-open`: there are no API keys yet."""

    access: Literal["", "open", "keys"] = ""
    """
    Who may use the server: `keys`, everybody with a key; `open`, everybody who reaches it. Empty:
    open at an address of this machine alone, else keys.
    """

    public_url: str = ""
    """
    The address at which browsers reach this server, such as `https://unspool.example`, where a
    proxy stands in front of it: the provider that signs people in sends them back there. Empty:
    the address of the request.
    """

    oidc_issuer: str = ""
    """
    The provider that signs people in to the console, by OpenID Connect: its address, to which
    `/.well-known/openid-configuration` is added. Empty: keys alone.
    """

    oidc_client_id: str = ""
    """Our name at that provider."""

    oidc_client_secret: SecretStr | None = None
    """Our password there. None: we are a public client, with PKCE alone."""

    oidc_groups_claim: str = "groups"
    """The claim with a person's groups: a list, or one name."""

    oidc_admin_group: str = ""
    """People of this group may do everything of their tenant. Empty: nobody."""

    oidc_member_group: str = ""
    """People of this group may start and change runs and records. Empty: nobody."""

    oidc_viewer_group: str = ""
    """People of this group may look. Empty: everybody whom the provider signs in."""

    oidc_tenant_claim: str = ""
    """The claim with the name or id of a person's tenant. Empty: all belong to `default`."""

    port: int = Field(8000, ge=0, le=65535)
    """8000, because the printed examples of existing clients use it. 0 picks a free one."""

    workers: int = Field(1, ge=1, le=64)
    """
    Processes that `serve` starts behind the port: one for each processor, if one is not enough.
    Several need a `database_url`.
    """

    allowed_hosts: str = ""
    """
    Names, separated by commas, that a request may have as its `Host`, besides those of loopback
    and names of one word, as proxies and containers use. This stops a page on another site from
    driving a local server through a name of its own (DNS rebinding). `*` allows every name. Pages
    from these hosts may open WebSockets; `*` does not count there.
    """

    root_path: str = ""
    """The path under which a proxy shows this server, such as `/unspool`, if it takes it away."""

    trusted_proxies: str = ""
    """
    Addresses and networks of proxies, separated by commas, whose `X-Forwarded-Prefix` is such a
    path. `*` is every sender; anybody who reaches the server can then set it.
    """

    tool_hosts: str = ""
    """
    Hosts, separated by commas, that tools may send requests to; write `host:port` for a port
    other than the usual one of `http` or `https`. Empty: none, because otherwise anyone who can
    register a tool could choose where this server sends a model's words.
    """

    mcp_config: Path | None = None
    """A file of MCP servers (`mcpServers`) whose tools may be registered. None: there are none."""

    sample_data: bool = True
    """Put sample products, behaviours, tools and presets into a new database."""

    time_zone: str = "UTC"
    """
    The shop's time zone, such as `Asia/Shanghai` or `+08:00`. Times in imported files that are
    Unix times, or have a zone of their own, are stored as the time by its clocks; other times
    are stored as they are.
    """

    # The model from the environment: the names that existing installations use

    llm_api_key: SecretStr | None = Field(None, validation_alias="LLM_API_KEY")
    """Key of the model. Without a key the server sends nothing: the built-in model answers."""

    llm_base_url: str = Field("", validation_alias="LLM_BASE_URL")
    """A full `…/chat/completions` address, or its `/v1` root."""

    llm_model: str = Field("", validation_alias="LLM_MODEL")
    """Name of the model at that address."""

    llm_provider: str = Field("openai", validation_alias="LLM_PROVIDER")
    """The provider that speaks its API. Any but `openai` needs no key or address."""

    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    """Used if neither `LLM_API_KEY` nor `LLM_BASE_URL` is set; so are the next three."""

    openai_base_url: str = Field("", validation_alias="OPENAI_BASE_URL")
    """Empty: OpenAI's own address."""

    openai_api_url: str = Field("", validation_alias="OPENAI_API_URL")
    """Another common name for `OPENAI_BASE_URL`."""

    openai_model: str = Field("", validation_alias="OPENAI_MODEL")
    """Name of the model at OpenAI's address."""

    allow_private_upstreams: bool = True
    """
    Allow models on this machine and in private networks. Link-local addresses, where clouds
    publish their credentials, are refused either way.
    """

    # Limits of one request to a model

    connect_s: float = Field(5.0, gt=0)
    """To open a connection. A provider that is up answers in well under one second."""

    silent_s: float = Field(30.0, gt=0)
    """
    Without output, until viewers are told that the model is silent (`attempt.silent`); they are
    told again each time the silence has doubled. Nothing is broken off.
    """

    first_event_s: float | None = Field(None, gt=0)
    """
    From the request to the first event. None: to the first byte, and, as for the next, 120; 600 if
    the model thinks or runs in a private network, where it may have to be loaded. Breaking off is
    a second paid request.
    """

    idle_s: float | None = Field(None, gt=0)
    """Without a single byte. None: as above, and 600 inside a tool call, where vendors are mute."""

    progress_s: float | None = Field(None, gt=0)
    """With bytes but without output: a stream of pings alone must end some time. None: 600."""

    total_s: float | None = Field(None, gt=0)
    """For the whole answer. None, because a total limit kills healthy long streams."""

    max_event_bytes: int = Field(4 * MIB, gt=0)
    """Largest single event of a provider. Some tool arguments have 1.6 MiB."""

    retries: int = Field(3, ge=0, le=10)
    """Retries of one model while a text makes no progress; it waits 0.5, 1 and 2 s."""

    retry_budget_s: float = Field(120.0, gt=0)
    """
    For all retries of a text before its first output. Longer than any single wait; a person who
    sees nothing for two minutes has left.
    """

    first_text_s: float = Field(8.0, gt=0, le=3600)
    """
    For a text that a template can write too (sales copy): so long the reader waits for the model,
    from the request to the first text, and for the next text in the middle. Then the model's
    request is closed and the template writes. Few readers wait longer before an empty box.
    """

    probe: Literal["off", "private", "all"] = "private"
    """
    Models to ask, once and while they are idle, how they continue a text that was cut, if nothing
    is known of them: none, those on this machine and in private networks, or all. It costs some
    300 tokens for each model.
    """

    keep_raw: bool = False
    """
    Keep the body of each request to a provider, and the first and last 4 KiB of its answer, of the
    newest 2000 attempts, for `GET /v1/runs/{id}/attempts/{number}/raw`. Headers and keys are not
    kept. Off, because prompts would stand in a second place.
    """

    say_chars_per_s: float = Field(200.0, gt=0)
    """Speed of text that needs no model (templates): as readable as a fast model."""

    # The journal

    commit_window_ms: float = Field(2.0, ge=0, le=1000)
    """
    Longest time that an event waits for others before a commit. A quiet journal commits at once;
    at 2 ms a busy one shares each commit between all runs, and no reader notices.
    """

    max_delay_ms: float = Field(30.0, ge=0, le=1000)
    """
    Longest time that a token waits for those of other runs before it is read, when the server is
    busy. A quiet server reads each at once, and first tokens never wait. Reading together saves a
    third of the cost, and nobody sees 30 ms in a text. 0: never wait.
    """

    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    """
    NORMAL survives the death of the process (`kill -9`); a power loss may take the last commits.
    FULL waits for the disk at each commit and survives that too.
    """

    max_run_bytes: int = Field(64 * MIB, gt=0)
    """Largest log of one run: a million tokens. More is a loop, not an answer."""

    max_unwatched_bytes: int = Field(8 * MIB, gt=0)
    """
    Log that a run writes after its last viewer has left; then it is cancelled. As much as the
    longest answer of any model (128,000 tokens). `Unspool-When-Left: continue` lifts it, and runs
    that nobody ever watched were meant to be alone.
    """

    max_live_runs: int = Field(2000, gt=0)
    """Live runs at once; the server refuses the next one with 503 and `Retry-After`."""

    # What operators see

    webhook_url: SecretStr | None = None
    """
    Address that gets a message when a run has ended. None: nobody does. It may hold a secret, so
    it is in no log.
    """

    webhook_secret: SecretStr | None = None
    """Signs these messages: `whsec_` and at least 24 random bytes in base64."""

    # How long runs are stored

    keep_days: float | None = Field(None, gt=0)
    """Delete runs that ended longer ago. None: delete nothing, until `unspool prune`."""

    max_journal_bytes: int | None = Field(None, gt=0)
    """Delete the oldest ended runs above this size. None: no limit but the disk."""

    # Sharing of equal runs

    cache: Literal["off", "read"] = "off"
    """
    `read`: an equal request (flow, input and model) gets the existing run, finished or live. The
    header `Unspool-Cache` overrides this for one request.
    """

    cache_ttl_s: float = Field(86_400.0, gt=0)
    """How long a completed run answers equal requests. A day: prices and stocks change."""

    # Viewers and requests

    heartbeat_s: float = Field(15.0, gt=0)
    """Longest silence on an open stream: nginx waits for four of them (`proxy_read_timeout`)."""

    stalled_viewer_s: float = Field(60.0, gt=0)
    """Disconnect a viewer that reads nothing for so long; it may resume where it was."""

    max_write_bytes: int = Field(64 * KIB, gt=0)
    """Most bytes in one write to a viewer: the most memory that a slow one can cost."""

    max_tape_bytes: int = Field(1 * MIB, gt=0)
    """Encoded frames in memory for the viewers of one run; slower ones read the journal."""

    max_body_bytes: int = Field(1 * MIB, gt=0)
    """Largest request body (413). A prompt of a million characters is a mistake."""

    max_image_body_bytes: int = Field(28 * MIB, gt=0)
    """Largest body of a debug chat (413): four images of 5 MB, a third longer in base64."""

    max_upload_bytes: int = Field(256 * MIB, gt=0)
    """Largest file for an import (413). It goes to the disk, never into memory."""

    max_target_bytes: int = Field(8 * KIB, gt=0)
    """Longest request line (414): what proxies in front of us accept."""

    max_header_bytes: int = Field(16 * KIB, gt=0)
    """Largest request head (431)."""

    request_head_s: float = Field(30.0, gt=0)
    """To send the whole request head; the server cuts a slower client off."""

    _variables: dict[str, str | None] = PrivateAttr(default_factory=dict)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        file = values.get("_env_file", ENV_FILE)
        self._variables = {**(dotenv_values(file) if file else {}), **os.environ}

    @field_validator("database_url")
    @classmethod
    def _of_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        """Return it with the scheme `postgresql`, which has other common names; empty is None."""
        text = url.get_secret_value().strip() if url else ""
        if not text:
            return None
        scheme, _, rest = text.partition("://")
        with suppress(ValueError):  # it would quote a part, perhaps of the password
            urlsplit(text)
            if rest and scheme in {"postgresql", "postgres", "postgresql+asyncpg"}:
                return SecretStr(f"postgresql://{rest}")
        raise PydanticCustomError(
            "database_url",
            "it must be like postgresql://user:password@host/database, special characters as %40",
        )

    def variable(self, name: str) -> str:
        """
        Return a variable of the environment or `.env` as it was at the start; empty if unset.

        For names outside unspool: the keys of vendors, and the names in `unspool.yaml`.
        """
        return (self._variables.get(name) or "").strip()

    @property
    def is_open(self) -> bool:
        """Whether everybody who reaches the server may do everything."""
        wants_people = bool(self.oidc_issuer.strip())
        by_address = not self.access and is_loopback(self.host) and not wants_people
        return self.access == "open" or by_address

    @property
    def worker(self) -> int:
        """The number of this process among those of `serve --workers`, from 1; 0: there is one."""
        number = self.variable("UNSPOOL_WORKER")
        return int(number) if number.isdecimal() else 0


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may mean anything tomorrow
        return False
