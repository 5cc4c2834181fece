"""The findings of an audit: for people, as JSON, and as SARIF 2.1.0 for tools."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from .reasons import words_of

if TYPE_CHECKING:
    from .sites import AuditFinding
    from .tree import Audit

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
"""Only names the format; nothing loads it."""

_HEADS: Final = {"not_awaited": "缺少 await", "not_streaming": "非流式", "cannot_tell": "无法判断"}

_RULES: Final = {
    "not_streaming": ("warning", "A call of a model waits for its whole answer"),
    "cannot_tell": ("note", "Whether a call of a model streams cannot be told from the code"),
    "not_awaited": ("error", "A coroutine is iterated without await"),
}


def text_of(audit: Audit) -> str:
    """Return the report in the words of the seed document, with the place of each finding."""
    streaming, other = audit.count("streaming"), audit.count("not_streaming")
    rate = "没有找到LLM调用" if audit.rate is None else f"{audit.rate * 100:.1f}%"
    lines = [
        "=== LLM流式调用审计报告 ===",
        "",
        f"流式调用 (stream=True): {streaming} 个",
        f"非流式调用 (stream=False): {other} 个",
        "",
        f"流式使用率: {rate}",
        "",
    ]
    for verdict, head in _HEADS.items():
        found = [f for f in audit.findings if f.verdict == verdict]
        if found:
            lines.append(f"{head}：")
            lines += [f"  {f.file}:{f.line}:{f.column} {f.api}（{_why(f)}）" for f in found]
            lines.append("")
    if audit.unread:
        lines.append("未能读取：")
        lines += [f"  {unread.file} ({unread.why})" for unread in audit.unread]
        lines.append("")
    lines.append(_verdict(other, streaming, audit.count("not_awaited")))
    return "\n".join(lines)


def _why(finding: AuditFinding) -> str:
    return words_of(finding.reason, finding.through, chinese=True)


def _verdict(other: int, streaming: int, broken: int) -> str:
    if broken:
        return f"❌ {broken} 个LLM调用缺少 await"
    if other:
        return f"❌ {other} 个LLM调用未使用流式模式"
    return "✅ 所有LLM调用已使用流式模式" if streaming else "没有可以判断的LLM调用"


def json_of(audit: Audit) -> dict[str, Any]:
    return {
        "streaming": audit.count("streaming"),
        "not_streaming": audit.count("not_streaming"),
        "cannot_tell": audit.count("cannot_tell"),
        "rate": audit.rate,
        "files": audit.files,
        "not_awaited": audit.count("not_awaited"),
        "findings": [{**asdict(finding), "why": finding.why} for finding in audit.findings],
        "unread": [asdict(unread) for unread in audit.unread],
    }


def sarif_of(audit: Audit, version: str) -> dict[str, Any]:
    """Return the findings as SARIF; calls that stream are not findings."""
    rules = [
        {"id": name, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}}
        for name, (level, text) in _RULES.items()
    ]
    results = [
        {
            "ruleId": finding.verdict,
            "level": _RULES[finding.verdict][0],
            "message": {"text": f"{finding.api}: {finding.why}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": finding.file.replace("\\", "/")},
                        "region": {"startLine": finding.line, "startColumn": finding.column},
                    }
                }
            ],
        }
        for finding in audit.findings
        if finding.verdict in _RULES
    ]
    driver = {"name": "unspool audit", "version": version, "rules": rules}
    run = {"tool": {"driver": driver}, "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
