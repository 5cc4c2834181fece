"""Which models there are, in which order they are asked, and where they come from."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from unspool import Model, Settings
from unspool.errors import ProviderUnavailable, SpecError, UnknownRecord
from unspool.models.catalog import OFFLINE, Catalog, RegisteredModel, Route
from unspool.models.environment import model_from, models_beside, ollama_url
from unspool.models.health import Health
from unspool.models.sources import ConfiguredModels

KEY = "sk-0123456789-0123456789-abcd"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def model(name: str) -> Model:
    return Model(name, "openai", name, "http://127.0.0.1:1/v1", KEY)


def rest(health: Health, *names: str) -> None:
    for name in names:
        health.failed(name, ProviderUnavailable("no", code="rate_limit"))


def routed(strategy: str, weights: dict[str, float], **parts: object) -> Catalog:
    catalog = Catalog(**parts)  # type: ignore[arg-type]
    route = Route("all", strategy, weights)  # type: ignore[arg-type]
    entries = [
        RegisteredModel(model(name), "file", place) for place, name in enumerate(weights, start=1)
    ]
    catalog.fill([*entries, RegisteredModel(OFFLINE, "built_in")], [route], ["all"])
    return catalog


def names(models: list[Model]) -> list[str]:
    return [each.name for each in models]


ABC = {"a": 1.0, "b": 1.0, "c": 1.0}


# Routes


def test_an_ordered_route_asks_in_order_and_those_that_rest_last() -> None:
    clock = Clock()
    health = Health(clock)
    catalog = routed("ordered", ABC, health=health)
    assert names(catalog.models_for("all")) == ["a", "b", "c"]
    rest(health, "a")
    assert names(catalog.models_for("all")) == ["b", "c", "a"]
    rest(health, "b", "c")
    assert names(catalog.models_for("all")) == ["a", "b", "c"], "nobody is left out"
    clock.now = 1000.0
    assert names(catalog.models_for("all")) == ["a", "b", "c"]


def test_in_a_round_robin_everyone_is_first_in_turn_and_the_next_one_stands_by() -> None:
    catalog = routed("round_robin", ABC)
    turns = [names(catalog.models_for("all")) for _ in range(4)]
    assert turns == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_looking_whether_a_route_is_there_takes_nobodys_turn() -> None:
    catalog = routed("round_robin", ABC)
    for _ in range(5):
        catalog.check("all")
        catalog.check("")
    assert names(catalog.models_for("all"))[0] == "a"


def drawing(*draws: float) -> Callable[[], float]:
    given: Iterator[float] = iter(draws)
    return lambda: next(given)


def test_chance_chooses_the_first_and_the_others_keep_their_order() -> None:
    catalog = routed("random", ABC, random=drawing(0.0, 0.5, 0.99))
    found = [names(catalog.models_for("all")) for _ in range(3)]
    assert found == [["a", "b", "c"], ["b", "a", "c"], ["c", "a", "b"]]


def test_weights_are_the_shares_of_being_first() -> None:
    draws = [n / 100 for n in range(100)]
    catalog = routed("weighted", {"a": 7.0, "b": 2.0, "c": 1.0}, random=drawing(*draws))
    first = Counter(names(catalog.models_for("all"))[0] for _ in draws)
    assert first == {"a": 70, "b": 20, "c": 10}


def test_a_model_that_rests_is_not_drawn() -> None:
    health = Health(Clock())
    rest(health, "a")
    catalog = routed("weighted", {"a": 100.0, "b": 1.0}, health=health, random=lambda: 0.0)
    assert names(catalog.models_for("all")) == ["b", "a"]


def test_the_least_loaded_is_asked_first_and_ties_keep_their_order() -> None:
    health = Health(Clock())
    health.began("a")
    health.began("a")
    health.began("b")
    catalog = routed("least_loaded", ABC, health=health)
    assert names(catalog.models_for("all")) == ["c", "b", "a"]
    health.ended("a")
    assert names(catalog.models_for("all")) == ["c", "a", "b"]


def test_a_member_that_cannot_be_asked_is_left_out_and_a_route_of_such_is_refused() -> None:
    catalog = Catalog()
    route = Route("all", "ordered", {"a": 1.0, "gone": 1.0, "off": 1.0})
    off = RegisteredModel(model("off"), "file", 2, is_active=False)
    catalog.fill([RegisteredModel(model("a"), "file", 1), off], [route], [])
    assert names(catalog.models_for("all")) == ["a"]
    catalog.fill([off], [route], [])
    with pytest.raises(SpecError, match="no model of the route 'all' can be asked"):
        catalog.models_for("all")
    assert catalog.names() == []


# Names and numbers


def test_the_database_goes_before_the_file_and_the_file_before_the_environment() -> None:
    catalog = Catalog()
    entries = [
        RegisteredModel(model("m"), source, 1) for source in ("database", "environment", "file")
    ]  # type: ignore[arg-type]
    catalog.fill(entries, [], [])
    assert catalog.entry("m").source == "database"
    catalog.fill(entries[1:], [Route("m", "ordered", {"a": 1.0}, "environment")], [])
    assert catalog.entry("m").source == "file"


def test_nothing_takes_the_name_of_the_built_in_model() -> None:
    assert Catalog([model("offline")]).models_for("offline") == [OFFLINE]


def test_a_model_is_found_by_number_and_by_name_and_otherwise_said_to_be_unknown() -> None:
    catalog = routed("ordered", ABC)
    assert catalog.model(2).name == "b"
    assert catalog.model("c").name == "c"
    with pytest.raises(UnknownRecord, match="number 9"):
        catalog.model(9)
    with pytest.raises(UnknownRecord, match=r"no model 'x{64}'; have: a, b, c, offline, all"):
        catalog.models_for("x" * 1000)


def test_a_model_that_cannot_be_asked_says_why() -> None:
    catalog = Catalog()
    broken = RegisteredModel(model("m"), "file", 1, problem="the variable K is not set; set it")
    catalog.fill(
        [broken, RegisteredModel(model("off"), "database", 2, is_active=False)], [], ["m", "off"]
    )
    with pytest.raises(SpecError, match="'m' cannot be asked: the variable K is not set"):
        catalog.models_for("m")
    with pytest.raises(SpecError, match="switched off"):
        catalog.model("off")
    assert catalog.default == "offline"


def test_a_stand_in_is_nobody_where_only_the_built_in_model_is_left() -> None:
    catalog = Catalog()
    assert catalog.models_for("") == [OFFLINE]
    assert catalog.models_for("", stand_in=False) == []
    assert catalog.models_for("offline", stand_in=False) == [OFFLINE]


# The environment

pytestmark = pytest.mark.usefixtures("somewhere_else")


def settings(**variables: str) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        return Settings(_env_file=None)


def models_from(given: Settings) -> list[Model]:
    first = model_from(given)
    return [*([first] if first else []), *models_beside(first, given)]


def test_a_model_appears_for_every_key_and_the_first_one_is_the_default() -> None:
    found = models_from(
        settings(DEEPSEEK_API_KEY="d", DASHSCOPE_API_KEY="q", DASHSCOPE_MODEL="qwen-max")
    )
    assert [(m.name, m.upstream_name, m.api_key) for m in found] == [
        ("dashscope", "qwen-max", "q"),
        ("deepseek", "deepseek-chat", "d"),
    ]
    outside = ConfiguredModels(settings(DEEPSEEK_API_KEY="d", DASHSCOPE_API_KEY="q"))
    assert names(outside.catalog().models_for("")) == ["dashscope"]


def test_what_llm_says_is_the_default_and_the_vendors_stand_beside_it() -> None:
    given = settings(
        LLM_API_KEY="l", LLM_BASE_URL="http://127.0.0.1:1/v1", LLM_MODEL="m", OPENAI_API_KEY="o"
    )
    assert [(m.name, m.base_url, m.api_key) for m in models_from(given)] == [
        ("m", "http://127.0.0.1:1/v1", "l"),
        ("openai", "https://api.openai.com/v1", "o"),
    ]
    assert names(ConfiguredModels(given).catalog().models_for("")) == ["m"]


def test_the_model_of_openai_is_there_once() -> None:
    assert names(models_from(settings(OPENAI_API_KEY="o"))) == ["gpt-4o-mini"]


def test_the_other_name_of_anthropics_key_counts_too() -> None:
    (found,) = models_from(settings(ANTHROPIC_AUTH_TOKEN="t"))
    assert (found.name, found.provider, found.api_key) == ("anthropic", "anthropic", "t")
    assert "bearer" in found.quirks


def test_a_key_does_not_go_to_an_address_that_nothing_is_sent_to(
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = settings(DASHSCOPE_API_KEY=KEY, DASHSCOPE_BASE_URL="http://169.254.169.254/v1")
    assert models_from(given) == []
    assert "DASHSCOPE_BASE_URL and its model are not used" in caplog.text
    assert KEY not in caplog.text


def test_ollama_needs_no_key() -> None:
    (found,) = models_from(settings(OLLAMA_HOST="0.0.0.0", OLLAMA_MODEL="qwen3"))
    assert (found.name, found.provider, found.upstream_name) == ("ollama", "ollama", "qwen3")
    assert found.base_url == "http://127.0.0.1:11434"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("gpu-box", "http://gpu-box:11434"),
        ("http://gpu-box", "http://gpu-box:80"),
        ("https://o.example/base/", "https://o.example:443/base"),
        ("[::]:11434", "http://127.0.0.1:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("http://[::1", "http://127.0.0.1:11434"),
        ("box:nonsense", "http://127.0.0.1:11434"),
    ],
)
def test_ollamas_host_is_read_as_ollama_reads_it(host: str, url: str) -> None:
    assert ollama_url(host) == url


def test_keys_in_a_dotenv_file_count_and_those_of_the_environment_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".env").write_text("MOONSHOT_API_KEY=from-file\nDEEPSEEK_API_KEY=from-file\n")
    monkeypatch.setenv("DEEPSEEK_API_KEY", "from-environment")
    found = {m.name: m.api_key for m in models_from(Settings())}
    assert found == {"deepseek": "from-environment", "moonshot": "from-file"}


def test_settings_do_not_show_what_stands_beside_them() -> None:
    given = settings(DASHSCOPE_API_KEY=KEY, UNSPOOL_SECRET_KEY=KEY)
    assert given.secret_key == SecretStr(KEY)
    assert KEY not in f"{given!r} {given} {given.model_dump()} {given.model_dump_json()}"


def test_half_a_description_is_warned_of_once_and_not_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        ConfiguredModels(settings(LLM_API_KEY=KEY))
    assert caplog.text.count("LLM_BASE_URL is not set") == 1
