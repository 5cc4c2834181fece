"""Which models there are, and which of them a run asks, in which order."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from .errors import UnknownRecord
from .providers import FREE, Limits, Model
from .settings import Settings

log = logging.getLogger(__name__)

OFFLINE = Model(name="offline", provider="offline", upstream_name="offline", prices=FREE)
"""The built-in model: always there, needs no key and no network."""

OPENAI_MODEL = "gpt-4o-mini"
"""Asked for where `OPENAI_API_KEY` is set and no model is named: cheap, and long there."""

OPENAI_URL = "https://api.openai.com/v1"


def model_from(settings: Settings) -> Model | None:
    """
    Return the model that the environment describes, or None where it describes none.

    `LLM_*` goes before `OPENAI_*`, and the two are not mixed: a key never goes to an
    address that was set for another key.
    """
    provider = settings.llm_provider
    if settings.llm_api_key or settings.llm_base_url or provider != "openai":
        key, url = settings.llm_api_key, settings.llm_base_url
        name = settings.llm_model or "default"
    else:
        key = settings.openai_api_key
        url = settings.openai_base_url or settings.openai_api_url or OPENAI_URL
        name = settings.openai_model or OPENAI_MODEL
    if provider == "openai" and not (key and url):
        if key or settings.llm_base_url:
            missing = "LLM_BASE_URL" if key else "LLM_API_KEY"
            log.warning("%s is not set: nothing is sent, the built-in model answers", missing)
        return None
    return Model(
        name=name,
        provider=provider,
        upstream_name=name,
        base_url=url,
        api_key=key.get_secret_value() if key else "",
        limits=limits_from(settings),
    )


def limits_from(settings: Settings) -> Limits:
    return Limits(
        connect_s=settings.connect_s,
        first_event_s=settings.first_event_s,
        idle_s=settings.idle_s,
        progress_s=settings.progress_s,
        total_s=settings.total_s,
        max_event_bytes=settings.max_event_bytes,
    )


class Catalog:
    """The models of this process, by name."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = {model.name: model for model in (*models, OFFLINE)}
        self._default = models[0].name if models else OFFLINE.name

    @classmethod
    def of(cls, settings: Settings) -> Catalog:
        model = model_from(settings)
        return cls([model] if model else [])

    def names(self) -> list[str]:
        return list(self._models)

    def models_for(self, name: str, *, stand_in: bool = True) -> list[Model]:
        """
        Return the models to ask for `name` (empty: the default), in order.

        Empty where only the offline model is left and `stand_in` forbids it.

        Raises:
            UnknownRecord: There is no model of that name.
        """
        model = self._models.get(name or self._default)
        if model is None:
            raise UnknownRecord(f"no model {name[:64]!r}; have: {', '.join(self._models)}")
        if not name and model is OFFLINE and not stand_in:
            return []
        return [model]
