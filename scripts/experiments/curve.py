"""A callback that keeps a development set's scores over the processor time of training alone."""

import json
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from beamtrain.base.files import write_text
from beamtrain.scoring.metrics import score_corpus


class Curve(pl.Callback):
    """A JSON line for every validation in `path`: step, CPU seconds, BLEU, chrF2, length ratio.

    The seconds are the process's in training steps, validation left out, all processes of a resumed run together.
    """

    def __init__(self, path: str) -> None:
        self._path, self._seconds, self._begin = Path(path), 0.0, 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self._seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._seconds = state["seconds"]

    def on_train_batch_start(self, *_: Any) -> None:
        self._begin = time.process_time()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._seconds += time.process_time() - self._begin
        if trainer.global_step == trainer.max_steps:
            write_text(self._path.with_suffix(".seconds"), str(self._seconds))

    def on_validation_end(self, trainer: pl.Trainer, module: Any) -> None:
        _, references = trainer.datamodule.pairs("validation")  # type: ignore[attr-defined]
        rows = sorted(module.translations)
        scores = score_corpus([module.translations[row] for row in rows], [references[row] for row in rows])
        line = {
            "step": trainer.global_step,
            "cpu_seconds": round(self._seconds, 1),
            "bleu": round(scores.bleu.value, 2),
            "chrf": round(scores.chrf.value, 2),
            "length": round(scores.length_ratio, 3),
        }
        before = [each for each in read_curve(self._path) if each["step"] < line["step"]]
        write_text(self._path, "".join(f"{json.dumps(each)}\n" for each in [*before, line]))


def read_curve(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
