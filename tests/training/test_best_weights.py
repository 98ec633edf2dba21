"""Which weights of a run are used."""

import csv
import re
from pathlib import Path

import torch
from tiny_run import BEST

from beamtrain.runs.checkpoints import load_checkpoint
from beamtrain.runs.loading import load_run


def test_of_equal_scores_the_last_is_the_best(train_tiny, capsys):
    nothing_right = ["--model.search.max_length=1", "--trainer.val_check_interval=2"]
    assert train_tiny("--overwrite", *nothing_right) == 0
    said = re.findall(r"step (\d+) \| dev BLEU 0.00 \(best 0.00 at step (\d+)\)", capsys.readouterr().err)
    assert said == [(str(step), str(step)) for step in (2, 4, 6, 8)]
    assert load_checkpoint(BEST)["global_step"] == 8 and load_run("runs/tiny").weights["step"] == 8


def test_the_weights_that_are_used_are_the_best_at_any_moment(train_tiny):
    nothing_right = ["--model.search.max_length=1", "--trainer.val_check_interval=2"]
    assert train_tiny("--overwrite", *nothing_right, "--trainer.max_steps=4") == 0
    assert load_run("runs/tiny").weights["step"] == 4
    fail = ["--trainer.callbacks+=interrupting.Fail", "--trainer.callbacks.step=7"]
    assert train_tiny("--resume", *nothing_right, *fail) == 2
    best = load_checkpoint(BEST)
    assert best["global_step"] == 6
    run = load_run("runs/tiny")
    assert run.weights["step"] == 6
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, best["state_dict"][f"network.{name}"]), name


def test_training_ends_with_a_validation_and_goes_on_as_if_it_had_not(train_tiny):
    rarely = ["--trainer.val_check_interval=3"]
    assert train_tiny("--overwrite", *rarely, "--trainer.max_steps=5") == 0
    rows = list(csv.DictReader(Path("runs/tiny/logs/metrics.csv").read_text().splitlines()))
    assert [row["step"] for row in rows if row["dev_bleu"]] == ["3", "5"]
    assert train_tiny("--resume", *rarely, "--trainer.max_steps=7") == 0
    assert train_tiny("--name=at_once", *rarely, "--trainer.max_steps=7") == 0
    resumed, at_once = (load_checkpoint(Path(f"runs/{name}/checkpoints/last.ckpt")) for name in ("tiny", "at_once"))
    assert resumed["global_step"] == 7
    for name, value in at_once["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name


def test_the_weights_are_the_last_ones_as_long_as_nothing_was_validated(train_tiny):
    never = ["--trainer.val_check_interval=1000", "--save_every=2"]
    fail = ["--trainer.callbacks+=interrupting.Fail", "--trainer.callbacks.step=5"]
    assert train_tiny("--overwrite", *never, *fail) == 2
    assert load_run("runs/tiny").weights["step"] == 4
