"""The console as files: who may load what, how long it is kept, and what is said without it."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from support.servers import Served
from unspool.server.console import BUILT, PAGES, POLICY, add_console

ROOT = Path(__file__).parent.parent.parent
INDEX = '<!doctype html><script type="module" src="/assets/index-1a2b.js"></script>'


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """What a build leaves behind, in small."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "index-1a2b.js").write_text("export {}")
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "theme.js").write_text("")
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "unspool-client.js").write_text("export {}")
    return tmp_path


def pages_of(built: Path) -> httpx.AsyncClient:
    app = FastAPI(docs_url=None)
    add_console(app, built)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


@pytest.mark.parametrize("path", [re.sub(r"{\w+}", "01abc", page) for page in PAGES])
async def test_every_address_of_the_console_is_its_one_page(built: Path, path: str) -> None:
    async with pages_of(built) as pages:
        answer = await pages.get(path)
    assert answer.text == INDEX
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_s2_11_the_debug_page_is_where_the_contract_says(built: Path) -> None:
    async with pages_of(built) as pages:
        assert (await pages.get("/pages/debug.html")).text == INDEX


async def test_files_with_their_contents_in_their_names_are_kept_for_good(built: Path) -> None:
    async with pages_of(built) as pages:
        answer = await pages.get("/assets/index-1a2b.js")
        missing = await pages.get("/assets/nothing.js")
        outside = await pages.get("/assets/..%2findex.html")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/javascript")
    assert (missing.status_code, outside.status_code) == (404, 404)


async def test_other_addresses_are_not_the_console(built: Path) -> None:
    async with pages_of(built) as pages:
        assert (await pages.get("/v1/runs")).status_code == 404
        assert (await pages.get("/anything")).status_code == 404


async def test_where_it_is_not_built_one_sentence_says_what_to_run(tmp_path: Path) -> None:
    async with pages_of(tmp_path) as pages:
        answer = await pages.get("/")
        module = await pages.get("/client/unspool-client.js")
        asset = await pages.get("/assets/index-1a2b.js")
    assert (answer.status_code, module.status_code, asset.status_code) == (404, 404, 404)
    assert "make console" in answer.text
    assert "make console" in module.text


async def test_any_page_may_import_the_client_and_keeps_it_while_it_is_the_same(
    built: Path,
) -> None:
    async with pages_of(built) as pages:
        first = await pages.get("/client/unspool-client.js")
        again = {"If-None-Match": first.headers["etag"]}
        second = await pages.get("/client/unspool-client.js", headers=again)
        missing = await pages.get("/client/nothing.js")
        outside = await pages.get("/client/..%2findex.html")
    assert first.headers["content-type"].startswith("text/javascript")
    assert (first.status_code, second.status_code, second.content) == (200, 304, b"")
    assert (missing.status_code, outside.status_code) == (404, 404)
    for answer in (first, second):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert answer.headers["cache-control"] == "no-cache"


def test_the_policy_allows_nothing_in_the_page_itself_and_nothing_from_elsewhere() -> None:
    assert "unsafe" not in POLICY
    assert "default-src 'none'" in POLICY
    assert "frame-ancestors 'none'" in POLICY
    assert "http" not in POLICY


def test_the_pages_of_the_server_are_those_of_the_router() -> None:
    router = (ROOT / "console" / "src" / "routes.ts").read_text()
    paths = {path for path in re.findall(r'path: "(/[^"]*)"', router) if "*" not in path}
    assert {re.sub(r":\w+(\([^)]*\))?", "{}", path) for path in paths} == {
        re.sub(r"{\w+}", "{}", page) for page in PAGES
    }


async def test_a_server_answers_heads_of_pages_too(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    answer = await client.head(f"{shared_server.url}/runs")
    assert answer.status_code in {200, 404}  # built, or not
    assert answer.content == b""


needs_build = pytest.mark.skipif(
    not (BUILT / "index.html").is_file(), reason="the console is not built: make console"
)


@needs_build
def test_what_is_built_needs_nothing_in_the_page_and_nothing_from_elsewhere() -> None:
    page = (BUILT / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert "style=" not in page
    assert not re.search(r'(?:src|href)="https?:', page)
    client = {path.name: path.read_text() for path in (BUILT / "client").glob("*.js")}
    assert set(client) == {"unspool-client.js", "shared.js", "conversation.js"}
    assert set(re.findall(r'from"([^"]+)"', client["shared.js"])) == {"./unspool-client.js"}
    assert "import" not in client["unspool-client.js"]
    code = "".join(path.read_text() for path in BUILT.rglob("*.js"))
    assert not re.search(r"\bnew Function\(|\beval\(", code)


@pytest.mark.slow
@pytest.mark.timeout(120)
@needs_build
def test_a_wheel_has_the_console_in_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", tmp_path, ROOT], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    wanted = {path.relative_to(BUILT).as_posix() for path in BUILT.rglob("*") if path.is_file()}
    assert {f"unspool/server/_console/{name}" for name in wanted} <= set(names)
    assert not [name for name in names if "node_modules" in name]
