"""What the terminal, TensorBoard and metrics.csv say of training: means over tokens since their last line."""

import csv
import math
import re
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from beamtrain.objectives.teacher_forcing import TeacherForcing
from beamtrain.training import InverseSquareRoot
from beamtrain.training.weighted_means import WeightedMeans


@pytest.fixture
def batches(monkeypatch):
    """(weight, loss, negative log-likelihood) of every batch that is trained on, all but the first summed."""
    seen, forward = [], TeacherForcing.forward

    def recorded(self, *arguments):
        loss = forward(self, *arguments)
        seen.append((loss.weight, float(loss.total.detach()), float(loss.figures["nll"])))
        return loss

    monkeypatch.setattr(TeacherForcing, "forward", recorded)
    return seen


def rows(run="tiny"):
    with open(f"runs/{run}/logs/metrics.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if row["train/loss"]]


@pytest.mark.parametrize(("accumulated", "steps"), [(1, 8), (2, 8)])
def test_every_line_is_the_mean_over_the_tokens_since_the_one_before(train, batches, capsys, accumulated, steps):
    settings = (f"--trainer.accumulate_grad_batches={accumulated}", "--trainer.log_every_n_steps=2")
    assert train(*settings, f"--trainer.max_steps={steps}", "--score_test=false") == 0
    lines = re.findall(r"step (\d+)/8 \| epoch \d \| loss ([\d.]+) \| perplexity ([\d.]+) \| lr ([\d.e-]+) \|",
                       capsys.readouterr().err)  # fmt: skip
    table = rows()
    events = EventAccumulator("runs/tiny/logs/tensorboard").Reload()
    assert [int(line[0]) for line in lines] == [int(row["step"]) for row in table] == [2, 4, 6, 8]
    windows = split_into_windows(len(batches), accumulated)
    for number, (step, loss, perplexity, lr) in enumerate(lines):
        since = [batches[index] for window in windows[2 * number : 2 * number + 2] for index in window]
        weight, total, nll = (sum(column) for column in zip(*since, strict=True))
        row = table[number]
        assert float(row["train/loss"]) == pytest.approx(total / weight, rel=1e-5)
        assert float(row["train/nll"]) == pytest.approx(nll / weight, rel=1e-5)
        assert float(row["train/lr"]) == pytest.approx(1e-3 * InverseSquareRoot()(int(step) - 1))
        assert float(loss) == pytest.approx(total / weight, abs=6e-4)
        assert float(perplexity) == pytest.approx(math.exp(nll / weight), abs=6e-3)
        assert float(lr) == pytest.approx(float(row["train/lr"]), rel=0.01)
        for name in ("train/loss", "train/nll", "train/lr"):
            assert events.Scalars(name)[number].value == pytest.approx(float(row[name]), rel=1e-5)
    assert len({weight for weight, *_ in batches}) > 1 and len(windows) == steps


def split_into_windows(count, accumulated):
    """The batches of each optimiser step: the last window of an epoch may be smaller. There are 15 batches in one."""
    epochs = [range(start, min(start + 15, count)) for start in range(0, count, 15)]
    return [epoch[start : start + accumulated] for epoch in epochs for start in range(0, len(epoch), accumulated)]


def test_a_line_after_a_resume_counts_what_came_before_it(train):
    settings = ("--trainer.log_every_n_steps=3", "--score_test=false", "--save_every=1")
    assert train(*settings, "--name=whole") == 0
    stop = ("--trainer.callbacks+=interrupting.SignalAt", "--trainer.callbacks.step=4")
    assert train(*settings, "--name=parts", *stop) == 130
    assert train(*settings, "--name=parts", "--resume") == 0
    for whole, parts in zip(rows("whole"), rows("parts"), strict=True):
        assert {**whole, "train/tokens_per_second": None} == {**parts, "train/tokens_per_second": None}


def test_a_mean_is_of_the_batches_that_have_the_figure_and_are_finite():
    means = WeightedMeans()
    means.add(["loss"], torch.tensor([2.0, 10.0]))
    means.add(["loss", "reward"], torch.tensor([6.0, 6.0, 3.0]))
    means.add(["loss", "reward"], torch.tensor([5.0, math.nan, 100.0]))
    assert means.means() == {"loss": 2.0, "reward": 0.5}
    again = WeightedMeans()
    again.load_state_dict(means.state_dict(), torch.device("cpu"))
    again.add(["reward"], torch.tensor([2.0, 5.0]))
    assert again.means() == {"loss": 2.0, "reward": 1.0}
    again.clear()
    assert again.means() == {}


def test_nothing_waits_for_the_device():
    """A meta tensor has no values: whatever asks for one fails."""
    means = WeightedMeans()
    for _ in range(2):
        means.add(["loss", "reward"], torch.ones(3, device="meta"))
    assert all(mean.is_meta for mean in means.means().values())


def test_an_epoch_s_last_window_has_its_line_although_it_is_not_full(train, capsys):
    """15 batches in windows of 2: the eighth window has one."""
    settings = ("--trainer.accumulate_grad_batches=2", "--trainer.log_every_n_steps=8", "--trainer.max_steps=8")
    assert train(*settings, "--score_test=false") == 0
    assert Path("runs/tiny").exists() and "step 8/8 | epoch 1 | loss" in capsys.readouterr().err
