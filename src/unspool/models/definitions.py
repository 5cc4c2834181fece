"""
The fields of a model and of a route, for the file, the API and the command line alike.

Every field has a limit, and no error repeats the wrong value: it may be a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    model_validator,
)

from .. import plugs
from ..errors import ProviderRefused, SpecError
from ..formats.written import Name, Params, StrictInput, Url
from ..providers import Limits, Model, Prices
from ..providers.upstream.addresses import check_url
from ..providers.upstream.patience import is_private
from ..providers.upstream.vendors import PREFILLS, QUIRKS, VENDORS

MAX_KEY_CHARS: Final = 4096
"""Longest key; the longest in use are signed tokens of about 2000 characters."""

MAX_MEMBERS: Final = 32
"""Models of one route; after 32 failures the user has waited long enough."""

MAX_PARALLEL: Final = 10_000
"""Answers at once; more than one process carries."""

MAX_SECONDS: Final = 86_400.0
"""Longest time limit, a day; for no limit, leave `total_s` empty."""

HUNDRED_MIB: Final = 100 * 1024 * 1024

OLLAMA_URL: Final = "http://127.0.0.1:11434"

DEFAULT_URLS: Final = {
    vendor.provider: vendor.base_url for vendor in VENDORS if vendor.provider != "openai"
} | {"ollama": OLLAMA_URL}
"""
Default address of each provider. `openai` has none: many vendors speak its format, and a key
would go to the wrong one.
"""

NEEDS_URL: Final = frozenset({"openai", "responses"})

Source = Literal["built_in", "environment", "file", "database"]
"""Where a model or a route is defined. If two share a name, the later source wins."""

Strategy = Literal["ordered", "round_robin", "random", "weighted", "least_loaded"]

Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS)]
Price = Annotated[float, Field(ge=0, le=1_000_000)]


class LimitsInput(StrictInput):
    """Limits of one request; an empty one comes from the settings, else from what the model is."""

    connect_s: Seconds | None = None
    """Seconds to open a connection."""
    first_event_s: Seconds | None = None
    """Seconds from the request to the first event."""
    idle_s: Seconds | None = None
    """Seconds without a single byte."""
    progress_s: Seconds | None = None
    """Seconds with bytes but without output."""
    silent_s: Seconds | None = None
    """Seconds without output after which viewers are told, and again each time it has doubled."""
    total_s: Seconds | None = None
    """Seconds for the whole answer."""
    max_event_bytes: int | None = Field(None, gt=0, le=HUNDRED_MIB)
    """Bytes of the largest single event."""
    repetition: bool | None = None
    """Whether an answer that repeats itself without end is broken off; empty: yes."""


class PricesInput(StrictInput):
    """Prices of a million tokens."""

    prompt: Price
    completion: Price
    cached: Price | None = None
    """Of prompt tokens from the provider's cache; empty: the same as `prompt`."""
    written: Price | None = None
    """Of prompt tokens that the provider writes to its cache; empty: the same as `prompt`."""
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    """ISO 4217 code, three letters."""


def _known_provider(name: str) -> str:
    known = plugs.names("providers")
    if name not in known:
        raise ValueError(f"there is no such provider; have: {', '.join(known)}")
    return name


def _known_prefill(prefill: str) -> str:
    if prefill and prefill not in PREFILLS:
        raise ValueError(f"there is no such prefill; have: {', '.join(PREFILLS)}")
    return prefill


def _known_quirk(quirk: str) -> str:
    if quirk not in QUIRKS:
        raise ValueError(f"there is no such quirk; have: {', '.join(QUIRKS)}")
    return quirk


def _key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value().strip()
    # It becomes an HTTP header, where anything else would cause an error far from here.
    if not all("!" <= character <= "~" for character in text):
        raise ValueError("a key is one word of ASCII letters, digits and signs")
    return SecretStr(text)


Key = Annotated[SecretStr, Field(max_length=MAX_KEY_CHARS), AfterValidator(_key)]
Provider = Annotated[str, Field(max_length=64), AfterValidator(_known_provider)]
Quirk = Annotated[str, Field(max_length=64), AfterValidator(_known_quirk)]
Prefill = Annotated[str, Field(max_length=32), AfterValidator(_known_prefill)]


class ModelDefinition(StrictInput):
    """A model, without its key."""

    name: Name
    """Its name in Unspool."""
    provider: Provider = "openai"
    """The provider that speaks its API."""
    upstream_name: str = Field("", max_length=256)
    """The provider's name for it; empty: the same as `name`."""
    base_url: Url = ""
    """The root of its API, or the full address; empty: the provider's own address."""
    params: Params = Field(default_factory=dict)
    """Parameters of every request to it; the parameters of a request override them."""
    limits: LimitsInput = Field(default_factory=LimitsInput)
    """Limits of one request to it; an empty one comes from the settings."""
    prefill: Prefill = ""
    """How it continues a text that was cut; empty: its vendor's usual way."""
    quirks: list[Quirk] = Field(default_factory=list, max_length=16)
    """Where it differs from its vendor's documentation."""
    max_parallel: int | None = Field(None, ge=1, le=MAX_PARALLEL)
    """Answers it gives at once; further requests wait in a line. Empty: any number."""
    prices: PricesInput | None = None
    """Prices of a million tokens; empty: the prices its vendor publishes, if known."""

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if self.name == "offline":
            raise ValueError("`offline` is the built-in model; choose another name")
        self.upstream_name = self.upstream_name or self.name
        self.base_url = self.base_url or DEFAULT_URLS.get(self.provider, "")
        if not self.base_url and self.provider in NEEDS_URL:
            raise ValueError(
                "its address is missing; give the root of its API, like https://api.openai.com/v1"
            )
        return self


class ModelInput(ModelDefinition):
    """A model to register."""

    api_key: Key | None = None
    """Its key; it can be written, never read."""
    is_active: bool = True
    """Whether runs may ask it; an inactive model stays registered."""


class RouteMember(StrictInput):
    """A model of a route."""

    model: Name
    weight: float = Field(1.0, gt=0, le=1000)
    """Its share of first requests under the strategy `weighted`."""


class RouteInput(StrictInput):
    """A name for several models: one is asked, the others stand by."""

    name: Name
    strategy: Strategy = "ordered"
    """
    The model to ask first: always the first (`ordered`), each in turn (`round_robin`), by chance
    (`random`, `weighted`), or the one with the fewest requests in flight (`least_loaded`).
    """
    models: list[RouteMember] = Field(min_length=1, max_length=MAX_MEMBERS)
    """In the order to ask them, unless the strategy says otherwise."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, fields: Any) -> Any:
        """Read a bare name as a member of weight one."""
        if isinstance(fields, dict) and isinstance(fields.get("models"), list):
            models = [{"model": m} if isinstance(m, str) else m for m in fields["models"]]
            return {**fields, "models": models}
        return fields

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [member.model for member in self.models]
        if len(set(names)) < len(names):
            raise ValueError("a model may appear in a route once; give it more weight instead")
        if self.name in names:
            raise ValueError("a route cannot hold itself; give the route another name")
        return self


def check_address(definition: ModelDefinition, *, has_key: bool, allow_private: bool) -> None:
    """
    Refuse a forbidden address, and a public one without a key.

    Connects to nothing and resolves no name.

    Raises:
        SpecError: The address is forbidden, or the key is missing.
    """
    if not definition.base_url:
        return
    try:
        check_url(definition.base_url, allow_private=allow_private)
    except ProviderRefused as error:
        raise SpecError(f"the address of {definition.name}: {error}") from None
    if not has_key and definition.provider != "ollama" and not is_private(definition.base_url):
        raise SpecError(
            f"the key of {definition.name} is missing; give it, or any word if it needs none"
        )


def model_of(row: Mapping[str, Any], api_key: str, limits: Limits) -> Model:
    """Return a model from its columns or fields; `limits` fills in the empty limits."""
    own_limits = {name: value for name, value in row["limits"].items() if value is not None}
    return Model(
        name=row["name"],
        provider=row["provider"],
        upstream_name=row["upstream_name"],
        base_url=row["base_url"],
        api_key=api_key,
        limits=replace(limits, **own_limits),
        params=row["params"],
        prefill=row["prefill"],
        quirks=frozenset(row["quirks"]),
        max_parallel=row["max_parallel"],
        prices=Prices(**row["prices"]) if row["prices"] else None,
    )
