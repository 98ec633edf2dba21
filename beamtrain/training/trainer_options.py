"""Options of Lightning's `Trainer` that a run cannot heed: each is refused, with what to use instead."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.callbacks import Callback

from beamtrain.base.errors import UserError
from beamtrain.runs.scoring_options import ScoringOptions

UNUSED: dict[str, tuple[tuple[Any, ...], str]] = {  # option -> the values that change nothing, what to use instead
    "gradient_clip_val": ((None,), "gradients are limited by model.max_gradient_norm"),
    "gradient_clip_algorithm": ((None,), "gradients are limited by model.gradient_rule and model.max_gradient_norm"),
    "overfit_batches": ((0.0,), "to learn a few sentences by heart, set data.train_rows"),
    "limit_test_batches": ((None,), "the test set is scored whole, or not at all with --score_test false"),
    "limit_predict_batches": ((None,), "`beamtrain translate` takes the lines it is given"),
    "plugins": ((None,), "a run has plugins of its own, for its checkpoints"),
    "default_root_dir": ((None,), "a run lies where --runs and --name say"),
    "enable_checkpointing": ((None, True), "a run always saves what it can go on from; --save_every says how often"),
    "use_distributed_sampler": ((False,), "batches are dealt out to the processes by data"),
    "reload_dataloaders_every_n_epochs": ((0,), "the batches of each epoch are planned anew as it is"),
    "model_registry": ((None,), "a run lies in a folder and is sent nowhere"),
    "barebones": ((False,), "a run logs, saves and validates, which it forbids"),
}
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")
_SHORT_PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed", "64": "64-true"}


def check_trainer(options: Mapping[str, Any]) -> None:
    """Check the options of the trainer, by their names.

    Raises:
        UserError: one that a run would ignore or cannot follow.
    """
    for name, (harmless, _) in UNUSED.items():
        if name in options and (value := options[name]) not in harmless:
            raise UserError(unused(name, str(value).lower() if isinstance(value, bool) else value))
    if options.get("limit_train_batches") == 0:
        raise UserError("trainer.limit_train_batches is 0: nothing would be done")
    precision = str(options.get("precision") or PRECISIONS[0])
    if _SHORT_PRECISIONS.get(precision, precision) not in PRECISIONS:
        raise UserError(f"trainer.precision is {precision}, which is not supported; it may be {', '.join(PRECISIONS)}")
    devices = options.get("devices")
    if isinstance(devices, str) and not re.fullmatch(r"auto|-?\d+(\s*,\s*\d+)*,?|\[[\d,\s]+\]", devices.strip()):
        raise UserError(
            f"trainer.devices is {devices or repr(devices)}; it must be a number, GPUs such as 0,1, or auto"
        )
    interval = options.get("val_check_interval")
    if isinstance(interval, float) and options.get("check_val_every_n_epoch") is None:
        raise UserError(
            f"trainer.val_check_interval is {interval:g}: a part of an epoch needs trainer.check_val_every_n_epoch 1; "
            "without it, a whole number counts batches"
        )


def unused(name: str, value: Any) -> str:
    """What is said of an option of `UNUSED` that is given."""
    return f"trainer.{name} is {value}, which a run does not use: {UNUSED[name][1]}; leave it out"


def check_monitors(callbacks: Sequence[Callback], scoring: ScoringOptions) -> None:
    """Check that callbacks watch what is measured, and for its right end.

    Raises:
        UserError: one does not.
    """
    modes = {scoring.monitor: scoring.mode, "dev/nll": "min"}
    for callback in callbacks:
        monitor, mode = getattr(callback, "monitor", None), getattr(callback, "mode", None)
        where = f"trainer.callbacks: {type(callback).__name__} has monitor: {monitor}"
        if monitor in modes and mode not in (None, modes[monitor]):
            raise UserError(f"{where} and mode: {mode}, but its best is the {modes[monitor]}: set mode to that")
        if monitor is not None and monitor not in modes and not monitor.startswith("train/"):
            raise UserError(f"{where}, which is not measured; {', '.join(modes)}, train/loss and train/nll are")
