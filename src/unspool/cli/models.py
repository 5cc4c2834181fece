"""`models`: list, add and test models, and convert a file of LiteLLM."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SpecError
from ..formats.terminal import clean
from ._bootstrap import read_settings, start_logging
from ._console import complain, say, stderr, stdout, write, write_json
from ._exit_codes import FAILED, FINE
from ._options import DataDir, Json
from ._register import open_store
from .runs import PIPED_WIDTH

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(
    no_args_is_help=True,
    help="List, add and test models; convert a file of LiteLLM.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="UNSPOOL_URL",
        metavar="URL",
        help="Address of the server (else the local server, else the data directory).",
    ),
]

VERDICTS = {
    "goes_on": "continues",
    "starts_anew": "starts over",
    "refused": "refuses",
    "cannot_tell": "unclear",
}


@app.command("list")
def list_models(url: Url = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List all models, by number."""
    start_logging("ERROR")  # the command prints each model's problem itself

    async def ask() -> tuple[dict[str, Any], bool]:
        async with open_store(url, data_dir) as store:
            return await store.list(), store.is_server

    listed, is_live = asyncio.run(ask())
    if as_json:
        write_json(listed)
        return
    console = stdout()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    console.print(_table(listed["models"], is_live=is_live))
    for model in listed["models"]:
        if model["problem"]:
            complain(f"{model['name']} cannot be asked: {model['problem']}")
    say(f"The default is {listed['default']}.", style="dim", to=stderr())


@app.command("add")
def add_model(  # noqa: PLR0913 - each option is a word of the command line
    *,
    name: Annotated[str, typer.Argument(help="Your name for it.")],
    provider: Annotated[
        str, typer.Option(help="The API it speaks: openai, anthropic …")
    ] = "openai",
    base_url: Annotated[str, typer.Option(help="Root of its API.", metavar="URL")] = "",
    upstream_name: Annotated[
        str, typer.Option("--upstream", help="The provider's name for it, if different.")
    ] = "",
    api_key_env: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Variable that holds its key (else the command asks for it)."
        ),
    ] = "",
    no_key: Annotated[bool, typer.Option("--no-key", help="It needs no key; do not ask.")] = False,
    params: Annotated[str, typer.Option(metavar="JSON", help='{"temperature": 0.7}')] = "",
    limits: Annotated[str, typer.Option(metavar="JSON", help='{"first_event_s": 60}')] = "",
    prices: Annotated[
        str,
        typer.Option(metavar="JSON", help='{"prompt": 0.8, "completion": 2, "currency": "CNY"}'),
    ] = "",
    max_parallel: Annotated[
        int | None, typer.Option(help="Answers it gives at once; more requests wait.", min=1)
    ] = None,
    prefill: Annotated[
        str, typer.Option(help="How it continues a text; `models test` finds out.")
    ] = "",
    quirks: Annotated[list[str] | None, typer.Option("--quirk")] = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Add a model. Its key comes from a variable or a prompt, never from an argument."""
    start_logging("WARNING")
    fields: dict[str, Any] = {
        "name": name,
        "provider": provider,
        "base_url": base_url,
        "upstream_name": upstream_name,
        "prefill": prefill,
        "quirks": quirks or [],
        "max_parallel": max_parallel,
    }
    objects = {"params": params, "limits": limits, "prices": prices}
    fields |= {word: _object(word, text) for word, text in objects.items() if text}
    if key := "" if no_key else _key(api_key_env):
        fields["api_key"] = key

    async def add() -> tuple[dict[str, Any], str]:
        async with open_store(url, data_dir) as store:
            return await store.add(fields), store.where

    model, where = asyncio.run(add())
    if as_json:
        write_json(model)
    else:
        say(f"{model['name']} is model {model['id']} of {where}.")
        say(f"Try it: unspool models test {model['name']}", style="dim", to=stderr())


@app.command("default")
def choose_default(
    *,
    name: Annotated[str, typer.Argument(help="A model or a route; empty: show the choice.")] = "",
    flow: Annotated[str, typer.Option(help="For this flow alone, such as copywriting.")] = "",
    clear: Annotated[bool, typer.Option("--clear", help="Withdraw the choice.")] = False,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show or choose the default model, of all flows or of one."""
    start_logging("WARNING")
    if name and clear:
        raise SpecError("give a name or --clear, not both")
    choice = None if clear else name
    change = {"flows": {flow: choice}} if flow else {"model": choice}

    async def choose() -> dict[str, Any]:
        async with open_store(url, data_dir) as store:
            return await store.choose(change) if name or clear else await store.list()

    facts = asyncio.run(choose())
    facts.pop("models", None)
    if as_json:
        write_json(facts)
        return
    say(f"The default is {facts['default']}.")
    for each, model in sorted(facts["default_for_flows"].items()):
        if model != facts["default"]:
            say(f"The default of {each} is {model}.")


def _object(word: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise SpecError(f"--{word} is not JSON; write an object, in quotes for the shell") from None


def _key(variable: str) -> str:
    if variable:
        key = read_settings().variable(variable)
        if not key:
            raise SpecError(f"the variable {variable[:64]!r} is not set; set it here or in .env")
        return key
    if not sys.stdin.isatty():
        return ""
    return str(typer.prompt("Key (empty: none)", hide_input=True, default="", show_default=False))


@app.command("test")
def try_model(
    name: Annotated[str, typer.Argument(help="Name or number of the model.")],
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Ask once; do not try how it continues a text.")
    ] = False,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Send a model a small request; find out how it continues a text that was cut."""
    start_logging("ERROR")  # the command prints the model's errors itself

    async def test() -> tuple[dict[str, Any], dict[str, Any]]:
        async with open_store(url, data_dir) as store:
            model = _named(await store.list(), name)
            return model, await store.test(model["id"], probe=not no_probe)

    model, tested = asyncio.run(test())
    if as_json:
        write_json(tested)
    elif tested["ok"]:
        for line in _tested(model, tested):
            say(line)
    else:
        complain(f"{name} failed: {tested['error']['code']}: {tested['error']['message']}")
    raise typer.Exit(FINE if tested["ok"] else FAILED)


def _named(listed: Mapping[str, Any], name: str) -> dict[str, Any]:
    for model in listed["models"]:
        if name in {model["name"], str(model["id"])}:
            return dict(model)
    names = ", ".join(model["name"] for model in listed["models"][:20])
    raise SpecError(f"no model {name[:64]!r}; have: {names}")


def _tested(model: Mapping[str, Any], tested: Mapping[str, Any]) -> Iterator[str]:
    yield f"✓ {model['name']} answers: {tested['text'].strip()[:200]}"
    first = tested["first_token_ms"]
    began = "unknown" if first is None else f"{first:.0f} ms"
    yield f"  first token {began}, whole {tested['total_ms']:.0f} ms"
    probe = tested.get("probe")
    if probe is None:
        return
    yield "Given half of an answer:"
    if probe["why"]:
        yield f"  no result: {probe['why']}"
    for trial in probe["ways"]:
        yield f"  {trial['way']:<24} {VERDICTS[trial['verdict']]:<15} {trial['said'][:60]!r}"
    prefill = probe["prefill"]
    if prefill is None:
        yield f"Unchanged: {model['goes_on']}"
    elif model["prefill"] and model["prefill"] != prefill:
        yield f"Found prefill {prefill}, but its own setting stands: {model['prefill']}"
    elif prefill == model["goes_on"]:
        yield f"As known before: prefill {prefill}"
    else:
        yield f"Stored: prefill {prefill}"


@app.command("import")
def import_models(
    file: Annotated[Path, typer.Argument(help="A configuration file of LiteLLM.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file; else standard output.")
    ] = None,
) -> None:
    """Convert a file of LiteLLM to unspool.yaml, and list the parts without a counterpart."""
    # pydantic takes a quarter of a second, which `--help` does not wait for.
    from ._litellm import convert

    text, notes = convert(file, read_settings().variable)
    if output is None:
        write(text)
    else:
        try:
            with output.open("x", encoding="utf-8") as to:
                to.write(text)
        except OSError as error:
            raise SpecError(
                f"{output} cannot be written: {error.strerror}; name another file"
            ) from error
    for note in notes:
        say(f"left behind: {note}", to=stderr())


@app.command("schema")
def write_schema() -> None:
    """Print the JSON Schema of unspool.yaml, for editors."""
    from ..models.config_file import schema  # as above

    write(schema())


def _table(models: list[dict[str, Any]], *, is_live: bool) -> Table:
    from rich.table import Table  # only here
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("id", no_wrap=True, justify="right")
    for column in ("name", "provider", "upstream name", "from", "key", "prefill"):
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    if is_live:
        table.add_column("health", no_wrap=True)
    for model in models:
        cells = [
            str(model["id"]),
            model["name"],
            model["provider"],
            model["upstream_name"],
            model["source"].replace("_", " "),
            "yes" if model["has_key"] else "no",
            model["goes_on"],
        ]
        style = "" if model["is_active"] and not model["problem"] else "dim"
        texts = [Text(clean(cell), style=style) for cell in cells]
        table.add_row(*texts, *([Text(_health(model))] if is_live else []))
    return table


def _health(model: Mapping[str, Any]) -> str:
    health = model["health"]
    if model["problem"]:
        return "cannot be asked"
    if not model["is_active"]:
        return "switched off"
    if health["is_resting"]:
        return f"rests {health['rests_s']:.0f} s more ({health['last_error']})"
    recent = model["recent"]
    if not recent["requests"]:
        return "not asked yet"
    first = health["first_token_s"]
    speed = "" if first is None else f", first token {first * 1000:.0f} ms"
    cause = f" ({recent['cause']})" if recent["cause"] else ""
    return f"{recent['failures']} of the last {recent['requests']} failed{cause}{speed}"
