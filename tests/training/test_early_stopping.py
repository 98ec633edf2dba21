"""A run that stops before its last step says so, and what makes it go on."""

import re

from tiny_run import LAST

from beamtrain.runs.checkpoints import load_checkpoint

EARLY = [
    "--trainer.val_check_interval=1",
    "--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping",
    "--trainer.callbacks.monitor=dev_bleu",
    "--trainer.callbacks.mode=max",
    "--trainer.callbacks.min_delta=100",
]


def test_it_says_that_it_stopped_and_when_and_why(train_tiny, capsys):
    assert train_tiny("--overwrite", *EARLY, "--trainer.callbacks.patience=1") == 0
    said = capsys.readouterr().err
    assert re.search(r"stopped at step 2: dev_bleu has not improved by more than 100 .* in 1 validations", said), said


def test_raised_patience_goes_on(train_tiny, capsys):
    assert train_tiny("--overwrite", *EARLY, "--trainer.callbacks.patience=1") == 0
    assert train_tiny("--resume", *EARLY, "--trainer.callbacks.patience=3") == 0
    assert load_checkpoint(LAST)["global_step"] == 4
    (early,) = (state for name, state in load_checkpoint(LAST)["callbacks"].items() if name.startswith("EarlyStopping"))
    assert early["patience"] == 3


def test_a_run_that_stays_stopped_says_what_to_do(train_tiny, capsys):
    for start in ("--overwrite", "--resume"):
        capsys.readouterr()
        assert train_tiny(start, *EARLY, "--trainer.callbacks.patience=1") == 0
        assert load_checkpoint(LAST)["global_step"] == 2
    assert re.search(r"stopped at step 2: .*; to go on, raise the patience", capsys.readouterr().err)


def test_a_time_limit_says_that_it_stopped_too(train_tiny, capsys):
    assert train_tiny("--overwrite", "--trainer.max_time=00:00:00:01", "--trainer.max_steps=-1") == 0
    assert re.search(r"stopped at step \d+: trainer.max_time is used up", capsys.readouterr().err)
    assert train_tiny("--resume", "--trainer.max_time=00:00:00:01", "--trainer.max_steps=-1") == 0
    assert re.search(r"stopped at step \d+: trainer.max_time is used up", capsys.readouterr().err)
