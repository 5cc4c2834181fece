"""
Plug point: resources that clients manage, as plain JSON.

To add one: a module here with `plug`, a function that takes the core and returns a FastAPI
router. Raise errors instead of building answers: `app.py` turns our errors into answers.
"""

from __future__ import annotations

from typing import Protocol

from fastapi import APIRouter

from unspool.core import Core


class Resource(Protocol):
    def __call__(self, core: Core) -> APIRouter:
        """Return the routes of the resource."""
