"""S3.8: the audit finds what is streamed, what is not, and what cannot be told."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from unspool.apps.audit.tree import audit
from unspool.cli import app
from unspool.errors import SetupError

SRC = Path(__file__).parent.parent.parent.parent / "src"

ORIGINALS = {
    "core/openai_client.py": """
        from openai import AsyncOpenAI

        class OpenAIClient:
            def __init__(self):
                self.client = AsyncOpenAI()

            async def chat_completion(self, prompt, max_tokens=4000, stream=True, max_retries=1):
                for attempt in range(max_retries + 1):
                    if stream:
                        return self._stream_chat(prompt)
                    return await self._non_stream_chat(prompt)

            async def _stream_chat(self, prompt):
                answer = await self.client.chat.completions.create(model="m", stream=True)
                async for chunk in answer:
                    yield chunk

            async def _non_stream_chat(self, prompt):
                return await self.client.chat.completions.create(model="m", stream=False)

            async def abstract_events_batch(self, behaviors):
                return await self.chat_completion("a", max_tokens=8000, stream=False)

            async def abstract_events_batch_stream(self, behaviors):
                async for chunk in await self.chat_completion("a", stream=True):
                    yield chunk

            async def profile(self):
                return await self.chat_completion("a")

            async def one(self):
                return await self.chat_completion("a", stream=True)

            async def two(self):
                return await self.chat_completion("a", stream=True)

            async def three(self):
                wanted = True
                return await self.chat_completion("a", stream=wanted)

            async def four(self):
                options = {"stream": True}
                return await self.chat_completion("a", **options)
    """,
    "services/causal_graph_service.py": """
        class CausalGraphService:
            async def generate_from_patterns(self, patterns):
                return await self.llm.chat_completion("p", stream=False)

            async def answer_question_with_graph(self, question):
                return await self.llm.chat_completion(question, max_tokens=2000, stream=False)

            async def explain(self):
                return await self.llm.chat_completion("e", stream=True)
    """,
    "api/causal_graph_routes.py": """
        async def answer_question(client):
            return await client.chat_completion("q", stream=False)

        async def more(client):
            return await client.chat_completion("q", stream=True)
    """,
    "frontend/src/api/index.js": """
        import OpenAI from 'openai'
        const client = new OpenAI()
        export const ask = async () => client.chat.completions.create({ model: 'm', stream: true })
    """,
}


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def found(folder: Path, name: str, text: str) -> list[tuple[str, str]]:
    done = audit(tree(folder, {name: text}))
    assert done.unread == []
    return [(finding.api.rpartition("?.")[2], finding.verdict) for finding in done.findings]


def test_s3_8_of_the_originals_thirteen_calls_four_do_not_stream(tmp_path: Path) -> None:
    done = audit(tree(tmp_path, ORIGINALS))
    assert (done.count("streaming"), done.count("not_streaming")) == (9, 4)
    assert done.count("cannot_tell") == 0
    places = [(f.file, f.line) for f in done.findings if f.verdict == "not_streaming"]
    assert places == [
        ("api/causal_graph_routes.py", 3),
        ("core/openai_client.py", 23),
        ("services/causal_graph_service.py", 4),
        ("services/causal_graph_service.py", 7),
    ]


def test_s3_8_the_report_is_the_seeds_and_the_exit_code_is_for_ci(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["audit", str(tree(tmp_path, ORIGINALS))])
    assert done.exit_code == 1
    assert done.stdout.startswith("=== LLM流式调用审计报告 ===\n\n流式调用 (stream=True): 9 个\n")
    assert "非流式调用 (stream=False): 4 个\n\n流式使用率: 69.2%\n" in done.stdout
    assert "api/causal_graph_routes.py:3:" in done.stdout
    assert done.stdout.rstrip().endswith("❌ 4 个LLM调用未使用流式模式")


def test_a_bundle_made_by_a_program_is_not_read(tmp_path: Path) -> None:
    call = "client.chat.completions.create({model: 'm'});"
    (tmp_path / "index-1a2b.js").write_text(call * 300)
    (tmp_path / "written.js").write_text(call)
    assert [finding.file for finding in audit(tmp_path).findings] == ["written.js"]


def test_s3_8_our_own_tree_streams_all_of_it() -> None:
    done = CliRunner().invoke(app, ["audit", str(SRC), "--strict"])
    assert done.exit_code == 0, done.stdout
    assert "流式使用率: 100.0%" in done.stdout
    assert done.stdout.rstrip().endswith("✅ 所有LLM调用已使用流式模式")
    (count,) = re.findall(r"流式调用 \(stream=True\): (\d+) 个", done.stdout)
    assert int(count) >= 6


PYTHON: list[tuple[str, str, list[str]]] = [
    ("openai", "client.chat.completions.create(stream=True)", ["streaming"]),
    (
        "a route of ours",
        "@router.post('/v1/chat/completions')\nasync def complete(): ...",
        [],
    ),
    ("nothing said", "client.chat.completions.create(model='m')", ["not_streaming"]),
    ("a helper that streams", "client.chat.completions.stream(model='m')", ["streaming"]),
    ("responses", "client.responses.create(stream=True)", ["streaming"]),
    ("anthropic", "client.messages.create(model='m')", ["not_streaming"]),
    ("anthropic streams", "with client.messages.stream() as s: pass", ["streaming"]),
    ("of the old kind", "import openai\nopenai.ChatCompletion.create(stream=True)", ["streaming"]),
    ("litellm", "import litellm\nlitellm.completion(stream=True)", ["streaming"]),
    (
        "litellm by name",
        "from litellm import acompletion as ask\nask(model='m')",
        ["not_streaming"],
    ),
    ("a completion of no library", "completion(word)", []),
    (
        "dashscope",
        "from dashscope import Generation\nGeneration.call(stream=True)\nGeneration.call()",
        ["streaming", "not_streaming"],
    ),
    ("ollama", "import ollama\nollama.chat(model='m')", ["not_streaming"]),
    (
        "a client of ollama",
        "from ollama import Client\nit = Client()\nit.generate(stream=True)",
        ["streaming"],
    ),
    (
        "langchain",
        "from langchain_openai import ChatOpenAI\nx = ChatOpenAI()\nx.invoke('a')\nx.stream('a')",
        ["not_streaming", "streaming"],
    ),
    (
        "langchain, made with streaming",
        "from langchain_openai import ChatOpenAI\nChatOpenAI(streaming=True).invoke('a')",
        ["streaming"],
    ),
    (
        "a retriever has invoke too",
        "from langchain.stores import Store\nr = Store()\nr.invoke('a')",
        [],
    ),
    (
        "a raw post",
        "import httpx\nhttpx.post(base + '/chat/completions', json={'stream': True})",
        ["streaming"],
    ),
    (
        "a raw post with a payload that is filled later",
        "URL = 'http://x/v1/chat/completions'\np = {'model': 'm'}\np['stream'] = True\n"
        "session.post(URL, json=p)\nsession.post(f'{root}/v1/messages', data=json.dumps({}))",
        ["streaming", "not_streaming"],
    ),
    (
        "an address made of itself",
        "path = '/v1'\npath = root + path\nurl = root + url\nhttpx.post(url, json={})",
        [],
    ),
    ("a post of something else", "httpx.post('/orders', json={'stream': True})", []),
    (
        "our client",
        "from unspool import get_llm_client\nget_llm_client().stream_chat('a')",
        ["streaming"],
    ),
    (
        "what cannot be followed",
        "client.chat.completions.create(stream=flag())\nclient.chat.completions.create(**options)",
        ["cannot_tell", "cannot_tell"],
    ),
    (
        "a name with two values",
        "def f():\n    s = True\n    s = False\n    client.chat.completions.create(stream=s)",
        ["cannot_tell"],
    ),
    (
        "a wrapper that nobody calls",
        "def ask(stream=True):\n    return c.chat.completions.create(stream=stream)",
        ["cannot_tell"],
    ),
    (
        "a wrapper that is called",
        "def ask(stream=True):\n    return c.chat.completions.create(stream=stream)\n"
        "ask()\nask(stream=False)",
        ["streaming", "not_streaming"],
    ),
]


@pytest.mark.parametrize(("text", "verdicts"), [p[1:] for p in PYTHON], ids=[p[0] for p in PYTHON])
def test_python_is_read_by_its_syntax(tmp_path: Path, text: str, verdicts: list[str]) -> None:
    assert [verdict for _, verdict in found(tmp_path, "a.py", text)] == verdicts


JAVASCRIPT: list[tuple[str, str, list[str]]] = [
    ("openai", "await client.chat.completions.create({ model, stream: true })", ["streaming"]),
    ("nothing said", "await client.chat.completions.create({ model })", ["not_streaming"]),
    ("anthropic", "anthropic.messages.stream({ model })", ["streaming"]),
    (
        "the AI SDK",
        "import { streamText, generateText } from 'ai'\nstreamText({ model })\ngenerateText({})",
        ["streaming", "not_streaming"],
    ),
    ("a function of that name", "function streamText() {}\nstreamText({})", []),
    (
        "langchain",
        "import { ChatOpenAI } from '@langchain/openai'\nconst m = new ChatOpenAI({})\n"
        "await m.invoke('a')\nawait m.stream('a')",
        ["not_streaming", "streaming"],
    ),
    ("ollama", "import ollama from 'ollama'\nawait ollama.chat({ stream: true })", ["streaming"]),
    (
        "fetch",
        "fetch(`${base}/chat/completions`, { body: JSON.stringify({ stream: true }) })",
        ["streaming"],
    ),
    (
        "axios with a name",
        "const body = { model: 'm' }\naxios.post(root + '/v1/chat/completions', body)",
        ["not_streaming"],
    ),
    ("our client", "for await (const e of openRun(url, { body })) {}", ["streaming"]),
    ("shorthand", "client.chat.completions.create({ model, stream })", ["cannot_tell"]),
    (
        "a constant",
        "const stream = true\nclient.chat.completions.create({ stream })",
        ["streaming"],
    ),
]


@pytest.mark.parametrize("ending", ["js", "ts", "tsx", "vue"])
@pytest.mark.parametrize(
    ("text", "verdicts"), [p[1:] for p in JAVASCRIPT], ids=[p[0] for p in JAVASCRIPT]
)
def test_javascript_is_read_by_its_syntax(
    tmp_path: Path, text: str, verdicts: list[str], ending: str
) -> None:
    if ending == "vue":
        text = f"<template>\n  <p>{{{{ a }}}}</p>\n</template>\n<script setup>\n{text}\n</script>\n"
    assert [verdict for _, verdict in found(tmp_path, f"a.{ending}", text)] == verdicts


def test_lines_and_columns_are_those_of_the_file(tmp_path: Path) -> None:
    files = {
        "a.py": "\n\n  \nx = [c.chat.completions.create()]\n",
        "b.vue": "<template/>\n<script>\n\n  c.chat.completions.create({})\n</script>\n",
    }
    places = [(f.file, f.line, f.column) for f in audit(tree(tmp_path, files)).findings]
    assert places == [("a.py", 4, 6), ("b.vue", 4, 3)]


def test_what_others_wrote_and_what_is_no_code_is_left_alone(tmp_path: Path) -> None:
    call = "c.chat.completions.create()\n"
    files = {f"{name}/a.py": call for name in ("node_modules", ".venv", "dist", "x/site-packages")}
    done = audit(tree(tmp_path, {**files, "a.md": call, "mine/a.py": call}))
    assert [finding.file for finding in done.findings] == ["mine/a.py"]
    assert done.files == 1


def test_files_that_cannot_be_read_are_told_and_stop_nothing(tmp_path: Path) -> None:
    tree(tmp_path, {"a.py": "def broken(:\n", "b.py": "c.messages.create(stream=True)\n"})
    (tmp_path / "c.py").write_bytes(b"x = '\xff\xfe'\0")
    (tmp_path / "d.js").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "e.js").write_bytes(b"x" * (2 * 1024 * 1024 + 1))
    (tmp_path / "f.py").write_text("x = " + "(" * 5000 + ")" * 5000)
    done = audit(tmp_path)
    assert done.count("streaming") == 1
    assert [unread.file for unread in done.unread] == ["a.py", "c.py", "d.js", "e.js", "f.py"]


def test_nothing_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="there is nothing at"):
        audit(tmp_path / "nowhere")
    empty = CliRunner().invoke(app, ["audit", str(tmp_path)])
    assert empty.exit_code == 0
    assert "没有找到LLM调用" in empty.stdout


def test_json_and_sarif_are_for_programs(tmp_path: Path) -> None:
    folder = tree(tmp_path / "tree", ORIGINALS)
    sarif = tmp_path / "audit.sarif"
    done = CliRunner().invoke(app, ["audit", str(folder), "--json", "--sarif", str(sarif)])
    told = json.loads(done.stdout)
    assert (told["streaming"], told["not_streaming"], told["cannot_tell"]) == (9, 4, 0)
    assert len(told["findings"]) == 13
    (run,) = json.loads(sarif.read_text())["runs"]
    assert run["tool"]["driver"]["name"] == "unspool audit"
    assert len(run["results"]) == 4
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "api/causal_graph_routes.py"
    assert place["region"]["startLine"] == 3


def test_strict_fails_for_what_cannot_be_told(tmp_path: Path) -> None:
    folder = str(tree(tmp_path, {"a.py": "c.messages.create(stream=flag())\n"}))
    assert CliRunner().invoke(app, ["audit", folder]).exit_code == 0
    assert CliRunner().invoke(app, ["audit", folder, "--strict"]).exit_code == 1
