"""Which versions are compared, as they are installed here."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from .systems.ai_sdk import NODE_FOLDER, VENV, node

PYTHON = VENV / "bin" / "python"


def versions() -> dict[str, str]:
    """Return the versions of all that takes part, by the name a reader knows."""
    return {
        "FastAPI": version("fastapi"),
        "httpx": version("httpx"),
        "ai": _npm("ai"),
        "resumable-stream": _npm("resumable-stream"),
        "Node": _said([node(), "--version"]).lstrip("v"),
        "Redis": re.findall(r"v=(\S+)", _said([VENV / "bin" / "redis-server", "--version"]))[0],
        "LiteLLM": _said([PYTHON, "-c", _ASK]),
        "Unspool": version("unspool"),
    }


_ASK = "from importlib.metadata import version; print(version('litellm'))"


def _npm(package: str) -> str:
    told = json.loads((NODE_FOLDER / "node_modules" / package / "package.json").read_text())
    return str(told["version"])


def _said(command: list[str | Path]) -> str:
    ran = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    return ran.stdout.strip()
