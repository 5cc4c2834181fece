"""
The vectors in `conformance/`: the same for every language that speaks with us.

`runs.json`: events, what they are in each dialect, and the state after them. `sse.json`:
bytes and the frames that they are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.vectors import events_of, state_of
from unspool import plugs
from unspool.dialects import encoder_for, open_dialect
from unspool.formats.sse import Decoder, Frame
from unspool.viewing.tapes import frames_of

FOLDER = Path(__file__).parent.parent / "conformance"
RUNS = json.loads((FOLDER / "runs.json").read_text())
SSE = json.loads((FOLDER / "sse.json").read_text())


def frames_in(dialect: str, listed: list[dict[str, Any]]) -> list[str]:
    plug = open_dialect(dialect)
    encoder = encoder_for(dialect)
    frames = [
        frame
        for event in events_of(listed)
        for frame in frames_of(event.seq, encoder.encode(event))
    ]
    trailer = [Frame(plug.trailer).encode()] if plug.trailer else []
    return [frame.decode() for frame in frames + trailer]


@pytest.mark.parametrize("vector", RUNS, ids=lambda vector: vector["says"])
@pytest.mark.parametrize("dialect", plugs.names("dialects"))
def test_the_same_events_are_the_same_frames(vector: dict[str, Any], dialect: str) -> None:
    assert frames_in(dialect, vector["events"]) == vector["frames"][dialect]


@pytest.mark.parametrize("vector", RUNS, ids=lambda vector: vector["says"])
def test_the_same_events_are_the_same_state(vector: dict[str, Any]) -> None:
    assert state_of(vector["events"]) == vector["state"]


@pytest.mark.parametrize("vector", SSE, ids=lambda vector: vector["says"])
def test_the_same_bytes_are_the_same_frames_wherever_they_are_cut(vector: dict[str, Any]) -> None:
    raw = vector["bytes"].encode()
    wanted = [(f["data"].encode(), f["id"], f["event"]) for f in vector["frames"]]
    for cut in range(len(raw) + 1):
        decoder = Decoder()
        frames = decoder.feed(raw[:cut]) + decoder.feed(raw[cut:]) + decoder.flush()
        assert [(f.data, f.id, f.event) for f in frames] == wanted, cut


def test_the_vectors_are_there() -> None:
    assert RUNS
    assert SSE
