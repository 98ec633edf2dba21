"""Processes that a script begins: each writes to a log, is told to stop when the script is, and is waited for."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).parent.parent.parent
STOPPED = {status for number in (signal.SIGINT, signal.SIGTERM) for status in (128 + number, -number)}
"""Exit codes of what was told to stop, whether it saved or not."""
_TELLING = ("error: ", "beamtrain: ")
"""What lines begin with that say why a script, or a command, has failed."""

_running: set[subprocess.Popen[bytes]] = set()
_stopping = Event()


class Ended(NamedTuple):
    """How a process has ended."""

    status: int
    """Its exit code, or the number of the signal that ended it, negated."""
    seconds: float
    """Of processor time."""
    error: str
    """The last error that it has written, or else its last line."""
    log: Path

    def check(self) -> None:
        """Where it has failed, print why and end as it did.

        Raises:
            KeyboardInterrupt: it was told to stop.
            SystemExit: it has failed.
        """
        if self.status in STOPPED:
            raise KeyboardInterrupt
        if self.status:
            print(f"error: {self.error} (all of it: {self.log})", file=sys.stderr, flush=True)
            raise SystemExit(2 if self.status == 2 else 1)


def run(command: list[str], log: Path, threads: int, imports: Path = REPOSITORY) -> float:
    """A process, to its end, with a folder that it imports from; its processor seconds. Ends the script as it ends."""
    ended = ended_process(command, log, threads, imports)
    ended.check()
    return ended.seconds


def ended_process(command: list[str], log: Path, threads: int, imports: Path = REPOSITORY) -> Ended:
    """The same, but the script goes on where it fails. Once the script is to stop, none begins."""
    if _stopping.is_set():
        raise KeyboardInterrupt
    python_path = os.pathsep.join(filter(None, [str(imports), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": python_path}
    with log.open("ab") as file:
        print(f"begins, with its log in {log}", file=sys.stderr, flush=True)
        begins = file.tell()
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, process_group=0
        )
    _running.add(process)
    if _stopping.is_set():
        _tell_to_stop(process)
    try:
        status, usage = _waited_for(process)
    finally:
        _running.discard(process)
    return Ended(status, usage.ru_utime + usage.ru_stime, _error(log, begins), log)


def stop_all(*_: Any) -> None:
    """The handler of the script's signals: all processes are told, once each time, and the script is interrupted."""
    _stopping.set()
    for process in list(_running):
        _tell_to_stop(process)
    raise KeyboardInterrupt


def _tell_to_stop(process: subprocess.Popen[bytes]) -> None:
    """Popen.terminate would also collect the exit code of one that has just ended, for which another thread waits."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)


def _waited_for(process: subprocess.Popen[bytes]) -> tuple[int, Any]:
    """Exit code and resources. An interrupted script waits as well, until its process has saved what it has."""
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except KeyboardInterrupt:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = 128 + signal.SIGINT
    else:
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def _error(log: Path, begins: int) -> str:
    with log.open("rb") as file:
        file.seek(begins)
        lines = file.read().decode("utf-8", "replace").strip().split("\n")
    told = (line.removeprefix(name) for line in reversed(lines) for name in _TELLING if line.startswith(name))
    return next(told, lines[-1])


def log_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".log")
