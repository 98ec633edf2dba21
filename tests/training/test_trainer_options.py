"""Every option of Lightning's Trainer is heeded, or refused in a line that says what to use."""

import inspect
import re
from pathlib import Path

import lightning.pytorch as pl
import pytest

from beamtrain.base.errors import UserError
from beamtrain.training.command_line import TRAINER_DEFAULTS
from beamtrain.training.trainer_options import UNUSED, check_trainer

HEEDED = {
    "accelerator", "strategy", "devices", "num_nodes", "precision", "logger", "callbacks", "fast_dev_run",
    "max_epochs", "min_epochs", "max_steps", "min_steps", "max_time", "limit_train_batches", "limit_val_batches",
    "val_check_interval", "check_val_every_n_epoch", "num_sanity_val_steps", "log_every_n_steps",
    "enable_progress_bar", "enable_model_summary", "accumulate_grad_batches", "deterministic", "benchmark",
    "inference_mode", "profiler", "detect_anomaly", "sync_batchnorm",
    "enable_autolog_hparams",  # which a run leaves out as it is: config.yaml has them
}  # fmt: skip
REFUSED = {
    "gradient_clip_val": ("0.5", r"model\.max_gradient_norm"),
    "gradient_clip_algorithm": ("value", r"model\.max_gradient_norm"),
    "overfit_batches": ("1", r"data\.train_rows"),
    "limit_test_batches": ("2", "--score_test false"),
    "limit_predict_batches": ("2", "beamtrain translate"),
    "plugins": ("lightning.pytorch.plugins.TorchCheckpointIO", "plugins of its own"),
    "default_root_dir": ("elsewhere", "--runs and --name"),
    "enable_checkpointing": ("false", "--save_every"),
    "use_distributed_sampler": ("true", "by data"),
    "reload_dataloaders_every_n_epochs": ("1", "planned anew"),
    "model_registry": ("there", "sent nowhere"),
    "barebones": ("true", "logs, saves and validates"),
}


def test_every_option_is_known():
    """One that a new version of Lightning brings is to be tried, and named here or in UNUSED."""
    options = {name for name in inspect.signature(pl.Trainer).parameters if name != "self"}
    assert options == HEEDED | UNUSED.keys() and UNUSED.keys() == REFUSED.keys()


def test_what_lightning_has_by_default_is_harmless():
    defaults = inspect.signature(pl.Trainer).parameters
    check_trainer({name: each.default for name, each in defaults.items()} | TRAINER_DEFAULTS)


def refusal(train, capsys, *arguments):
    """The one line that a refused start says; nothing is left behind."""
    assert train(*arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("beamtrain: ")]
    assert not Path("runs").exists()
    return line


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_run_does_not_use_is_refused_in_a_line(train, capsys, name):
    value, instead = REFUSED[name]
    line = refusal(train, capsys, f"--trainer.{name}={value}")
    assert re.search(rf"trainer\.{name} is .*, which a run does not use: .*{instead}.*; leave it out", line), line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "bf16-true"}, "precision is bf16-true, which is not supported; it may be 32-true, bf16-mixed"),
        ({"precision": "transformer-engine"}, "precision is transformer-engine, which is not supported"),
        ({"limit_train_batches": 0}, "limit_train_batches is 0: nothing would be done"),
        (
            {"val_check_interval": 0.5},
            r"val_check_interval is 0\.5: a part of an epoch needs .*check_val_every_n_epoch 1",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        check_trainer(options)
    for precision in (None, "32-true", "64-true", "bf16-mixed", 16, "16", "bf16", 32):
        check_trainer({"precision": precision, "val_check_interval": 0.5, "check_val_every_n_epoch": 1})


def test_a_machine_without_the_library_of_an_accelerator_says_so(train, capsys):
    assert "torch_xla" in refusal(train, capsys, "--trainer.accelerator=tpu")


def test_validation_that_an_epoch_is_too_short_for_is_refused(train, capsys):
    often = ("--trainer.check_val_every_n_epoch=1", "--trainer.val_check_interval=1000")
    assert re.search(r"trainer\.val_check_interval 1000 .* 15 batches", refusal(train, capsys, *often))


def test_a_sanity_check_before_training_is_no_validation(train, capsys):
    assert train("--trainer.num_sanity_val_steps=1", "--score_test=false") == 0
    said = capsys.readouterr().err
    assert re.findall(r"^step (\d+) \| dev BLEU", said, re.M) == ["4", "8"]
    assert Path("runs/tiny/logs/metrics.csv").read_text().count("\n0,") == 0


def test_a_profile_is_shown(train, caplog):
    assert train("--trainer.profiler=simple", "--score_test=false") == 0
    assert "run_training_batch" in caplog.text


@pytest.mark.parametrize("logger", ["null", "false"])
def test_tensorboard_is_written_unless_there_is_to_be_no_logger(train, logger):
    assert train(f"--trainer.logger={logger}", "--score_test=false") == 0
    assert bool(list(Path("runs/tiny").rglob("events*"))) == (logger == "null")
    assert Path("runs/tiny/logs/metrics.csv").exists()
