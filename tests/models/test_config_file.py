"""The file `unspool.yaml`: what it says, and how it is told what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unspool import Limits, Settings
from unspool.errors import SetupError
from unspool.models.config_file import MAX_FILE_BYTES, find_config, models_of, read_config, schema
from unspool.models.sources import ConfiguredModels

ROOT = Path(__file__).parent.parent.parent
KEY = "sk-0123456789-0123456789-abcd"

WHOLE = """
# yaml-language-server: $schema=docs/unspool.schema.json
default: best
models:
  - name: quick
    provider: openai
    model: qwen-plus
    api_base: https://dashscope.aliyuncs.com/compatible-mode/v1
    api_key: env:QUICK_KEY
    params: {temperature: 0.7}
    limits: {first_event_s: 10}
    prefill: partial
    quirks: [no_stream_options]
    prices: {prompt: 0.8, completion: 2, currency: CNY}
  - name: local
    api_base: http://127.0.0.1:8080/v1
routes:
  - name: best
    strategy: weighted
    models: [{model: quick, weight: 3}, local]
"""

pytestmark = pytest.mark.usefixtures("somewhere_else")


def write(text: str | bytes) -> Path:
    path = Path("unspool.yaml")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(text: str | bytes) -> str:
    with pytest.raises(SetupError) as refused:
        read_config(write(text))
    message = str(refused.value)
    assert message.startswith("unspool.yaml")
    assert "\n" not in message
    return message


def found(text: str, **variables: str) -> list[tuple[Any, str]]:
    config = read_config(write(text))
    return models_of(config, lambda n: variables.get(n, ""), Limits(idle_s=7), allow_private=True)


def test_every_word_of_the_file_reaches_the_model() -> None:
    (quick, why), (local, _) = found(WHOLE, QUICK_KEY=KEY)
    assert why == ""
    assert (quick.name, quick.provider, quick.upstream_name) == ("quick", "openai", "qwen-plus")
    assert quick.base_url == "https://dashscope.aliyuncs.com/compatible-mode/v1"
    assert (quick.api_key, quick.prefill, quick.quirks) == (KEY, "partial", {"no_stream_options"})
    assert (quick.limits.first_event_s, quick.limits.idle_s) == (10, 7)
    assert (quick.prices.prompt, quick.prices.cached, quick.prices.currency) == (0.8, None, "CNY")
    assert dict(quick.params) == {"temperature": 0.7}
    assert (local.upstream_name, local.api_key) == ("local", "")


def test_the_file_in_the_folder_is_read_where_none_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert find_config(None) is None
    write(WHOLE)
    assert find_config(None) == Path("unspool.yaml")
    monkeypatch.setenv("QUICK_KEY", KEY)
    catalog = ConfiguredModels(Settings(_env_file=None)).catalog()
    assert catalog.default == "best"
    assert {m.name for m in catalog.models_for("")} == {"quick", "local"}


def test_what_the_environment_names_goes_before_the_default_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(WHOLE)
    for name, value in {"API_KEY": "k", "BASE_URL": "http://127.0.0.1:1", "MODEL": "m"}.items():
        monkeypatch.setenv(f"LLM_{name}", value)
    assert ConfiguredModels(Settings(_env_file=None)).catalog().default == "m"


def test_a_file_that_was_named_must_be_there() -> None:
    with pytest.raises(SetupError, match=r"absent\.yaml cannot be read: No such file.*UNSPOOL_CON"):
        ConfiguredModels(Settings(_env_file=None, config=Path("absent.yaml")))


def test_an_empty_file_says_nothing() -> None:
    assert found("# nothing yet\n") == []


def test_a_variable_that_is_not_set_leaves_its_model_standing_with_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (_, why), _ = found(WHOLE)
    assert why == "the variable QUICK_KEY is not set; set it, and start again"
    assert "Model quick of the file cannot be asked" in caplog.text


def test_a_key_in_the_file_itself_works_and_is_warned_of_without_being_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (quick, why), _ = found(WHOLE.replace("env:QUICK_KEY", KEY))
    assert (quick.api_key, why) == (KEY, "")
    assert "The file itself holds the key of quick" in caplog.text
    assert KEY not in caplog.text


def test_a_public_address_needs_a_key_and_a_metadata_address_is_never_asked() -> None:
    for address, words in (
        ("https://api.example.com/v1", "the key of m is missing"),
        ("http://169.254.169.254/v1", "the address of m"),
    ):
        ((_, why),) = found(f"models: [{{name: m, api_base: '{address}'}}]")
        assert words in why


WRONG = {
    "an unknown word": ("models:\n  - name: m\n    modle: x\n", 3, ".modle: is unknown here"),
    "a litellm file": ("model_list: []\n", 1, "`unspool models import` reads a file of LiteLLM"),
    "an unknown provider": ("models:\n- name: m\n  provider: opnai\n", 3, "have: anthropic"),
    "an unknown prefill": ("models:\n- name: m\n\n  prefill: maybe\n", 4, "have: none, assistant"),
    "an unknown quirk": ("models:\n- {name: m, quirks: [odd]}\n", 2, "have: cumulative_content"),
    "no address": ("models:\n- name: m\n", 2, "its address is missing"),
    "a name that is none": ("models:\n- name: two words\n", 2, "models[0].name"),
    "a name that is a number": ("models:\n- name: 12\n", 2, "put it into quotes"),
    "a reserved name": ("models:\n- name: offline\n", 2, "choose another name"),
    "a password": ("models:\n- {name: m, api_base: 'http://u:p@h/'}\n", 2, "no user, password"),
    "a route without models": ("routes:\n- {name: r, models: []}\n", 2, "routes[0].models"),
    "a strategy": ("routes:\n- name: r\n  strategy: best\n  models: [m]\n", 3, "'ordered', 'round"),
    "twice in a route": ("routes:\n- {name: r, models: [m, m]}\n", 2, "may appear in a route once"),
    "itself": ("routes:\n- {name: r, models: [r]}\n", 2, "cannot hold itself"),
    "a weight": ("routes:\n- {name: r, models: [{model: m, weight: 0}]}\n", 2, "greater than 0"),
    "a limit": ("models:\n- name: m\n  limits: {idle_s: -1}\n", 3, "greater than 0"),
    "a price": ("models:\n- name: m\n  prices: {prompt: free, completion: 1}\n", 3, "valid number"),
    "half a price": ("models:\n- name: m\n  prices: {prompt: 1}\n", 3, "is missing"),
    "a list": ("[]", 1, "the file"),
    "a tag": ("models: !!python/object:os.system {}\n", 1, "tags are not supported"),
    "an alias": ("models: &m []\nroutes: *m\n", 1, "anchors and aliases are not supported"),
    "a word twice": ("default: a\n\ndefault: b\n", 3, "keys that appear twice"),
    "no yaml": ("models:\n\t- name: m\n", 2, "is not YAML"),
    "too deep": ("a: " + "[" * 40 + "]" * 40, 1, "levels are not supported"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_its_line_its_place_and_what_is_right(case: str) -> None:
    text, line, words = WRONG[case]
    message = refusal(text)
    assert f", line {line}" in message
    assert words in message


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe\x00m", b"a" * (MAX_FILE_BYTES + 1), b"a: " + b"[" * 100_000, b"\x00", b"%"]
)
def test_what_is_no_such_file_is_refused_with_a_sentence(raw: bytes) -> None:
    refusal(raw)


def test_a_name_twice_and_a_route_in_a_route_are_refused() -> None:
    two = "models:\n- {name: m, provider: ollama}\n- {name: m, provider: ollama}\n"
    assert "m appears twice" in refusal(two)
    nested = "routes:\n- {name: r, models: [s]}\n- {name: s, models: [m]}\n"
    assert "r holds the route s" in refusal(nested)


def test_a_wrong_key_is_not_repeated() -> None:
    message = refusal(f"models:\n- name: m\n  api_key: 'two words {KEY}'\n")
    assert "env:NAME" in message
    assert KEY not in message


def test_words_that_other_files_take_for_something_else_stay_text() -> None:
    text = "models:\n- {name: no, provider: ollama, model: 12:30}\n"
    text += "- {name: 2026-01-01, provider: ollama}"
    assert [(m.name, m.upstream_name) for m, _ in found(text)] == [
        ("no", "12:30"),
        ("2026-01-01", "2026-01-01"),
    ]
    ((model, _),) = found(
        "models: [{name: m, provider: ollama, params: {a: 1e3, b: 0.5, c: true, d: null, e: 007}}]"
    )
    assert dict(model.params) == {"a": 1000.0, "b": 0.5, "c": True, "d": None, "e": "007"}


def test_the_schema_for_editors_is_the_one_of_the_file() -> None:
    assert (ROOT / "docs" / "unspool.schema.json").read_text() == schema()
    facts = json.loads(schema())
    said = facts["$defs"]["FileModel"]["properties"]
    assert {"name", "provider", "model", "api_base", "api_key"} <= set(said)
    assert said["api_base"]["description"]
    assert facts["$defs"]["FileModel"]["additionalProperties"] is False


def test_the_example_of_the_document_is_right() -> None:
    document = (ROOT / "docs" / "models.md").read_text()
    example = document.partition("```yaml\n")[2].partition("```")[0]
    assert len(found(example)) >= 2
