"""Several processes behind one port: real processes, real signals."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from support import workers_program
from support.patience import within
from support.readers import until
from support.servers import clean_env
from unspool import Settings
from unspool.cli import app
from unspool.errors import SetupError
from unspool.server.listening import SharedPort, listen

PROGRAM = workers_program.__file__
COUNT = 3
ASKED = 60  # each of three workers is among so many answers, but for a chance of 1e-10

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads connections"),
]


@dataclass
class Supervised:
    process: asyncio.subprocess.Process
    port: int
    log: Path

    async def ask(self, line: str = "who") -> str:
        """Return the number and the process id of the worker that answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"{line}\n".encode())
        try:
            return (await reader.read()).decode()
        finally:
            writer.close()

    async def workers(self) -> set[str]:
        answers = await asyncio.gather(*(self.ask() for _ in range(ASKED)))
        assert all(answers)
        return set(answers)

    async def until(self, holds: Callable[[set[str]], bool]) -> set[str]:
        """Ask all the time, until the workers are such; each question gets an answer."""
        async with within(15):
            while not holds(now := await self.workers()):
                pass
        return now

    async def says(self, words: str) -> None:
        """Return when the words are in the log."""
        await until(lambda: words in self.log.read_text(), within_s=15, pause_s=0.01)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await self.process.wait()

    async def is_refused(self) -> bool:
        try:
            await self.ask()
        except OSError:
            return True
        return False


def numbers(workers: set[str]) -> set[int]:
    return {int(worker.split()[0]) for worker in workers}


def pids(workers: set[str]) -> set[int]:
    return {int(worker.split()[1]) for worker in workers}


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"  # nobody has collected its exit code yet


async def gone(ended: set[int]) -> None:
    await until(lambda: not any(map(is_alive, ended)), within_s=15, pause_s=0.01)


async def started(
    folder: Path, count: int, *command: str, **env: str
) -> tuple[asyncio.subprocess.Process, Path]:
    log = folder / "log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, PROGRAM, str(count), str(folder), *command),
            env=clean_env(**env),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    return process, log


@asynccontextmanager
async def supervised(
    folder: Path, count: int = COUNT, *command: str, **env: str
) -> AsyncIterator[Supervised]:
    process, log = await started(folder, count, *command, **env)
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        assert line, log.read_text()
        yield Supervised(process, int(line.split()[0]), log)
    finally:
        if process.returncode is None:
            process.kill()  # its workers end by themselves
        await process.wait()


# A port


def test_a_port_that_somebody_has_is_not_shared_with_them() -> None:
    with listen(Settings(_env_file=None, port=0)) as theirs:
        settings = Settings(_env_file=None, port=theirs.getsockname()[1])
        with pytest.raises(SetupError, match="Cannot listen"):
            SharedPort(settings)
    port = SharedPort(Settings(_env_file=None, port=0))
    with port.listen(), port.listen(), pytest.raises(SetupError, match="Cannot listen"):
        SharedPort(Settings(_env_file=None, port=port.number))


@pytest.mark.usefixtures("somewhere_else")
def test_several_workers_over_sqlite_are_refused_with_the_reason(tmp_path: Path) -> None:
    words = ["serve", "--workers", "2", "--port", "0", "--data-dir", str(tmp_path / "data")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert result.stderr.startswith("SQLite belongs to one server: set UNSPOOL_DATABASE_URL")
    assert not (tmp_path / "data").exists()


# Their lives


async def test_each_worker_has_connections_and_a_number(tmp_path: Path) -> None:
    async with supervised(tmp_path) as program:
        workers = await program.workers()
        assert len(workers) == COUNT
        assert numbers(workers) == {0, 1, 2}
        assert await program.stop() == -signal.SIGTERM
        assert await program.is_refused()
        assert not any(map(is_alive, pids(workers)))


async def test_ctrl_c_ends_all_and_is_no_error(tmp_path: Path) -> None:
    async with supervised(tmp_path) as program:
        workers = await program.workers()
        assert await program.stop(signal.SIGINT) == 0
        assert not any(map(is_alive, pids(workers)))


async def test_a_worker_that_dies_gets_a_successor_and_no_connection_is_refused(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path) as program:
        before = await program.workers()
        await program.ask("die")
        after = await program.until(lambda now: len(now) == COUNT and now != before)
        assert len(after & before) == COUNT - 1
        assert numbers(after) == {0, 1, 2}


async def test_a_worker_that_dies_again_and_again_leaves_its_connections_to_the_others(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path) as program:
        await program.workers()
        (tmp_path / "wrong").touch()
        with suppress(ConnectionError):
            await program.ask("die")
        await program.says("did not start")
        left = await program.until(lambda now: len(now) == COUNT - 1)
        (tmp_path / "wrong").unlink()
        whole = await program.until(lambda now: len(now) == COUNT)
        assert left < whole


async def test_a_wrong_setting_is_said_once_with_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "wrong").touch()
    process, log = await started(tmp_path, COUNT)
    output, _ = await process.communicate()
    assert process.returncode == workers_program.WRONG
    assert output == b""
    assert log.read_text() == "a setting is wrong\n"


async def test_no_worker_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    async with supervised(tmp_path) as program:
        workers = await program.workers()
        assert await program.stop(signal.SIGKILL) == -signal.SIGKILL
        await gone(pids(workers))
        assert await program.is_refused()


async def test_a_worker_that_does_not_stop_is_killed_and_that_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "stubborn").touch()
    async with supervised(tmp_path, 2) as program:
        workers = await program.workers()
        assert await program.stop() == 1
        assert not any(map(is_alive, pids(workers)))


# A rolling restart


async def test_all_workers_are_replaced_while_the_port_stays_open(tmp_path: Path) -> None:
    async with supervised(tmp_path) as program:
        before = await program.workers()
        program.process.send_signal(signal.SIGHUP)
        after = await program.until(lambda now: len(now) == COUNT and not now & before)
        assert len(numbers(after)) == COUNT
        assert numbers(after) <= set(range(COUNT + 1))
        await gone(pids(before))


async def test_the_old_workers_stay_if_the_new_one_does_not_start(tmp_path: Path) -> None:
    async with supervised(tmp_path) as program:
        before = await program.workers()
        (tmp_path / "wrong").touch()
        program.process.send_signal(signal.SIGHUP)
        await program.says("the old ones stay")
        assert await program.workers() == before


async def test_all_end_when_their_terminal_is_closed(tmp_path: Path) -> None:
    terminal = "import pty, sys; pty.spawn(sys.argv[1:])"
    program = (sys.executable, PROGRAM, str(COUNT), str(tmp_path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", terminal, *program),
        env=clean_env(),
        stdin=asyncio.subprocess.PIPE,  # else the terminal would see its end
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    inside = Supervised(process, int(line.split()[0]), tmp_path / "log")
    workers = await inside.workers()
    process.kill()
    await gone(pids(workers))
    assert await inside.is_refused()


# The real server


async def test_our_server_is_a_worker_that_says_when_it_is_ready_and_ends_with_its_supervisor(
    tmp_path: Path,
) -> None:
    words = ["-m", "unspool", "serve", "--data-dir", str(tmp_path / "data"), "--no-sample-data"]
    command = (sys.executable, *words)
    async with supervised(tmp_path, 1, *command, UNSPOOL_WORKERS="2") as program:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{program.port}/readyz")
        assert answer.status_code == 200
        await program.stop(signal.SIGKILL)
        await program.says("Finished")
        lines = program.log.read_text().splitlines()
        assert lines
        assert all(" - worker 0 - " in line for line in lines)
