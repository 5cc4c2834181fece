"""
The table, from the results: the short one of the READMEs, the long one of `docs/comparison.md`.

Pure. To add a row: a `Row` in `ROWS`; `short` says whether the READMEs have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .judging import counted

Language = Literal["en", "zh"]
Summary = Mapping[str, Any]

SYSTEMS = ("relay", "ai-sdk", "litellm", "unspool")
"""The columns, in their order."""

NAMES: Mapping[Language, tuple[str, ...]] = {
    "en": ("relay by hand", "AI SDK, resumable-stream", "LiteLLM proxy", "Unspool"),
    "zh": ("手写转发", "AI SDK、resumable-stream", "LiteLLM 代理", "Unspool"),
}

COSTS = ("first_ms", "us_per_token", "late_ms", "memory_mib", "starts_s")
"""Each the best of all rounds."""

NOT_MADE_FOR: Mapping[Language, str] = {"en": "not made for", "zh": "不以此为目标"}


def summary(played: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of all rows, from all single results."""
    return {"systems": {name: _figures(results) for name, results in played.items()}}


def _figures(results: Mapping[str, Any]) -> dict[str, Any]:
    deploys = results["deploys"]
    half = len(deploys) // 2
    figures: dict[str, Any] = {
        "faults": dict(counted(results["faults"])),
        "not_right": {
            each: [r["name"].removesuffix(".g") for r in results["faults"] if r["verdict"] == each]
            for each in ("silent", "wrong", "hung")
        },
        "harmless": [
            sum(r["harmless"] and r["verdict"] == "whole" for r in results["faults"]),
            sum(r["harmless"] for r in results["faults"]),
        ],
        "stops": _share(results["stops"], lambda result: result["closed"]),
        "keeps": _share(results["breaks"], lambda result: result["kept"]),
        "deploys_short": _whole(deploys[:half]),
        "deploys_long": _whole(deploys[half:]),
        "costs": {name: min(each[name] for each in results["costs"]) for name in COSTS},
        "not_made_for": results["not_made_for"],
    }
    for scene in ("breaks", "second", "kills", "later"):
        figures[scene] = _whole(results[scene])
    return figures


def _share(results: list[Any], is_so: Callable[[Any], bool]) -> list[int]:
    return [sum(map(is_so, results)), len(results)]


def _whole(results: list[Any]) -> list[int]:
    return _share(results, lambda result: result.get("verdict") == "whole")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its name in both languages, and its cell for one system."""

    en: str
    zh: str
    cell: Callable[[Mapping[str, Any], Language], str]
    short: bool = True


def _of(share: list[int], language: Language) -> str:
    return f"{share[0]} of {share[1]}" if language == "en" else f"{share[0]}/{share[1]}"


def _shares(*names: str) -> Callable[[Mapping[str, Any], Language], str]:
    """Return a cell of shares, without those that a system is not made for."""

    def cell(figures: Mapping[str, Any], language: Language) -> str:
        cells = [
            NOT_MADE_FOR[language]
            if name in figures["not_made_for"]
            else _of(figures[name], language)
            for name in names
        ]
        return cells[0] if len(set(cells)) == 1 else " · ".join(cells)

    return cell


def _right(figures: Mapping[str, Any], language: Language) -> str:
    faults = figures["faults"]
    return _of([faults["whole"] + faults["said"], sum(faults.values())], language)


def _faults(figures: Mapping[str, Any], _: Language) -> str:
    faults = figures["faults"]
    return f"{faults['whole']} · {faults['silent'] + faults['wrong']} · {faults['hung']}"


def _costs(figures: Mapping[str, Any], _: Language) -> str:
    costs = figures["costs"]
    cpu, memory = costs["us_per_token"], costs["memory_mib"]
    first, starts = costs["first_ms"], costs["starts_s"]
    return f"{first:.0f} ms · {cpu:.0f} µs · {memory:.0f} MiB · {starts:.1f} s"


ROWS = (
    Row("a fault of the model: right in the end", "模型出故障：最终正确", _right),
    Row(
        "— whole · cut or changed in silence · hung",
        "—— 完整 · 悄悄截断或改动 · 卡住",
        _faults,
    ),
    Row(
        "— harmless oddities alone: whole",
        "—— 仅无害的怪异写法：完整",
        lambda figures, language: _of(figures["harmless"], language),
        short=False,
    ),
    Row(
        "viewer returns · a second one comes late",
        "看的人断线后回来 · 后到的第二个人",
        _shares("breaks", "second"),
    ),
    Row("`kill -9` of the server", "服务器被 `kill -9`", _shares("kills")),
    Row(
        "SIGTERM: short answers · long ones",
        "SIGTERM：短回答 · 长回答",
        _shares("deploys_short", "deploys_long"),
    ),
    Row(
        "stops within a second · lives on when its viewer leaves",
        "一秒内停下 · 看的人走后继续",
        _shares("stops", "keeps"),
    ),
    Row("read again after a restart of everything", "全部重启后再读", _shares("later")),
    Row(
        "first token later by · CPU a token · memory · start",
        "首字推迟 · 每字 CPU · 内存 · 启动",
        _costs,
    ),
)


def short(told: Summary, language: Language) -> list[str]:
    """Return the section of a README, heading included: at most 14 lines."""
    caption = CAPTIONS[language].format(**_facts(told))
    return [HEADINGS[language], "", caption, "", *_table(told, language, ROWS_SHORT)]


def long(told: Summary, language: Language) -> list[str]:
    """Return the section of `docs/comparison.md`, heading included."""
    date, versions = told["date"], told["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [HEADINGS[language], "", f"{date}: {named}.", "", *_table(told, language, ROWS), ""]
    return [*lines, *_names(told, language)]


def _facts(told: Summary) -> dict[str, Any]:
    faults = told["systems"]["unspool"]["faults"]
    versions = {name.replace("-", "_"): each for name, each in told["versions"].items()}
    return {"date": told["date"], "count": sum(faults.values()), **versions}


def _table(told: Summary, language: Language, rows: tuple[Row, ...]) -> Iterator[str]:
    yield f"| | {' | '.join(NAMES[language])} |"
    yield "|---|" + "---|" * len(SYSTEMS)
    for row in rows:
        name = row.en if language == "en" else row.zh
        cells = [row.cell(told["systems"][system], language) for system in SYSTEMS]
        yield f"| {name} | {' | '.join(cells)} |"


def _names(told: Summary, language: Language) -> Iterator[str]:
    """Say which faults did not end right, system by system."""
    for system, name in zip(SYSTEMS, NAMES[language], strict=True):
        for kind, names in told["systems"][system]["not_right"].items():
            if names:
                listed = ", ".join(f"`{each}`" for each in names)
                yield f"- {name}, {KINDS[language][kind]}: {listed}"


ROWS_SHORT = tuple(row for row in ROWS if row.short)

HEADINGS: Mapping[Language, str] = {"en": "## Under torture", "zh": "## 严刑之下"}

KINDS: Mapping[Language, Mapping[str, str]] = {
    "en": {"silent": "cut in silence", "wrong": "changed in silence", "hung": "hung"},
    "zh": {"silent": "悄悄截断", "wrong": "悄悄改动", "hung": "卡住"},
}

CAPTIONS: Mapping[Language, str] = {
    "en": (
        "`make torture` plays {count} faults of models, cuts, kills and deploys against four ways "
        "to stream, each as its own documents set it up ({date}: ai {ai}, LiteLLM {LiteLLM}, "
        "Unspool {Unspool}). "
        "[What is measured, what each is not made for, and where Unspool is not the best]"
        "(docs/comparison.md#under-torture)."
    ),
    "zh": (
        "`make torture` 用 {count} 种模型故障、断线、强杀和部署考验四种流式方案，各按自己的文档配置"
        "（{date}：ai {ai}、LiteLLM {LiteLLM}、Unspool {Unspool}）。"
        "[量了什么、各自不以什么为目标、Unspool 哪里不是最好](docs/comparison.zh-CN.md#严刑之下)。"
    ),
}
