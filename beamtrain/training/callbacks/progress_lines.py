"""Lines for people: what training does, how fast, and how long it still takes."""

import math
import sys
import time
from typing import Any

import lightning.pytorch as pl

from beamtrain.data.batch import Batch
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.scoring.metrics import Score
from beamtrain.training.callbacks.bad_steps import BAD_STEPS
from beamtrain.training.callbacks.save_checkpoints import is_between_steps


class Progress(pl.Callback):
    """A line on stderr every `every` optimiser steps, with means since the one before, and after each validation."""

    def __init__(self, every: int, scoring: ScoringOptions) -> None:
        self._every, self._scoring = every, scoring
        self._tokens = 0
        self._since, self._first_step, self._started = 0.0, 0, 0.0
        self._best: tuple[float, int] | None = None  # score, step
        self._told = False  # how the development set is scored

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._since = self._started = time.monotonic()
        self._first_step = trainer.global_step
        if trainer.is_global_zero:
            sizes = [(parameter.numel(), parameter.requires_grad) for parameter in module.parameters()]
            parameters, trained = sum(size for size, _ in sizes), sum(size for size, is_trained in sizes if is_trained)
            of_them = f"{trained:,} of " if trained < parameters else ""
            machine = f"{trainer.world_size} x {module.device.type}, {trainer.precision}"
            _say(f"{of_them}{parameters:,} parameters | {machine} | from step {trainer.global_step:,}")

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._tokens += batch.num_target_tokens
        step = trainer.global_step
        if not is_between_steps(trainer) or step % self._every or not trainer.is_global_zero:
            return
        now = time.monotonic()
        speed = self._tokens * trainer.world_size / max(now - self._since, 1e-9)
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        nll = figures.get("train/nll", math.nan)
        module.log("train/tokens_per_second", speed)
        parts = [
            f"step {step:,}" + (f"/{trainer.max_steps:,}" if trainer.max_steps > 0 else ""),
            f"epoch {trainer.current_epoch + 1}",
            f"loss {figures.get('train/loss', math.nan):.3f}",
            f"perplexity {math.exp(min(nll, 50)):.2f}",
            f"lr {figures.get('train/lr', math.nan):.3g}",
            f"{speed:,.0f} target tokens/s",
            f"{_clock(self._time_left(trainer, now))} left",
        ]
        if bad := int(figures.get(BAD_STEPS, 0)):
            parts.append(f"{bad:,} bad steps skipped")
        _say(" | ".join(parts))
        self._tokens, self._since = 0, now

    def _time_left(self, trainer: pl.Trainer, now: float) -> float:
        elapsed, done = now - self._started, trainer.global_step - self._first_step
        left = [elapsed / done * (trainer.max_steps - trainer.global_step)] if done and trainer.max_steps > 0 else []
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, pl.callbacks.Timer):
                left += [remaining for remaining in [callback.time_remaining()] if remaining is not None]
        return min(left, default=math.nan)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        score: Score = module.dev_score  # type: ignore[assignment]
        sign = 1 if self._scoring.mode == "max" else -1
        best, at = self._best or (score.value, 0)
        if sign * score.value >= sign * best:
            best, at = self._best = score.value, trainer.global_step
        if trainer.is_global_zero:
            if not self._told:
                _say(f"dev {score.name}: {score.signature}")
            perplexity = math.exp(min(float(trainer.callback_metrics["dev/nll"]), 50))
            _say(
                f"step {trainer.global_step:,} | dev {score.name} {score.value:.2f} (best {best:.2f} at step {at:,}) | "
                f"dev perplexity {perplexity:.2f}"
            )
        self._told = True
        self._tokens, self._since = 0, time.monotonic()  # validation does not count against the training speed

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best and list(self._best)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = tuple(state_dict["best"]) if state_dict["best"] else None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    if math.isnan(seconds):
        return "unknown time"
    minutes, rest = divmod(max(round(seconds), 0), 60)  # the step that a time limit ends in goes beyond it
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
