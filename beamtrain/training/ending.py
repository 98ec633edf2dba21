"""Why training ended before its last step."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, Timer
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from beamtrain.training.callbacks.early_stopping import has_stopped


def why_stopped(trainer: pl.Trainer) -> str | None:
    """When training stopped and why, and what lets it go on; None when all of trainer.max_steps are done."""
    step = trainer.global_step
    if 0 <= trainer.max_steps <= step:
        return None
    reasons = [_of_early_stopping(early) for early in trainer.early_stopping_callbacks if has_stopped(early)]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Timer) and (left := callback.time_remaining()) is not None and left <= 0:
            reasons.append("trainer.max_time is used up; to go on, raise it and --resume")
    if trainer.fit_loop.max_epochs is not None and 0 <= trainer.fit_loop.max_epochs <= trainer.current_epoch:
        reasons.append(f"trainer.max_epochs {trainer.fit_loop.max_epochs:,} are done; to go on, raise it and --resume")
    return f"stopped at step {step:,}: {'; '.join(reasons) or 'a callback asked for it'}"


def _of_early_stopping(early: EarlyStopping) -> str:
    best = f"{float(early.best_score):.2f}"
    if early.wait_count >= early.patience:
        delta = f" by more than {abs(early.min_delta):g}" if early.min_delta else ""
        return (
            f"{early.monitor} has not improved{delta} on {best} in {early.wait_count} validations; to go on, raise the "
            "patience of EarlyStopping and --resume"
        )
    what = {
        EarlyStoppingReason.STOPPING_THRESHOLD: f"has reached the stopping_threshold {early.stopping_threshold}",
        EarlyStoppingReason.DIVERGENCE_THRESHOLD: f"has reached the divergence_threshold {early.divergence_threshold}",
        EarlyStoppingReason.NON_FINITE_METRIC: "is not finite",
    }[early.stopping_reason]
    return f"{early.monitor} {what}; to go on, change that and --resume"
