"""S3.8: posts without a library, functions from elsewhere, missing awaits, Chinese reasons."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from unspool.apps.audit.tree import audit
from unspool.cli import app

from .test_audit import ORIGINALS, found, tree


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("payload = {'model': 'm', 'messages': [], 'stream': True}", "streaming"),
        ("payload = {'model': 'm', 'messages': [], 'stream': False}", "not_streaming"),
        ("payload = {'model': 'm', 'messages': []}", "not_streaming"),
        ("payload = dict(name='x', age=3)", None),
        ("payload = {'prompt': 'x', 'size': 3}", None),
    ],
)
def test_s3_8_a_post_is_known_by_its_body_where_its_address_cannot_be_followed(
    tmp_path: Path, body: str, verdict: str | None
) -> None:
    text = f"""
        class Client:
            async def ask(self, session):
                {body}
                async with session.post(self.api_url, json=payload) as response:
                    return response
    """
    assert found(tmp_path, "a.py", text) == ([("session.post", verdict)] if verdict else [])


def test_s3_8_a_call_of_a_function_from_elsewhere_counts_if_it_is_told_to_stream_or_not(
    tmp_path: Path,
) -> None:
    text = """
        async def answer(client):
            await client.chat_completion("q", stream=False)
            await client.chat_completion("q", stream=True)
            requests.get("http://x/file", stream=True)
            logging.StreamHandler(stream=False)
            await client.chat_completion("q")
    """
    assert found(tmp_path, "a.py", text) == [
        ("client.chat_completion", "not_streaming"),
        ("client.chat_completion", "streaming"),
    ]


@pytest.mark.parametrize(
    ("use", "is_wrong"),
    [
        ("chunks = self.chat_completion('p', stream=True)\n", True),
        ("chunks = await self.chat_completion('p', stream=True)\n", False),
        ("chunks = self.chat_completion('p', stream=True); chunks = await chunks\n", False),
    ],
)
def test_s3_8_a_missing_await_before_a_stream_is_found(
    tmp_path: Path, use: str, is_wrong: bool
) -> None:
    text = (
        ORIGINALS["core/openai_client.py"]
        + f"""
            async def missing(self):
                {use}
                async for chunk in chunks:
                    yield chunk
    """
    )
    done = audit(tree(tmp_path, {"core/openai_client.py": text}))
    assert done.count("not_awaited") == is_wrong
    result = CliRunner().invoke(app, ["audit", str(tmp_path)])
    assert ("❌ 1 个LLM调用缺少 await" in result.stdout) is is_wrong


def test_s3_8_the_chinese_report_gives_chinese_reasons(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["audit", str(tree(tmp_path, ORIGINALS))])
    assert "（stream 为假，经由 chat_completion）" in result.stdout
    assert "stream is false" not in result.stdout
