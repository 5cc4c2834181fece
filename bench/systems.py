"""
What is measured against what: how each system is started and found ready.

To add one: an entry in `SYSTEMS`, and the function that gives its command.
"""

import contextlib
import http.client
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import certificates
from .load import Contract, Target
from .measure import Cores, child

READY_S = 30.0
"""How long a server may take to start; a cold import of a large one takes seconds."""


class NotReady(Exception):
    """A process did not come up; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class Model:
    """The model at work. `trusted` is its certificate where it speaks TLS."""

    port: int
    pid: int
    trusted: Path | None = None

    @property
    def url(self) -> str:
        """Its `/v1` root."""
        return f"{'https' if self.trusted else 'http'}://127.0.0.1:{self.port}/v1"

    @property
    def env(self) -> dict[str, str]:
        """The settings that lead to it, for whoever reads them."""
        names = {"LLM_API_KEY": "bench", "LLM_BASE_URL": self.url, "LLM_MODEL": "bench"}
        # Read by OpenSSL for all who ask it for its default, and by httpx.
        return names | ({"SSL_CERT_FILE": str(self.trusted)} if self.trusted else {})


@dataclass(frozen=True, slots=True)
class Place:
    """What a command may use: its port, the model, a folder of its own, its data."""

    port: int
    model: Model
    folder: Path
    data: Path


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
    env: Mapping[str, str] = field(default_factory=dict)
    """Settings of its own."""
    key: Callable[[Path], str] | None = None
    """Makes a key in a data directory that nobody serves yet; None: it wants none."""


@dataclass(frozen=True, slots=True)
class Running:
    """A system that is ready. `pid` is None where there is no process in between."""

    target: Target
    pid: int | None
    log: Path


def _unspool(place: Place) -> list[str]:
    serve = ["-m", "unspool", "serve", "--port", str(place.port)]
    return [sys.executable, *serve, "--data-dir", str(place.data)]


def _key(data: Path) -> str:
    make = ["keys", "add", "bench", "--scope", "runs:read", "--scope", "runs:write", "--json"]
    command = [sys.executable, "-m", "unspool", *make, "--data-dir", str(data)]
    told = subprocess.run(command, check=True, capture_output=True).stdout
    return str(json.loads(told)["key"])


def _relay(place: Place) -> list[str]:
    serve = ["-m", "uvicorn", "bench.relay:app", "--port", str(place.port)]
    speed = ["--loop", "uvloop", "--http", "httptools", "--backlog", "4096"]
    return [sys.executable, *serve, *speed, "--no-access-log", "--log-level", "warning"]


def _nginx(place: Place) -> list[str]:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = " ".join(f"{kind}_temp_path {place.folder}/{kind};" for kind in kinds)
    scheme, trusted = "http", place.model.trusted
    secure = ""
    if trusted:
        scheme = "https"
        secure = f"proxy_ssl_trusted_certificate {trusted}; proxy_ssl_verify on; "
        # It compares names, never addresses; sessions are kept, as they are by default.
        secure += "proxy_ssl_name localhost; proxy_ssl_protocols TLSv1.3;"
    conf = place.folder / "nginx.conf"
    conf.write_text(f"""
        daemon off; worker_processes 1; error_log stderr; pid {place.folder}/nginx.pid;
        events {{ worker_connections 8192; }}
        http {{
          access_log off; {folders}
          upstream model {{ server 127.0.0.1:{place.model.port}; keepalive 128; }}
          server {{
            listen 127.0.0.1:{place.port} backlog=4096;
            location / {{
              proxy_pass {scheme}://model; proxy_buffering off; {secure}
              proxy_http_version 1.1; proxy_set_header Connection "";
            }}
          }}
        }}
    """)
    return ["nginx", "-e", "stderr", "-p", str(place.folder), "-c", str(conf)]


def _package(name: str) -> Callable[[], str | None]:
    return lambda: None if importlib.util.find_spec(name) else f"the package {name} is missing"


MAX_DELAY = "UNSPOOL_MAX_DELAY_MS"
"""The setting that lets a busy server join tokens; 0: it never does."""

SYSTEMS = {
    system.name: system
    for system in (
        System("unspool", "text", _unspool, _package("unspool"), "/readyz", {MAX_DELAY: "0"}),
        System("unspool-joined", "text", _unspool, _package("unspool"), "/readyz"),
        System(
            "unspool-key",
            "text",
            _unspool,
            _package("unspool"),
            "/readyz",
            {MAX_DELAY: "0", "UNSPOOL_ACCESS": "keys"},
            _key,
        ),
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
"""
`unspool` delivers each token as it comes; `unspool-joined` has the delay it has by default, and
`unspool-key` is `unspool` where each viewer has a key.
"""


@contextlib.contextmanager
def model(cores: Cores, *, tls: bool = False) -> Iterator[Model]:
    """Run the model."""
    with tempfile.TemporaryDirectory(prefix="bench-model-") as name:
        port, folder, trusted = _free_port(), Path(name), None
        command = [sys.executable, "-m", "bench.upstream", "--port", str(port)]
        if tls:
            certificate = certificates.make(folder)
            trusted = certificate.trusted
            command += ["--pair", str(certificate.pair)]
        log = folder / "log"
        with child(command, core=cores.harness, log=log) as process:
            _await_ready(process, port, None, log)
            yield Model(port, process.pid, trusted)


@contextlib.contextmanager
def running(
    system: System, cores: Cores, model: Model, data: Path | None = None
) -> Iterator[Running]:
    """Run `system` in front of the model, and give it when it is ready; `data` is kept."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{system.name}-") as name:
        place = Place(_free_port(), model, Path(name), data or Path(name, "data"))
        log = place.folder / "log"
        if system.command is None:
            if model.trusted:
                raise NotReady("viewers speak no TLS")
            yield Running(Target(model.port, system.contract), None, log)
            return
        key = system.key(place.data) if system.key else "bench"
        command, env = system.command(place), {**model.env, **system.env}
        with child(command, core=cores.server, log=log, env=env) as process:
            _await_ready(process, place.port, system.ready_path, log)
            yield Running(Target(place.port, system.contract, key), process.pid, log)


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
