"""Lightning's averaging of weights: what is validated, saved and gone on from."""

from pathlib import Path

import torch
from tiny_run import LAST, assert_equal

from beamtrain.runs.checkpoints import load_checkpoint
from beamtrain.runs.loading import load_run

AVERAGING = "--trainer.callbacks+=lightning.pytorch.callbacks.EMAWeightAveraging"


def test_until_it_begins_what_is_validated_and_saved_is_what_was_trained(train_tiny):
    assert train_tiny("--overwrite", AVERAGING, "--trainer.callbacks.update_starting_at_step=6") == 0
    assert train_tiny("--name=plain") == 0
    for name in ("best", "last"):
        mine, theirs = (load_checkpoint(Path(f"runs/{run}/checkpoints/{name}.ckpt")) for run in ("tiny", "plain"))
        if mine["global_step"] < 7:
            assert_equal(mine["state_dict"], theirs["state_dict"])
    assert_equal(load_checkpoint(LAST)["current_model_state"], theirs["state_dict"])
    first, second = (Path(f"runs/{run}/logs/metrics.csv").read_text().splitlines()[2] for run in ("tiny", "plain"))
    assert first.split(",")[-2:] == second.split(",")[-2:]


def test_nothing_untrained_is_used_when_it_never_begins(train_tiny):
    assert train_tiny("--overwrite", AVERAGING, "--trainer.callbacks.update_starting_at_step=100") == 0
    assert train_tiny("--name=plain") == 0
    mine, theirs = (load_run(f"runs/{name}") for name in ("tiny", "plain"))
    assert mine.weights == theirs.weights
    assert_equal(mine.network.state_dict(), theirs.network.state_dict())


def test_without_it_a_resumed_run_goes_on_from_the_trained_weights(train_tiny, capsys):
    averaging = [AVERAGING, "--trainer.callbacks.decay=0.9"]
    assert train_tiny("--name=averaged", *averaging, "--trainer.max_steps=4") == 0
    capsys.readouterr()
    assert train_tiny("--name=averaged", "--resume") == 0
    assert "averaged weights" in capsys.readouterr().err
    assert train_tiny("--resume") == 0
    ended = (load_checkpoint(Path(f"runs/{name}/checkpoints/last.ckpt")) for name in ("averaged", "tiny"))
    assert_equal(*(each["state_dict"] for each in ended))


def test_with_it_a_resumed_run_begins_to_average(train_tiny, capsys):
    assert train_tiny("--resume", AVERAGING, "--trainer.callbacks.decay=0.9") == 0
    assert "averaging begins" in capsys.readouterr().err
    checkpoint = load_checkpoint(LAST)
    assert checkpoint["averaging_state"]["n_averaged"] == 4
    assert train_tiny("--name=plain") == 0
    plain = load_checkpoint(Path("runs/plain/checkpoints/last.ckpt"))["state_dict"]
    assert_equal(checkpoint["current_model_state"], plain)
    assert any(not torch.equal(value, plain[name]) for name, value in checkpoint["state_dict"].items())
