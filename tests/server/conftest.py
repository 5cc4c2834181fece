"""A server that wants keys."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.keys import Keys, made
from support.servers import Served, Tune


@pytest.fixture
async def keys(tune: Tune, quick_model: None) -> AsyncIterator[Keys]:
    settings = tune(access="keys")
    served = Served(settings)
    texts = await made(settings.data_dir)
    served.start()
    keys = Keys(served, texts)
    yield keys
    keys.served.stop()  # a test may have started another one
