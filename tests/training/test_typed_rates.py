"""A resumed run goes on at the rate, and by the settings of the optimiser, that are typed."""

from pathlib import Path

import pytest
import torch
import yaml
from tiny_run import ADAMW, COSINE, LAST, refused

from beamtrain.runs.checkpoints import load_checkpoint


def test_the_settings_of_the_optimiser_that_are_typed_take_effect(train_tiny):
    settings = {"lr": 0.5, "betas": [0.5, 0.6], "weight_decay": 0.25, "eps": 1e-3}
    typed = [f"--model.optimizer.{name}={value}".replace(" ", "") for name, value in settings.items()]
    assert train_tiny("--resume", ADAMW, *typed, "--model.schedule.warmup_steps=10",
                 "--trainer.max_steps=5") == 0  # fmt: skip
    checkpoint = load_checkpoint(LAST)
    (group,) = checkpoint["optimizer_states"][0]["param_groups"]
    assert {name: group[name] for name in settings} == {**settings, "betas": (0.5, 0.6), "lr": 0.5 * 6 / 10}
    (rate,) = checkpoint["lr_schedulers"]
    assert rate["base_lrs"] == [0.5] and rate["last_epoch"] == 5
    init = yaml.safe_load(Path("runs/tiny/config.yaml").read_text())["model"]["optimizer"]["init_args"]
    assert {name: init[name] for name in settings} == settings


def test_the_first_step_after_a_resume_is_made_at_the_rate_that_is_typed(train_tiny):
    before = load_checkpoint(LAST)["state_dict"]
    assert train_tiny("--resume", ADAMW, "--model.optimizer.lr=1e-12",
                 "--trainer.max_steps=5") == 0  # fmt: skip
    after = load_checkpoint(LAST)["state_dict"]
    assert all(torch.allclose(value, after[name], rtol=0, atol=1e-9) for name, value in before.items())


def test_a_schedule_that_ends_before_training_is_refused_with_what_to_do(train_tiny, capsys):
    assert train_tiny("--overwrite", *COSINE, "--model.schedule.total_steps=4", "--trainer.max_steps=4") == 0
    line = refused(train_tiny, capsys, "--resume", *COSINE, "--model.schedule.total_steps=4", "--trainer.max_steps=8")
    assert "the learning rate is 0 from step 4 on" in line and "total_steps" in line and "8" in line
    assert train_tiny("--resume", *COSINE, "--model.schedule.total_steps=8", "--trainer.max_steps=8") == 0
    assert train_tiny("--overwrite", *COSINE, "--model.schedule.total_steps=4", "--model.schedule.final=0.1",
                 "--trainer.max_steps=8") == 0  # fmt: skip


@pytest.mark.parametrize("start", ["--name=new", "--resume"])
def test_a_learning_rate_of_zero_is_refused(train_tiny, capsys, start):
    line = refused(train_tiny, capsys, start, "--model.optimizer.lr=0", "--trainer.max_steps=8")
    assert "model.optimizer.init_args.lr is 0" in line
