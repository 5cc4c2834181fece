"""
`python -m bench.sampling FILE serve ...`: our server, with a look at its stack as it uses CPU.

The first SIGUSR1 begins, the second one writes FILE. A sample comes with the kernel's next tick
(some 250 a second of CPU) and weighs what the main thread has used since the last one.
"""

import dis
import json
import resource
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import unspool

ROOT = f"{Path(unspool.__file__).parent}/"

TICK_S = 0.001
"""Asked for; the kernel rounds it up to its own tick."""

LOOP = "event loop and its system calls"
OTHER = "other"

STAGES = (
    ("providers/upstream/http1/", "upstream read"),
    ("providers/upstream/http.py", "upstream read"),
    ("providers/upstream/exchange.py", "upstream read"),
    ("providers/upstream/answer.py", "upstream read"),
    ("providers/upstream/deadlines.py", "upstream read"),
    ("providers/", "decode"),
    ("formats/", "decode"),
    ("generation/", "attempt"),
    ("execution/admission.py", "opening"),
    ("execution/runner.py", "opening"),
    ("execution/conversations.py", "opening"),
    ("execution/", "step writer"),
    ("journals/", "journal"),
    ("runs/", "journal"),
    ("viewing/", "viewers"),
    ("dialects/", "viewers"),
    ("", "opening"),
)
"""Beginnings of paths in the package, and whose time it is. The first one that fits counts."""

LIBRARIES = {"uvicorn": "opening", "starlette": "opening", "fastapi": "opening"}
"""Where nothing of ours is on the stack. A viewer's write has a stage of ours around it."""

_RESUME = dis.opmap["RESUME"]


def _is_entered_by_loop(frame: FrameType) -> bool:
    """
    Whether Python code has only just begun again, called by the loop.

    A signal that comes in the loop's own C code, which reads, writes and waits, is seen by
    the first Python instruction after it.
    """
    outer = frame.f_back
    if outer is None or "uvloop" in frame.f_code.co_filename:
        return True
    is_base = outer.f_code.co_filename.endswith(("asyncio/runners.py", "asyncio/base_events.py"))
    return is_base and frame.f_code.co_code[frame.f_lasti] == _RESUME


def stage_of(frame: FrameType) -> str:
    """The stage that the innermost function of ours belongs to."""
    if _is_entered_by_loop(frame):
        return LOOP
    found = OTHER
    at: FrameType | None = frame
    while at is not None:
        name = at.f_code.co_filename
        if name.startswith(ROOT):
            path = name[len(ROOT) :]
            if not path.startswith(("cli/", "server/uvicorn.py", "__main__.py")):
                return next(stage for start, stage in STAGES if path.startswith(start))
        if found == OTHER:
            found = next((s for library, s in LIBRARIES.items() if f"/{library}/" in name), OTHER)
        at = at.f_back
        # Below is what runs the loop, and it is on every stack.
        if at is not None and at.f_code.co_filename.endswith("asyncio/runners.py"):
            break
    return found


class Sampler:
    """Counts CPU seconds of the main thread by stage."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: Counter[str] = Counter()
        self._samples = 0
        self._last_s: float | None = None
        self._began: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def turn(self, _signal: int, _frame: FrameType | None) -> None:
        """Begin, or end and write."""
        if self._last_s is None:
            signal.signal(signal.SIGPROF, self._sample)
            self._began = self._clocks()
            self._last_s = time.thread_time()
            signal.setitimer(signal.ITIMER_PROF, TICK_S, TICK_S)
            return
        signal.setitimer(signal.ITIMER_PROF, 0)
        main_s, kernel_s, all_s = (
            now - before for now, before in zip(self._clocks(), self._began, strict=True)
        )
        told = {
            "stages_s": dict(self._seconds),
            "samples": self._samples,
            "main_s": main_s,
            "main_kernel_s": kernel_s,
            "threads_s": all_s - main_s,
        }
        # Whole or not there: somebody waits for it.
        written = self._path.with_suffix(".part")
        written.write_text(json.dumps(told))
        written.rename(self._path)

    def _sample(self, _signal: int, frame: FrameType | None) -> None:
        now_s = time.thread_time()
        if frame is not None and self._last_s is not None:
            self._seconds[stage_of(frame)] += now_s - self._last_s
            self._samples += 1
        self._last_s = time.thread_time()

    @staticmethod
    def _clocks() -> tuple[float, float, float]:
        """The main thread's CPU, its share in the kernel, and that of all threads."""
        kernel_s = resource.getrusage(resource.RUSAGE_THREAD).ru_stime
        return time.thread_time(), kernel_s, time.process_time()


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, Sampler(Path(sys.argv[1])).turn)
    sys.argv[:] = ["unspool", *sys.argv[2:]]
    from unspool.cli import main

    main()
