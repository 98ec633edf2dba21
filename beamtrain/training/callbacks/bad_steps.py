"""Optimiser steps that were skipped because the loss or a gradient was not finite: counted, named, and not too many."""

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import WeightAveraging

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.data.batch import Batch
from beamtrain.training.callbacks.save_checkpoints import is_between_steps

BAD_STEPS = "train/bad_steps"


class BadSteps(pl.Callback):
    """Logs how many steps were skipped, keeps them out of averaged weights, and ends training after too many in a row.

    A skipped step counts for the schedule and for `max_steps`, so that what follows happens when it would have.

    Args:
        most: so many in a row are too many.
        path: the file that then names their batches.
        seeds: what else it takes to make those batches again.
    """

    def __init__(self, most: int, path: Path, seeds: dict[str, int]) -> None:
        self._most, self._path, self._seeds = most, path, seeds
        self._total = 0
        self._row: list[dict[str, Any]] = []  # the bad steps since the last good one
        self._window: list[dict[str, Any]] = []  # what the coming step is made of

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, WeightAveraging):
                _leave_out_bad_steps(callback, module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._window.append({"epoch": trainer.current_epoch + 1, "batch": batch_idx, "rows": batch.index.tolist()})

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if not is_between_steps(trainer):
            return
        if module.skipped_step:
            self._total += 1
            self._row.append({"step": trainer.global_step, "batches": self._window})
        else:
            self._row = []
        self._window = []
        module.log(
            BAD_STEPS, torch.full((), float(self._total), device=module.device)
        )  # a number would be copied there
        if len(self._row) >= self._most:
            self._stop(trainer)

    def _stop(self, trainer: pl.Trainer) -> None:
        processes = _from_all_processes(self._row, trainer.world_size)
        if trainer.is_global_zero:
            write_text(self._path, json.dumps({**self._seeds, "processes": processes}) + "\n")
        raise UserError(
            f"steps {self._row[0]['step']:,} to {self._row[-1]['step']:,} had a loss or gradient that is not finite; "
            f"{len(self._row)} skipped in a row are too many (model.max_bad_steps). {self._path} names their batches. "
            "Lower the learning rate, warm up longer, or look at those sentences; then go on with --resume"
        )

    def state_dict(self) -> dict[str, Any]:
        return {"total": self._total, "row": self._row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._total, self._row = state_dict["total"], list(state_dict["row"])


def _leave_out_bad_steps(averaging: WeightAveraging, module: pl.LightningModule) -> None:
    """Have weights averaged after good steps only: the others changed nothing."""
    wanted = averaging.should_update

    def should_update(step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return not (step_idx is not None and module.skipped_step) and wanted(step_idx=step_idx, epoch_idx=epoch_idx)

    averaging.should_update = should_update  # type: ignore[method-assign]


def _from_all_processes(row: list[dict[str, Any]], world_size: int) -> list[list[dict[str, Any]]]:
    """The bad steps as each process saw them; all arrive here together, since their gradients are the same."""
    if world_size == 1:
        return [row]
    rows: list[list[dict[str, Any]]] = [[] for _ in range(world_size)]
    torch.distributed.all_gather_object(rows, row)
    return rows
