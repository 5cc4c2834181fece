"""
What is measured against what: how each system is started and found ready.

To add one: an entry in `SYSTEMS`, and the function that gives its command.
"""

import contextlib
import http.client
import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .load import Contract, Target
from .measure import Cores, child

READY_S = 30.0
"""How long a server may take to start; a cold import of a large one takes seconds."""


class NotReady(Exception):
    """A process did not come up; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a command may use: its port, the model's port, a folder of its own, its data."""

    port: int
    model_port: int
    folder: Path
    data: Path

    @property
    def env(self) -> dict[str, str]:
        """The settings that lead to the model, for whoever reads them."""
        return {
            "LLM_API_KEY": "bench",
            "LLM_BASE_URL": f"http://127.0.0.1:{self.model_port}/v1",
            "LLM_MODEL": "bench",
        }


@dataclass(frozen=True, slots=True)
class System:
    """One thing that can stand between model and viewer."""

    name: str
    contract: Contract
    command: Callable[[Place], list[str]] | None
    """None: nothing stands in between."""
    missing: Callable[[], str | None]
    """Why it cannot run here, or None."""
    ready_path: str | None = None
    """Answers 200 when ready; None: ready when it accepts a connection."""


@dataclass(frozen=True, slots=True)
class Running:
    """A system that is ready. `pid` is None where there is no process in between."""

    target: Target
    pid: int | None
    log: Path


def _unspool(place: Place) -> list[str]:
    serve = ["-m", "unspool", "serve", "--port", str(place.port)]
    return [sys.executable, *serve, "--data-dir", str(place.data)]


def _relay(place: Place) -> list[str]:
    serve = ["-m", "uvicorn", "bench.relay:app", "--port", str(place.port)]
    speed = ["--loop", "uvloop", "--http", "httptools", "--backlog", "4096"]
    return [sys.executable, *serve, *speed, "--no-access-log", "--log-level", "warning"]


def _nginx(place: Place) -> list[str]:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = " ".join(f"{kind}_temp_path {place.folder}/{kind};" for kind in kinds)
    conf = place.folder / "nginx.conf"
    conf.write_text(f"""
        daemon off; worker_processes 1; error_log stderr; pid {place.folder}/nginx.pid;
        events {{ worker_connections 8192; }}
        http {{
          access_log off; {folders}
          upstream model {{ server 127.0.0.1:{place.model_port}; keepalive 128; }}
          server {{
            listen 127.0.0.1:{place.port} backlog=4096;
            location / {{
              proxy_pass http://model; proxy_buffering off;
              proxy_http_version 1.1; proxy_set_header Connection "";
            }}
          }}
        }}
    """)
    return ["nginx", "-e", "stderr", "-p", str(place.folder), "-c", str(conf)]


def _package(name: str) -> Callable[[], str | None]:
    return lambda: None if importlib.util.find_spec(name) else f"the package {name} is missing"


SYSTEMS = {
    system.name: system
    for system in (
        System("unspool", "text", _unspool, _package("unspool"), "/readyz"),
        System("relay", "text", _relay, _package("httpx")),
        System(
            "nginx",
            "openai",
            _nginx,
            lambda: None if shutil.which("nginx") else "no nginx on this machine",
        ),
        System("direct", "openai", None, lambda: None),
    )
}


@contextlib.contextmanager
def model(cores: Cores) -> Iterator[tuple[int, int]]:
    """Run the model; gives its port and its pid."""
    with tempfile.TemporaryDirectory(prefix="bench-model-") as folder:
        port, log = _free_port(), Path(folder, "log")
        command = [sys.executable, "-m", "bench.upstream", "--port", str(port)]
        with child(command, core=cores.harness, log=log) as process:
            _await_ready(process, port, None, log)
            yield port, process.pid


@contextlib.contextmanager
def running(
    system: System, cores: Cores, model_port: int, data: Path | None = None
) -> Iterator[Running]:
    """Run `system` in front of the model, and give it when it is ready; `data` is kept."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{system.name}-") as name:
        place = Place(_free_port(), model_port, Path(name), data or Path(name, "data"))
        log = place.folder / "log"
        if system.command is None:
            yield Running(Target(model_port, system.contract), None, log)
            return
        command = system.command(place)
        with child(command, core=cores.server, log=log, env=place.env) as process:
            _await_ready(process, place.port, system.ready_path, log)
            yield Running(Target(place.port, system.contract), process.pid, log)


def log_end(log: Path, lines: int = 15) -> str:
    """The last lines a process has written."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").split("\n")[-lines:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _await_ready(process: subprocess.Popen[bytes], port: int, path: str | None, log: Path) -> None:
    deadline_s = time.monotonic() + READY_S
    while not _is_ready(port, path):
        if process.poll() is not None:
            raise NotReady(f"{process.args} ended with {process.returncode}\n{log_end(log)}")
        if time.monotonic() > deadline_s:
            raise NotReady(f"{process.args} not ready after {READY_S:.0f} s\n{log_end(log)}")
        time.sleep(0.05)


def _is_ready(port: int, path: str | None) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.connect()
        if path is None:
            return True
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
