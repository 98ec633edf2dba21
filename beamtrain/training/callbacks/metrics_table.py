"""The figures of a run as a table: one CSV file, continued without gaps or repetitions when the run is resumed."""

import csv
import io
import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from beamtrain.base.files import write_text
from beamtrain.data.batch import Batch
from beamtrain.training.callbacks.save_checkpoints import is_between_steps

STEP = "step"
Row = dict[str, Any]


class MetricsTable(pl.Callback):
    """Adds a row to `path` every `every` optimiser steps, with what training logged, and after each validation.

    Comes before whatever saves checkpoints: the rows up to a checkpoint's step are on disk before it is.
    """

    def __init__(self, path: Path, every: int) -> None:
        self._path, self._every = path, every
        self._columns: list[str] = []

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self._rewrite([row for row in self._read() if int(row[STEP]) <= trainer.global_step])

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if is_between_steps(trainer) and trainer.global_step % self._every == 0:
            self._add(trainer, training=True)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._add(trainer, training=False)

    def _add(self, trainer: pl.Trainer, training: bool) -> None:
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics.items()
        figures = {name: float(value) for name, value in metrics if name.startswith("train/") == training}
        row = {STEP: trainer.global_step, "epoch": trainer.current_epoch + 1, **figures}
        if row.keys() <= set(self._columns):
            with open(self._path, "a", encoding="utf-8", newline="") as file:
                file.write(self._text([row]))
                file.flush()
                os.fsync(file.fileno())
        else:
            self._rewrite([*self._read(), row])

    def _read(self) -> list[Row]:
        """The rows there are; one that was cut off is none."""
        if not self._path.exists():
            return []
        with open(self._path, encoding="utf-8", newline="") as file:
            return [row for row in csv.DictReader(file) if (row.get(STEP) or "").isdigit() and None not in row.values()]

    def _rewrite(self, rows: list[Row]) -> None:
        self._columns = list(dict.fromkeys(name for row in rows for name in row))
        if rows:
            write_text(self._path, ",".join(self._columns) + "\n" + self._text(rows))
        else:
            self._path.unlink(missing_ok=True)

    def _text(self, rows: list[Row]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()
