"""The real nginx, with the configuration that we give to people."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from .documents import ROOT

CONFIG = ROOT / "deploy" / "nginx.conf"
PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
SERVER = re.compile(r"server app-\d:8000 (.*);")


def config(folder: Path, port: int, servers: Sequence[str]) -> Path:
    """Write our configuration with other addresses, and files in a folder; nothing else changes."""
    text = CONFIG.read_text()
    lines = SERVER.findall(text)
    assert len(set(lines)) == 1
    text = SERVER.sub("", text)
    ours = "".join(f"server {server} {lines[0]}; " for server in servers)
    files = "".join(f"{name}_temp_path {folder / name}; " for name in FOLDERS)
    for old, new in (
        ("least_conn;", f"least_conn; {ours}"),
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
        ("http {", f"http {{ {files}"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


@contextmanager
def nginx_before(folder: Path, *servers: str) -> Iterator[str]:
    """An nginx before servers, as `host:port`; the context is its URL."""
    assert PROGRAM is not None
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    path = config(folder, port, servers)
    extra = f"daemon off; pid {folder / 'pid'}; error_log {folder / 'errors'};"
    command = [PROGRAM, "-p", str(folder), "-c", str(path), "-g", extra]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
    with subprocess.Popen(command) as process:
        try:
            _wait(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        else:
            return
