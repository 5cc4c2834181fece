"""An application is one folder: with it everything of it is there, without it nothing is."""

from __future__ import annotations

import asyncio
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.readers import look
from support.servers import Serve, clean_env
from unspool import apps, plugs

SRC = Path(__file__).parent.parent.parent / "src" / "unspool"

SIXTH = {
    "__init__.py": '''
        """Greetings: one line for whoever comes in."""

        from unspool.plugs import App

        app = App(
            flows={"greeting": ".flow"},
            dialects={"greeting": ".dialect"},
            api={"guests": ".api"},
        )
    ''',
    "flow.py": '''
        from pydantic import BaseModel

        from unspool import Context, flow


        class Guest(BaseModel):
            name: str


        @flow
        async def greeting(ctx: Context, guest: Guest) -> None:
            """Greet a guest."""
            await ctx.say(f"Hello, {guest.name}!", step="greeting")


        plug = greeting
    ''',
    "dialect.py": """
        from fastapi import APIRouter

        from unspool import RunSpec
        from unspool.dialects import Options


        class Encoder:
            def encode(self, event):
                return [event.data["text"].encode()] if event.type == "text.delta" else []


        class Greeting:
            trailer = b"bye"
            can_rewind = False

            def routes(self, gateway):
                router = APIRouter()

                @router.post("/greet/{name}")
                async def greet(name: str, options: Options):
                    spec = RunSpec("greeting", {"name": name}, dialect="greeting")
                    return await gateway.stream(spec, options)

                return router

            def encoder(self):
                return Encoder()


        plug = Greeting()
    """,
    "api.py": """
        from fastapi import APIRouter


        def plug(core):
            router = APIRouter()

            @router.get("/api/guests")
            async def guests() -> dict[str, int]:
                return {"guests": core.runner.live_count}

            return router
    """,
}


@pytest.fixture
def sixth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One folder more where applications are looked for; no other file is touched."""
    folder = tmp_path / "more" / "greetings"
    folder.mkdir(parents=True)
    for name, text in SIXTH.items():
        lines = text.strip("\n").splitlines()
        (folder / name).write_text("\n".join(line.removeprefix(" " * 8) for line in lines))
    monkeypatch.setattr(apps, "__path__", [*apps.__path__, str(folder.parent)])
    importlib.invalidate_caches()
    plugs.forget()
    yield
    plugs.forget()
    for name in [name for name in sys.modules if name.startswith("unspool.apps.greetings")]:
        del sys.modules[name]
    vars(apps).pop("greetings", None)


async def test_a_sixth_application_is_one_folder(
    sixth: None, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    server = await asyncio.to_thread(serve_with)
    begun = await client.post(f"{server.url}/greet/Ann")
    assert begun.headers["x-run-id"]
    assert [line for line in begun.text.splitlines() if line.startswith("data: ")][-1] == (
        "data: bye"
    )
    view = await look(client, f"{server.url}/v1/runs/{begun.headers['x-run-id']}/events")
    assert "".join(view.seen.data[:-1]) == "Hello, Ann!"
    assert (await client.get(f"{server.url}/api/guests")).json() == {"guests": 0}
    assert (await client.get(f"{server.url}/v1/flows/greeting")).status_code == 200


PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from unspool import Settings
from unspool.cli import app as commands
from unspool.server.app import create_app

async def main():
    app = create_app(Settings(_env_file=None, data_dir=Path(sys.argv[1]), sample_data=False))
    async with app.router.lifespan_context(app):
        names = [command.name for command in commands.registered_commands]
        print(json.dumps({"paths": list(app.openapi()["paths"]), "commands": names}))

asyncio.run(main())
"""

OFFERS = {
    "audit": ("commands", ["audit"]),
    "copywriting": ("paths", ["/ai/generate/copy", "/api/experiments"]),
    "debug_chat": ("paths", ["/api/debug/chat", "/api/debug/compare"]),
    "extraction": ("paths", ["/api/v1/events/extract/{user_id}/llm-stream", "/api/v1/graphs"]),
    "stories": ("paths", ["/api/v1/projects/", "/api/v1/projects/{id}/rewrite-stream/"]),
}
"""Something that each application brings with it."""


def test_every_application_is_known_by_what_it_offers() -> None:
    assert set(OFFERS) == set(plugs.apps())


@pytest.mark.slow
@pytest.mark.parametrize("gone", OFFERS)
def test_without_an_application_everything_else_starts(gone: str, tmp_path: Path) -> None:
    house = tmp_path / "unspool"
    shutil.copytree(SRC, house, ignore=shutil.ignore_patterns("_console", "__pycache__"))
    shutil.rmtree(house / "apps" / gone)
    started = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "data")],
        env=clean_env(PYTHONPATH=str(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(started.stdout)
    for name, (kind, offered) in OFFERS.items():
        there = [each for each in offered if each in found[kind]]
        assert there == ([] if name == gone else offered)
