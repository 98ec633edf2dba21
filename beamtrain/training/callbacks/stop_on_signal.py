"""How training stops on a signal: after the step, with its state saved."""

import signal
import sys
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint

from beamtrain.data.batch import Batch
from beamtrain.training.callbacks.save_checkpoints import LastCheckpoint, is_between_steps


class Interrupted(Exception):  # noqa: N818 (no error: it was asked for)
    """Training was asked to stop by a signal, and its state is saved."""

    def __init__(self, signal_number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name} after step {step:,}")
        self.exit_code = 128 + signal_number


class StopOnSignal(Checkpoint):
    """SIGINT (Ctrl-C), SIGTERM, SIGUSR1: have `last` save, then raise `Interrupted`; a second one ends the process.

    Of several processes all stop after the same step, whichever of them got the signal. Nothing waits for their ballot:
    what it came to is read when the step's gradient norm has been waited for, and that came after it.
    Comes after `last` in the list of callbacks.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self, last: LastCheckpoint) -> None:
        self._last, self._received, self._agreed = last, 0, 0
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._before = {number: signal.signal(number, self._note) for number in self._SIGNALS}
        self._alone, self._speaks = trainer.world_size == 1, trainer.is_global_zero
        self._outcome = torch.zeros((), dtype=torch.int32, pin_memory=module.device.type == "cuda")

    def _note(self, number: int, frame: Any) -> None:
        self._received = number
        if self._alone:
            self._agree_on(number)
        if self._speaks:
            name = signal.Signals(number).name
            print(f"{name}: saving after this step (a second one stops at once, unsaved)", file=sys.stderr, flush=True)
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)

    def _agree_on(self, number: int) -> None:
        self._agreed, self._last.due = number, True

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Ask the other processes for what they have received, before the batch that ends a step."""
        if not self._alone and is_between_steps(trainer):
            ballot = torch.full((), self._received, dtype=torch.int32, device=module.device)
            torch.distributed.all_reduce(ballot, torch.distributed.ReduceOp.MAX)
            self._outcome.copy_(ballot, non_blocking=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if not self._alone and not self._agreed and is_between_steps(trainer) and self._outcome:
            self._agree_on(int(self._outcome))
            self._last.save_if_due(trainer)
        self._stop_if_saved(trainer)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._stop_if_saved(trainer)

    def _stop_if_saved(self, trainer: pl.Trainer) -> None:
        if self._agreed and not self._last.due:
            raise Interrupted(self._agreed, trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
