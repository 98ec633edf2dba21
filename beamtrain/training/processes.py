"""Several processes that train as one: who starts them, and how the end of one is the end of all.

`beamtrain train --trainer.devices N` is process 0 and starts the other N - 1; under torchrun or SLURM all of them are
there already. Whoever fails says why, once. The others stop within seconds and say nothing: on the CPU the broken
connection tells them; for collectives that go on waiting, as on GPUs, process 0 watches the others, and they watch it.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import lightning.pytorch as pl
import torch.distributed as dist
from lightning.fabric.plugins.environments import LightningEnvironment

from beamtrain.base.errors import UserError

LOST = 3
"""Exit code of a process that ends because another one did."""
_MISTAKE = 2  # exit code of a process that has told a user's mistake
_GRACE = 5.0  # seconds for a process to end by itself, before it is ended
_LIFELINE = "BEAMTRAIN_LIFELINE"  # in a started process: the end of a pipe that closes when process 0 is gone

STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")
_REFUSED = {
    "fsdp": "it has not been tried (it needs GPUs), and a run's checkpoint holds whole weights, not sharded ones",
    "model_parallel": "no network here says how it is to be split",
    "deepspeed": "its checkpoints are folders of its own, which a run cannot be loaded from",
    "spawn": "its processes are copies that do not find the run again; ddp starts whole ones",
    "fork": "a forked copy of a process with OpenMP threads may crash; ddp starts whole ones",
    "notebook": "a forked copy of a process with OpenMP threads may crash; ddp starts whole ones",
    "xla": "TPUs are not supported",
}


class ProcessLost(Exception):  # noqa: N818 (no error of this process)
    """Training ends because another process did; without a message when that one has said why.

    `exit_code` is that of this process.
    """

    def __init__(self, message: str = "", exit_code: int = LOST) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def check_strategy(strategy: Any, nodes: int) -> None:
    """Check `trainer.strategy` (a name, or a class with its arguments) and `trainer.num_nodes`.

    Raises:
        UserError: a strategy that runs do not support, or several machines without a launcher that joins them.
    """
    name = strategy if isinstance(strategy, str) else str(getattr(strategy, "class_path", "")).rpartition(".")[2]
    if name not in (*STRATEGIES, "DDPStrategy", "SingleDeviceStrategy"):
        plain = name.lower().replace("modelparallel", "model_parallel")
        reason = next((reason for part, reason in _REFUSED.items() if part in plain), "it is not known to work")
        raise UserError(f"trainer.strategy is {name}, which is not supported: {reason}; use ddp, or leave it out")
    if nodes > 1 and not _is_launched():
        raise UserError(f"trainer.num_nodes is {nodes}: start the processes of several machines with torchrun or SLURM")


def check_number(trainer: pl.Trainer) -> None:
    """Check that a launcher has started as many processes as `trainer` is for.

    Raises:
        UserError: more, or fewer.
    """
    started = int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_STEP_NUM_TASKS", "1")))
    if _is_launched() and started != trainer.world_size:
        raise UserError(
            f"{started} processes were started, but trainer.devices and trainer.num_nodes make {trainer.world_size}; "
            "set trainer.devices to the number of processes on each machine"
        )


def is_first() -> bool:
    """Whether this is the process that writes files; known before the processes are joined."""
    rank = os.environ.get("RANK", os.environ.get("SLURM_PROCID", os.environ.get("LOCAL_RANK", "0")))
    return rank == "0"


def speaks_before_training() -> bool:
    """Whether this process tells the mistakes that it finds before the processes are joined.

    A launcher's processes all find the same, and the first of each machine tells it. One that process 0 started tells
    its own: process 0 has found none.
    """
    return _LIFELINE in os.environ or os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")) == "0"


@contextmanager
def joined(trainer: pl.Trainer, arguments: Sequence[str]) -> Iterator[None]:
    """Train inside of this with all processes of `trainer`; `arguments` are those of `beamtrain train`.

    Raises:
        ProcessLost: another process ended before its time.
        UserError: this process's own mistake, or one that all processes have and this one is to tell.
    """
    if trainer.world_size == 1:
        yield
        return
    environment = trainer.strategy.cluster_environment  # type: ignore[attr-defined]
    starts_others = isinstance(environment, LightningEnvironment) and not environment.creates_processes_externally
    others = _Others(environment, trainer.num_devices, arguments) if starts_others else None
    lifeline = _Lifeline() if _LIFELINE in os.environ else None
    in_peace = False
    try:
        yield
        in_peace = True
    except UserError as error:
        if _first_to_say():
            raise
        if others:
            others.first_lost()  # which has to finish its sentence
        raise ProcessLost(exit_code=_MISTAKE) from error
    except RuntimeError as error:
        if not _is_broken_connection(error):
            raise
        if others:
            raise others.first_lost() from error
        if lifeline:
            lifeline.wait()
            raise ProcessLost() from error
        raise ProcessLost(_without_launcher(error) if _first_to_say() else "") from error
    finally:
        if others:
            others.end(in_peace)
        if lifeline:
            lifeline.let_go()


class _Others:
    """The processes that process 0 has started, watched from a thread as long as training lasts."""

    def __init__(self, environment: LightningEnvironment, size: int, arguments: Sequence[str]) -> None:
        os.environ.update(
            MASTER_ADDR=environment.main_address,
            MASTER_PORT=str(environment.main_port),
            NODE_RANK="0",
            WORLD_SIZE=str(size),
            LOCAL_RANK="0",
        )
        path = os.pathsep.join(sys.path)
        held, self._lifeline = os.pipe()
        command = [sys.executable, "-P", "-m", "beamtrain.cli", "train", *arguments]
        self._processes = [
            subprocess.Popen(
                command,
                env={**os.environ, "LOCAL_RANK": str(rank), "PYTHONPATH": path, _LIFELINE: str(held)},
                pass_fds=[held],
                stdin=subprocess.DEVNULL,
            )
            for rank in range(1, size)
        ]
        os.close(held)
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def first_lost(self) -> ProcessLost:
        """What became of the first process that failed, without a word if it has spoken for itself."""
        for _ in range(int(_GRACE / 0.1)):
            for rank, process in enumerate(self._processes, start=1):
                code = process.poll()
                if code == _MISTAKE:
                    return ProcessLost(exit_code=_MISTAKE)
                if code not in (None, 0, LOST):
                    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
                    message = f"process {rank} of {len(self._processes) + 1} {how}, so the others stopped"
                    return ProcessLost(message, exit_code=1)
            time.sleep(0.1)
        return ProcessLost("the connection between the processes broke, though all of them live", exit_code=1)

    def _watch(self) -> None:
        """End this process when another failed and this one does not notice, waiting in a collective."""
        while not self._ended.wait(0.2):
            if any(process.poll() not in (None, 0) for process in self._processes):
                if not self._ended.wait(_GRACE):
                    lost = self.first_lost()
                    _say(str(lost))
                    self.end(in_peace=False)
                    os._exit(lost.exit_code)
                return

    def end(self, in_peace: bool) -> None:
        """Wait for the processes if training ended `in_peace`; end those that are left."""
        self._ended.set()
        deadline = time.monotonic() + (6 * _GRACE if in_peace else 0)
        for process in self._processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()  # a collective that waits does not heed SIGTERM
                process.wait()
        os.close(self._lifeline)


class _Lifeline:
    """In a started process: ends it when process 0 is gone, even by SIGKILL."""

    def __init__(self) -> None:
        self._pipe = int(os.environ[_LIFELINE])
        self._needed = True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        os.read(self._pipe, 1)  # returns when the other end is closed
        if self._needed:
            if os.environ["LOCAL_RANK"] == "1":
                _say("process 0 is gone, so the others stopped")
            os._exit(LOST)

    def wait(self) -> None:
        """Give the thread time to notice."""
        self._thread.join(_GRACE)

    def let_go(self) -> None:
        self._needed = False


def _is_launched() -> bool:
    return any(name in os.environ for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def _first_to_say() -> bool:
    """Whether no other process has asked this before: who is first tells what all of them have found."""
    if not dist.is_initialized():
        return speaks_before_training()
    try:
        return bool(dist.distributed_c10d._get_default_store().add("beamtrain/said", 1) == 1)
    except RuntimeError:  # the store was process 0's
        return True


def _is_broken_connection(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _without_launcher(error: RuntimeError) -> str:
    return f"another process ended or cannot be reached, so this one stopped ({' '.join(str(error).split())[:200]})"


def _say(line: str) -> None:
    if line:
        with suppress(OSError):  # nobody may be left to hear it
            print(f"beamtrain: {line}", file=sys.stderr, flush=True)
