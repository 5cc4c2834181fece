"""Viewers whom a tape writes to from the commit: each event once, whatever becomes of them."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from support.patience import within
from support.readers import until
from support.servers import ServeModel
from support.upstream import Upstream, answer, chunk
from unspool import Draft, Event, Journal, Pen, RunSpec, Settings
from unspool.formats.sse import HEARTBEAT, RETRY, Decoder
from unspool.viewing.event_stream import ABORT, WRITE
from unspool.viewing.tape_stream import TapeStream
from unspool.viewing.tapes import READ_EVENTS, LastWrite, Tape, Tapes
from unspool.viewing.viewers import Viewing

SPEC = RunSpec("chat", {"prompt": "你好"}, dialect="native")
DONE = Draft("run.completed")


@dataclass
class Screen:
    """A viewer that can be full; it keeps each write it takes."""

    writes: list[bytes] = field(default_factory=list)
    is_full: bool = False

    def push(self, data: bytes) -> bool:
        if not self.is_full:
            self.writes.append(data)
        return not self.is_full

    @property
    def seqs(self) -> list[int]:
        return [int(frame.id or 0) for frame in Decoder().feed(b"".join(self.writes))]


@pytest.fixture
def tapes(journal: Journal) -> Tapes:
    return Tapes(journal, max_bytes=100_000, max_write_bytes=2_000)


async def say(pen: Pen, *words: str) -> None:
    for word in words:
        pen.append_text("answer", word)
    await pen.commit()


async def begun(journal: Journal, tapes: Tapes) -> tuple[Pen, Tape]:
    """A run, and its tape at the head of the log."""
    pen = await journal.create(SPEC)
    tape = tapes.shared(pen.run_id, "native")
    await tape.wind()
    return pen, tape


def joined(tape: Tape, screen: Screen) -> asyncio.Future[LastWrite]:
    leaving = tape.join(screen.push, sent_at=0.0)
    assert leaving is not None
    return leaving


async def test_each_commit_is_one_write_to_each_viewer(journal: Journal, tapes: Tapes) -> None:
    pen, tape = await begun(journal, tapes)
    screens = [Screen() for _ in range(3)]
    for screen in screens:
        joined(tape, screen)
    await say(pen, "a", "b", "c")
    await say(pen, "d")
    alone = tapes.own(pen.run_id, "native")
    await alone.wind()
    frames = [alone.read(seq, 1)[0] for seq in range(1, 5)]
    for screen in screens:
        assert screen.writes == [b"".join(frames[:3]), frames[3]]
    assert tape.read(1, 2_000)[0] == b"".join(frames), "the tape keeps them for late viewers"


async def test_an_event_without_a_frame_is_no_write(journal: Journal, tapes: Tapes) -> None:
    pen = await journal.create(SPEC)
    tape, screen = tapes.shared(pen.run_id, "plain"), Screen()
    await tape.wind()
    joined(tape, screen)
    pen.append(Draft("step.started", {"step": "answer"}))
    await pen.commit()
    assert (screen.writes, tape.head) == ([], 2)
    await say(pen, "字")
    assert screen.writes == ["id: 3\ndata: 字\n\n".encode()]


async def test_a_viewer_without_room_leaves_at_the_event_it_has(
    journal: Journal, tapes: Tapes
) -> None:
    pen, tape = await begun(journal, tapes)
    slow, quick = Screen(), Screen()
    leaving, staying = joined(tape, slow), joined(tape, quick)
    await say(pen, "a")
    slow.is_full = True
    await say(pen, "b")
    assert leaving.result().seq == 2
    assert not staying.done()
    slow.is_full = False
    await say(pen, "c")
    assert slow.seqs == [2], "it reads by itself until it joins again"
    assert quick.seqs == [2, 3, 4]
    rest, seq = tape.read(2, 2_000)
    slow.push(rest)
    joined(tape, slow)
    await say(pen, "d")
    assert (seq, slow.writes) == (
        4,
        [quick.writes[0], b"".join(quick.writes[1:3]), *quick.writes[3:]],
    )


async def test_a_viewer_that_cannot_be_written_to_harms_no_other(
    journal: Journal, tapes: Tapes, caplog: pytest.LogCaptureFixture
) -> None:
    pen, tape = await begun(journal, tapes)

    def fail(data: bytes) -> bool:
        raise RuntimeError("the handler is closed")

    leaving, screen = tape.join(fail, 0.0), Screen()
    joined(tape, screen)
    await say(pen, "a")
    assert leaving is not None
    assert (leaving.result().seq, screen.seqs) == (1, [2])
    assert "cannot be written to" in caplog.text


async def test_viewers_leave_with_the_ending_in_their_hands(journal: Journal, tapes: Tapes) -> None:
    pen, tape = await begun(journal, tapes)
    full, screen = Screen(is_full=True), Screen()
    leaving = [joined(tape, full), joined(tape, screen)]
    pen.append_text("answer", "a")
    await pen.end(DONE)
    assert [one.result().seq for one in leaving] == [1, 3]
    assert (screen.seqs, full.seqs, tape.has_ended) == ([2, 3], [], True)
    assert tape.join(screen.push, 0.0) is None


async def test_a_tape_that_lacks_events_lets_nobody_join(journal: Journal, tapes: Tapes) -> None:
    pen, tape = await begun(journal, tapes)
    await say(pen, "a")
    assert tape.join(Screen().push, 0.0) is None
    await tape.wind()
    screen = Screen()
    joined(tape, screen)
    await say(pen, "b")
    assert screen.seqs == [3]


@pytest.mark.parametrize(("words", "letters"), [(3, 1_000), (READ_EVENTS + 1, 1)])
async def test_what_is_too_much_for_one_write_is_read_in_pieces(
    journal: Journal, tapes: Tapes, words: int, letters: int
) -> None:
    pen, tape = await begun(journal, tapes)
    screen = Screen()
    leaving = joined(tape, screen)
    await say(pen, *["x" * letters] * words)
    assert (leaving.result().seq, screen.writes) == (1, [])
    after, sizes = 1, []
    while after < words + 1:
        data, after = tape.read(after, 2_000)
        if data:
            screen.push(data)
            sizes.append(len(data))
        else:
            await tape.wind()
    assert screen.seqs == list(range(2, words + 2))
    assert max(sizes) <= 2_000
    joined(tape, screen)


async def test_a_viewer_goes_on_by_itself_when_the_run_has_another_owner(
    journal: Journal, tapes: Tapes
) -> None:
    pen, tape = await begun(journal, tapes)
    screen = Screen()
    leaving = joined(tape, screen)
    await say(pen, "a")
    pen.append_text("answer", "nobody will see this")
    new = await journal.claim(pen.run_id)
    assert leaving.result().seq == 2
    joined(tape, screen)
    await say(new, "b")
    assert screen.seqs == [2, 3]
    assert b"nobody" not in b"".join(screen.writes)


async def test_a_tape_whose_viewers_have_left_is_forgotten_while_its_run_goes_on(
    journal: Journal, tapes: Tapes
) -> None:
    pen, tape = await begun(journal, tapes)
    screen = Screen()
    tape.leave(joined(tape, screen))
    await say(pen, "a")
    assert (screen.writes, tape.head) == ([], 1)
    del tape
    gc.collect()
    assert len(tapes._shared) == 0


async def test_an_event_that_cannot_be_encoded_sends_viewers_back_to_reading(
    journal: Journal, tapes: Tapes, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def encode(self, event: Event) -> tuple[bytes]:
            raise ValueError("no words for it")

    pen, tape = await begun(journal, tapes)
    leaving = joined(tape, Screen())
    tape._encoder = Broken()
    await say(pen, "a")
    assert (leaving.result().seq, tape.head) == (1, 1)
    assert "no words for it" in caplog.text
    with pytest.raises(ValueError, match="no words"):
        await tape.wind()


@dataclass(frozen=True)
class Streamed:
    """A run with streams that have joined its tape."""

    viewing: Viewing
    pen: Pen
    tape: Tape
    streams: list[Stream]


class Stream:
    """A stream under a server that can push: what its viewer got, and how it ended."""

    def __init__(self, viewing: Viewing, run_id: str) -> None:
        self.screen = Screen()
        self.is_aborted = False
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.gone = asyncio.Event()
        writing = {"write": self._write, "push": self.screen.push}
        scope = {"type": "http", "extensions": {ABORT: {"abort": self._abort}, WRITE: writing}}
        stream = TapeStream(viewing, run_id, "native")
        self.playing = asyncio.create_task(stream.play(scope, self._receive, self._send))

    def fill(self) -> None:
        """Read nothing from now on."""
        self.screen.is_full = True
        self.has_room.clear()

    async def _write(self, data: bytes) -> None:
        await self.has_room.wait()
        self.screen.writes.append(data)

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            await self._write(message["body"])

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def _abort(self) -> None:
        self.is_aborted = True


async def streamed(journal: Journal, count: int = 1, **settings: float) -> Streamed:
    """A run and streams of it that have joined its tape."""
    viewing = Viewing(journal, Settings(_env_file=None, **settings))  # type: ignore[arg-type]
    pen = await journal.create(SPEC)
    tape = viewing.tapes.shared(pen.run_id, "native")
    streams = [Stream(viewing, pen.run_id) for _ in range(count)]
    await until(lambda: len(tape._viewers) == count)
    return Streamed(viewing, pen, tape, streams)


async def test_a_stream_gets_every_commit_and_the_end(journal: Journal) -> None:
    run = await streamed(journal, 2)
    for number in range(5):
        await say(run.pen, f"{number}a", f"{number}b")
    late = Stream(run.viewing, run.pen.run_id)
    await until(lambda: len(run.tape._viewers) == 3)
    await say(run.pen, "last")
    await run.pen.end(DONE)
    for stream in (*run.streams, late):
        await stream.playing
        assert stream.screen.seqs == list(range(1, 14))
        assert not stream.is_aborted
    assert [len(stream.screen.writes) for stream in (*run.streams, late)] == [9, 9, 4]
    assert run.viewing.count(run.pen.run_id) == 0


async def test_a_stream_that_is_full_for_a_while_misses_nothing(journal: Journal) -> None:
    run = await streamed(journal, 2)
    slow, quick = run.streams
    await say(run.pen, "a")
    slow.fill()
    for word in "bcd":
        await say(run.pen, word)
    assert (slow.screen.seqs, quick.screen.seqs) == ([1, 2], [1, 2, 3, 4, 5])
    slow.screen.is_full = False
    slow.has_room.set()
    await until(lambda: len(run.tape._viewers) == 2)
    await say(run.pen, "e")
    slow.fill()
    slow.has_room.set()  # full when the run ends, too
    await run.pen.end(DONE)
    await asyncio.gather(slow.playing, quick.playing)
    assert slow.screen.seqs == quick.screen.seqs == list(range(1, 8))


async def test_silence_is_broken_by_heartbeats_to_all(journal: Journal) -> None:
    run = await streamed(journal, 3, heartbeat_s=0.05)
    for _ in range(2):
        for stream in run.streams:
            stream.screen.writes.clear()
        await until(lambda: all(len(stream.screen.writes) == 2 for stream in run.streams))
        assert [stream.screen.writes for stream in run.streams] == [[HEARTBEAT] * 2] * 3
        await say(run.pen, "a")
    assert len(run.tape._viewers) == 3
    run.viewing.close()
    await asyncio.gather(*(stream.playing for stream in run.streams))


async def test_a_stream_that_takes_no_heartbeat_is_dropped(journal: Journal) -> None:
    run = await streamed(journal, 2, heartbeat_s=0.05, stalled_viewer_s=0.1)
    stalled, well = run.streams
    stalled.fill()
    async with within(5):
        await stalled.playing
    assert (stalled.is_aborted, stalled.screen.seqs) == (True, [1])
    assert len(run.tape._viewers) == 1
    await run.pen.end(DONE)
    await well.playing
    assert well.screen.seqs == [1, 2]


async def test_a_stop_of_the_server_tells_those_who_joined_to_come_again(journal: Journal) -> None:
    run = await streamed(journal, 3)
    await say(run.pen, "a")
    run.viewing.close()
    await asyncio.gather(*(stream.playing for stream in run.streams))
    await say(run.pen, "b")
    for stream in run.streams:
        assert stream.screen.seqs == [1, 2]
        assert (stream.screen.writes[-1], stream.is_aborted) == (RETRY, True)
    assert not run.tape._viewers


async def test_a_viewer_who_leaves_is_written_to_no_more(journal: Journal) -> None:
    run = await streamed(journal, 2)
    left, stays = run.streams
    left.gone.set()
    await left.playing
    await say(run.pen, "a")
    assert (left.screen.seqs, left.is_aborted, stays.screen.seqs) == ([1], False, [1, 2])
    assert run.viewing.count(run.pen.run_id) == 1
    stays.gone.set()
    await stays.playing


async def test_our_server_lets_viewers_join_and_stalls_nobody(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), 0.3, *[s for n in range(50) for s in (chunk(f"{n} "), 0.002)]]]
    upstream.play[0] += answer("完")
    served = serve_model(heartbeat_s=0.1)
    asked = {"flow": "chat", "input": {"prompt": "你好"}}
    run_id = (await client.post(f"{served.url}/v1/runs", json=asked)).json()["id"]
    url = f"{served.url}/v1/runs/{run_id}/events"
    watching = [asyncio.create_task(client.get(url)) for _ in range(4)]
    tapes = served.core.viewing.tapes
    await until(lambda: len(tapes.shared(run_id, "native")._viewers) == 4, pause_s=0.01)
    bodies = [(await one).content for one in watching]
    assert all(HEARTBEAT in body for body in bodies)
    frames = [Decoder().feed(body) for body in bodies]
    assert frames[0] == frames[1] == frames[2] == frames[3]
    whole = (await client.get(url)).content
    assert Decoder().feed(whole) == frames[0]
