"""
The file `unspool.yaml`: models, routes, and which of them is the default one.

Its words are those of LiteLLM's file where that has them. What is wrong is told with file,
line and place. The JSON Schema for editors (`docs/unspool.schema.json`) is made from here.
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
from .definitions import MAX_KEY_CHARS, ModelDefinition, RouteInput, check_place, model_of

log = logging.getLogger(__name__)

FILE_NAME: Final = "unspool.yaml"

MAX_FILE_BYTES: Final = 1024 * 1024
"""Largest file: some thousand models."""

MAX_MODELS: Final = 1000
"""Models of the file, and of the database; a list of them is one answer."""

ENV: Final = "env:"


def _one_line(key: str) -> str:
    if not all("!" <= character <= "~" for character in key):
        raise ValueError("write env:NAME, the name of the variable that holds the key")
    return key


class FileModel(ModelDefinition):
    """A model of the file."""

    upstream_name: str = Field("", alias="model", max_length=256)
    """What the provider calls it; empty: as we do."""
    base_url: Url = Field("", alias="api_base")
    """The root of its API, or the full address; empty: where the provider is by itself."""
    api_key: Annotated[str, AfterValidator(_one_line)] = Field("", max_length=MAX_KEY_CHARS)
    """`env:NAME`, the variable that holds it. A key itself is taken too, with a warning."""


class Config(StrictInput):
    """The whole file."""

    default: Name | None = None
    """Which model or route answers where none is named."""
    models: list[FileModel] = Field(default_factory=list, max_length=MAX_MODELS)
    """Models, each with a name of its own."""
    routes: list[RouteInput] = Field(default_factory=list, max_length=MAX_MODELS)
    """Names for several models."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        names = [model.name for model in self.models] + [route.name for route in self.routes]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} stands there twice; give one of them another name")
        for route in self.routes:
            nested = {member.model for member in route.models} & {r.name for r in self.routes}
            if nested:
                raise ValueError(
                    f"{route.name} holds the route {min(nested)}; routes hold models: name those"
                )
        return self


def find_config(named: Path | None) -> Path | None:
    """Return the file to read; None where nobody named one and none is in the folder."""
    if named is not None:
        return named
    here = Path(FILE_NAME)
    return here if here.is_file() else None


def read_config(path: Path) -> Config:
    """
    Raises:
        SetupError: It cannot be read, or is not right; the message says where and what to do.
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
        raise SetupError(_told(error, str(path), line_of)) from None


def _told(error: ValidationError, path: str, line_of: Callable[[Sequence[Any]], int]) -> str:
    """Say the first thing that is wrong: where, what, and what would be right."""
    problem = error.errors(include_input=False, include_url=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
    what = problem["msg"].removeprefix("Value error, ")
    match problem["type"]:
        case "extra_forbidden":
            what = f"there is no such word here; {_advice(problem['loc'])}"
        case "missing":
            what = "is missing; write it down"
        case "string_type":
            what = "must be text; put it into quotes"
    return f"{path}, line {line_of(problem['loc'])}: {place.lstrip('.') or 'the file'}: {what}"


def _advice(place: Sequence[Any]) -> str:
    if {"model_list", "litellm_params", "router_settings", "litellm_settings"} & set(place):
        return "a file of LiteLLM is taken in by `unspool models import`"
    return "`unspool models schema` prints those there are"


def models_of(
    config: Config, variable: Callable[[str], str], limits: Limits, *, allow_private: bool
) -> list[tuple[Model, str]]:
    """
    Return the models of the file, each with what keeps it from being asked (usually nothing).

    `variable` gives the value of a variable of the environment; `limits` are those of the
    settings.
    """
    found = []
    for said in config.models:
        key, problem = _key_of(said, variable)
        if not problem:
            try:
                check_place(said, has_key=bool(key), allow_private=allow_private)
            except SpecError as error:
                problem = str(error)
        if problem:
            log.warning("Model %s of the file cannot be asked: %s", said.name, problem)
        found.append((model_of(said.model_dump(), key, limits), problem))
    return found


def _key_of(said: FileModel, variable: Callable[[str], str]) -> tuple[str, str]:
    """Return the key, and why there is none where there should be one."""
    if not said.api_key:
        return "", ""
    if not said.api_key.startswith(ENV):
        log.warning(
            "The key of %s stands in the file itself; put it into the environment or .env, and "
            "write `api_key: env:NAME` into the file",
            said.name,
        )
        return said.api_key, ""
    name = said.api_key.removeprefix(ENV)
    key = variable(name)
    return key, "" if key else f"the variable {name[:64]} is not set; set it, and start again"


def schema() -> str:
    """Return the JSON Schema of the file, for editors."""
    facts = Config.model_json_schema(by_alias=True)
    facts["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    facts["title"] = "unspool.yaml"
    said = facts["$defs"]["FileModel"]["properties"]
    # Plugs of other packages are right too, so providers are named and not enumerated.
    said["provider"]["examples"] = plugs.names("providers")
    said["prefill"]["enum"] = ["", *PREFILLS]
    said["quirks"]["items"]["enum"] = list(QUIRKS)
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
