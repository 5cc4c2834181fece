"""
The file `unspool.yaml`: models, routes and the default.

Its keys are those of LiteLLM's file where that has them. Errors name the file, the line and the
key. `schema` generates the JSON Schema for editors, `docs/unspool.schema.json`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from .. import plugs
from ..errors import SetupError, SpecError
from ..formats.plain_yaml import read_yaml
from ..formats.written import Name, StrictInput, Url
from ..providers import Limits, Model
from ..providers.upstream.vendors import PREFILLS, QUIRKS
from .definitions import MAX_KEY_CHARS, ModelDefinition, RouteInput, check_address, model_of

log = logging.getLogger(__name__)

FILE_NAME: Final = "unspool.yaml"

MAX_FILE_BYTES: Final = 1024 * 1024
"""Largest file: some thousand models."""

MAX_MODELS: Final = 1000
"""Models of the file, and of the database; one answer lists them all."""

ENV: Final = "env:"


def _one_line(key: str) -> str:
    if not all("!" <= character <= "~" for character in key):
        raise ValueError("must be env:NAME, with the name of the variable that holds the key")
    return key


class FileModel(ModelDefinition):
    """A model of the file."""

    upstream_name: str = Field("", alias="model", max_length=256)
    """The provider's name for it; empty: the same as `name`."""
    base_url: Url = Field("", alias="api_base")
    """The root of its API, or the full address; empty: the provider's own address."""
    api_key: Annotated[str, AfterValidator(_one_line)] = Field("", max_length=MAX_KEY_CHARS)
    """`env:NAME`, the variable that holds the key. A literal key works too, with a warning."""


class Config(StrictInput):
    """The whole file."""

    default: Name | None = None
    """The model or route for requests that name none."""
    models: list[FileModel] = Field(default_factory=list, max_length=MAX_MODELS)
    """Models, each with a name of its own."""
    routes: list[RouteInput] = Field(default_factory=list, max_length=MAX_MODELS)
    """Routes, each a name for several models."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        names = [model.name for model in self.models] + [route.name for route in self.routes]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} appears twice; give one of them another name")
        for route in self.routes:
            nested = {member.model for member in route.models} & {r.name for r in self.routes}
            if nested:
                raise ValueError(
                    f"{route.name} holds the route {min(nested)}; name that route's models instead"
                )
        return self


def find_config(named: Path | None) -> Path | None:
    """Return the file to read; None if `named` is None and the working directory has none."""
    if named is not None:
        return named
    default = Path(FILE_NAME)
    return default if default.is_file() else None


def read_config(path: Path) -> Config:
    """
    Read and check the file.

    Raises:
        SetupError: It cannot be read or is invalid; the message says where and what to do.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SetupError(
            f"{path} cannot be read: {error.strerror}; check the path, or unset UNSPOOL_CONFIG"
        ) from error
    if len(raw) > MAX_FILE_BYTES:
        raise SetupError(f"{path} has more than {MAX_FILE_BYTES} bytes; is it the right file?")
    value, line_of = read_yaml(raw, str(path))
    try:
        return Config.model_validate({} if value is None else value)
    except ValidationError as error:
        raise SetupError(_sentence(error, str(path), line_of)) from None


def _sentence(error: ValidationError, path: str, line_of: Callable[[Sequence[Any]], int]) -> str:
    """Return the first problem: its line, its key, the reason and the remedy."""
    problem = error.errors(include_input=False, include_url=False)[0]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
    reason = problem["msg"].removeprefix("Value error, ")
    match problem["type"]:
        case "extra_forbidden":
            reason = f"is unknown here; {_advice(problem['loc'])}"
        case "missing":
            reason = "is missing; add it"
        case "string_type":
            reason = "must be text; put it into quotes"
    return f"{path}, line {line_of(problem['loc'])}: {key.lstrip('.') or 'the file'}: {reason}"


def _advice(path: Sequence[Any]) -> str:
    if {"model_list", "litellm_params", "router_settings", "litellm_settings"} & set(path):
        return "`unspool models import` reads a file of LiteLLM"
    return "`unspool models schema` prints the known keys"


def models_of(
    config: Config, variable: Callable[[str], str], limits: Limits, *, allow_private: bool
) -> list[tuple[Model, str]]:
    """
    Return the models of the file, each with the reason why it cannot be asked (usually empty).

    `variable` returns the value of an environment variable; `limits` are those of the settings.
    """
    models = []
    for definition in config.models:
        key, problem = _key_of(definition, variable)
        if not problem:
            try:
                check_address(definition, has_key=bool(key), allow_private=allow_private)
            except SpecError as error:
                problem = str(error)
        if problem:
            log.warning("Model %s of the file cannot be asked: %s", definition.name, problem)
        models.append((model_of(definition.model_dump(), key, limits), problem))
    return models


def _key_of(definition: FileModel, variable: Callable[[str], str]) -> tuple[str, str]:
    """Return the key, and the reason if a key that should be there is missing."""
    if not definition.api_key:
        return "", ""
    if not definition.api_key.startswith(ENV):
        log.warning(
            "The file itself holds the key of %s; put it into the environment or .env, and "
            "write `api_key: env:NAME` into the file",
            definition.name,
        )
        return definition.api_key, ""
    name = definition.api_key.removeprefix(ENV)
    key = variable(name)
    return key, "" if key else f"the variable {name[:64]} is not set; set it, and start again"


def schema() -> str:
    """Return the JSON Schema of the file, for editors."""
    document = Config.model_json_schema(by_alias=True)
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "unspool.yaml"
    fields = document["$defs"]["FileModel"]["properties"]
    # Plugs of other packages are valid too, so providers are examples, not an enumeration.
    fields["provider"]["examples"] = plugs.names("providers")
    fields["prefill"]["enum"] = ["", *PREFILLS]
    fields["quirks"]["items"]["enum"] = list(QUIRKS)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
