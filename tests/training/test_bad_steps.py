"""A step whose loss or gradient is not finite changes nothing but the count; too many in a row end training."""

import csv
import json
from itertools import pairwise
from pathlib import Path

import pytest
from lightning.pytorch.cli import LightningCLI  # noqa: F401 (slow: not within the first test)

from beamtrain.base.errors import UserError
from beamtrain.model.transformer import Transformer
from beamtrain.training.module import TranslationModule

STEPS = 6
EVERY_STEP = [
    "--score_test=false",
    f"--trainer.max_steps={STEPS}",
    "--trainer.log_every_n_steps=1",
    "--trainer.val_check_interval=1",
    "--model.search.max_length=2",
]
AVERAGES = ["--trainer.callbacks+=lightning.pytorch.callbacks.EMAWeightAveraging", "--trainer.callbacks.decay=0.5"]
NOTES = ["--trainer.callbacks+=interrupting.Notes", "--trainer.callbacks.path=notes"]
FINGERPRINTS = ["--trainer.callbacks+=interrupting.Fingerprints", "--trainer.callbacks.path=prints"]


def poisoned(kind, rows):
    return [
        "--model.objective=interrupting.Poisoned",
        f"--model.objective.kind={kind}",
        f"--model.objective.rows={json.dumps(rows)}",
    ]


def batches():
    """The rows of each training batch, in order."""
    return [json.loads(line)[2] for line in Path("notes").read_text().splitlines()]


def counts():
    with open("runs/tiny/logs/metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train/bad_steps"]]
    return [int(float(row["train/bad_steps"])) for row in rows]


@pytest.fixture
def rows(train):
    """The rows of the first batches."""
    assert train(*EVERY_STEP, *NOTES, "--trainer.accumulate_grad_batches=2") == 0
    seen = batches()
    Path("notes").unlink()
    return seen


@pytest.mark.parametrize("window, kind", [(1, "nan loss"), (1, "infinite loss"), (2, "nan gradient"), (2, "nan loss")])
def test_a_bad_step_changes_neither_weights_nor_optimiser_nor_averages(train, rows, capsys, window, kind):
    poison = [rows[0][0], rows[2 * window][0]]  # in the first batches of the first and of the third step
    settings = [
        *EVERY_STEP,
        f"--trainer.accumulate_grad_batches={window}",
        *AVERAGES,
        *FINGERPRINTS,
        *poisoned(kind, poison),
    ]
    assert train(*settings, "--overwrite") == 0
    prints = dict(line.split() for line in Path("prints").read_text().splitlines() if line)
    after = [prints[str(step)] for step in range(1, STEPS + 1)]
    same = [before == now for before, now in pairwise(after)]
    assert same == [False, True, False, False, False]
    assert counts() == [1, 1, 2, 2, 2, 2]
    err = capsys.readouterr().err
    assert "step 1/6" in err and "| 1 bad steps skipped" in err and "| 2 bad steps skipped" in err


def test_too_many_in_a_row_end_training_and_name_their_batches_also_after_a_stop(train, rows, capsys):
    settings = [*EVERY_STEP, *NOTES, *poisoned("nan loss", [row for batch in rows[2:] for row in batch])]
    settings += ["--model.max_bad_steps=3"]
    stop = ["--trainer.callbacks+=interrupting.SignalAt", "--trainer.callbacks.step=3"]
    assert train(*settings, "--overwrite", *stop) == 130
    assert train(*settings, "--resume") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("beamtrain: ")]
    assert "steps 3 to 5 had a loss or gradient that is not finite; 3 skipped in a row are too many" in line
    assert "runs/tiny/bad_batches.json names their batches" in line
    found = json.loads(Path("runs/tiny/bad_batches.json").read_text())
    assert (found["seed_everything"], found["data.seed"]) == (1, 1)
    (steps,) = found["processes"]
    assert [step["step"] for step in steps] == [3, 4, 5]
    named = [batch for step in steps for batch in step["batches"]]
    assert [(batch["epoch"], batch["batch"]) for batch in named] == [(1, 2), (1, 3), (1, 4)]
    assert [batch["rows"] for batch in named] == rows[2:5]


def test_the_limit_must_be_a_number_of_steps():
    with pytest.raises(UserError, match="max_bad_steps is 0, but must be 1 or more; 20 is usual"):
        TranslationModule(Transformer(vocab_size=8, width=4, heads=2), max_bad_steps=0)
