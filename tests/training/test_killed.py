"""A run whose process is killed and that is resumed ends with the bits of one that was never stopped."""

import csv
import json
import multiprocessing
import os
import random
import signal
import sys

import pytest
import torch
from safetensors.torch import load_file
from words import CONFIG, write_corpus

from beamtrain.runs.checkpoints import load_checkpoint

STEPS = 12
COMMON = [
    "--config=tiny.yaml",
    "--data.subword_sampling=0.3",
    f"--trainer.max_steps={STEPS}",
    "--trainer.val_check_interval=9",
    "--model.search.beam_size=2",
    "--model.search.max_length=12",
    "--trainer.accumulate_grad_batches=2",
    "--model.optimizer=torch.optim.AdamW",
    "--model.optimizer.lr=0.02",
    "--model.schedule.warmup_steps=4",
    "--save_every=3",
    "--score_test=false",
    "--trainer.callbacks+=lightning.pytorch.callbacks.EMAWeightAveraging",
    "--trainer.callbacks.decay=0.5",
    "--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping",
    "--trainer.callbacks.monitor=dev_bleu",
    "--trainer.callbacks.mode=max",
    "--trainer.callbacks.patience=50",
]
BEAMS = [
    "--model.objective=beamtrain.objectives.BeamTraining",
    "--model.objective.loss=beamtrain.objectives.ExpectedReward",
    "--model.objective.unroll.beam_size=2",
    "--model.objective.start_step=2",
]
OBJECTIVES = {"teacher forcing": [], "beam training": BEAMS}
KILLS = [
    ("in the middle of an epoch", ["interrupting.SignalAt", "step=2", "name=SIGKILL"]),
    ("in the middle of an accumulation window", ["interrupting.SignalAt", "step=5", "name=SIGKILL", "within=1"]),
    ("during a checkpoint write", ["interrupting.KillInCheckpoint", "step=9", "size=20000"]),
]

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    ["beamtrain.training.main", "beamtrain.objectives.beam_training", "datasets", "sacrebleu"]
)


def train_here(folder, arguments):
    """What a process of its own does: `beamtrain train` in `folder`."""
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    multiprocessing.set_start_method("fork", force=True)  # of data workers, as in a process of a person
    with open("messages.txt", "a", buffering=1) as messages:
        sys.stdout = sys.stderr = messages
        os.dup2(messages.fileno(), 2)
        from beamtrain.cli import main

        sys.exit(main(["train", *arguments]))


class Runs:
    """Starts training runs in one folder, each in a process of its own."""

    def __init__(self, folder):
        self.folder = folder

    def train(self, name, *arguments, callback=()):
        """The exit code, negative for a signal."""
        notes = ["interrupting.Notes", f"path={name}.notes"]
        callbacks = [f"--trainer.callbacks{'.' if '=' in each else '+='}{each}" for each in [*notes, *callback]]
        process = processes.Process(
            target=train_here, args=(self.folder, [*COMMON, f"--name={name}", *arguments, *callbacks])
        )
        process.start()
        process.join()
        return process.exitcode

    def messages(self):
        return (self.folder / "messages.txt").read_text()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Epochs of 7 batches, so that 12 steps of 2 batches, and of 1 at an epoch's end, go through several."""
    folder = tmp_path_factory.mktemp("killed")
    write_corpus(folder, rows=60)
    (folder / "tiny.yaml").write_text(CONFIG.format(corpus=".", vocab_size=30))
    return Runs(folder)


@pytest.fixture(scope="module")
def never_stopped(runs):
    """The run of each objective that nothing happens to."""
    for objective, settings in OBJECTIVES.items():
        assert runs.train(objective, *settings) == 0, runs.messages()
    return runs


def assert_same(mine, theirs, where=""):
    """Equal to the last bit, whatever it is."""
    if isinstance(mine, torch.Tensor):
        assert torch.equal(mine, theirs), where
    elif isinstance(mine, dict):
        assert mine.keys() == theirs.keys(), where
        for key in mine:
            assert_same(mine[key], theirs[key], f"{where}/{key}")
    elif isinstance(mine, list | tuple):
        assert len(mine) == len(theirs), where
        for index, pair in enumerate(zip(mine, theirs, strict=True)):
            assert_same(*pair, f"{where}/{index}")
    else:
        assert mine == theirs, where


def state(checkpoint):
    """What must be equal: all but the paths, and the counters of Lightning that do not enter training."""
    kept = {key: value for key, value in checkpoint.items() if key not in ("callbacks", "loops")}
    loop = checkpoint["loops"]["fit_loop"]
    kept["data"] = loop["state_dict"]["combined_loader"]
    kept["batches"] = loop["epoch_loop.batch_progress"]
    for name, of_callback in checkpoint["callbacks"].items():
        if name.startswith("BestCheckpoint"):
            kept["best"] = of_callback["best_model_score"]
        elif not name.startswith(("interrupting", "SignalAt", "Kill")):
            kept[name] = of_callback
    return kept


def metrics(folder):
    with open(folder / "logs" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name != "train/tokens_per_second"} for row in rows]


def batches(folder, name):
    """The rows of each batch of each epoch, which may have been seen again after a kill."""
    seen = {}
    for line in (folder / f"{name}.notes").read_text().splitlines():
        epoch, batch, rows = json.loads(line)
        assert seen.setdefault((epoch, batch), rows) == rows
    return seen


def assert_same_run(folder, mine, theirs):
    mine_at, theirs_at = folder / "runs" / mine, folder / "runs" / theirs
    last, expected = (load_checkpoint(run / "checkpoints" / "last.ckpt") for run in (mine_at, theirs_at))
    assert last["global_step"] == STEPS
    assert_same(state(last), state(expected))
    best, expected = (load_checkpoint(run / "checkpoints" / "best.ckpt") for run in (mine_at, theirs_at))
    assert_same(best["state_dict"], expected["state_dict"])
    assert best["global_step"] == expected["global_step"]
    assert_same(load_file(mine_at / "model.safetensors"), load_file(theirs_at / "model.safetensors"))
    assert metrics(mine_at) == metrics(theirs_at)
    assert batches(folder, mine) == batches(folder, theirs)
    assert not list(mine_at.rglob(".*.part"))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_run_that_was_killed_three_times_ends_as_if_it_had_never_stopped(never_stopped, objective, workers):
    runs, name = never_stopped, f"{objective}, {workers} workers"
    settings = [*OBJECTIVES[objective], f"--data.num_workers={workers}", "--resume"]
    for when, kill in KILLS:
        assert runs.train(name, *settings, callback=kill) == -signal.SIGKILL, f"{when}\n{runs.messages()}"
    assert list((runs.folder / "runs" / name / "checkpoints").glob(".last.ckpt.*.part"))  # the kill hit the write
    assert runs.train(name, *settings) == 0, runs.messages()
    assert_same_run(runs.folder, name, objective)
    assert f"runs/{name} has no checkpoint yet: starting at the beginning" in runs.messages()


def test_a_run_that_was_killed_at_the_end_of_two_epochs_ends_as_if_it_had_never_stopped(never_stopped):
    runs, name, settings = never_stopped, "ends of epochs", ["--save_every=1", "--resume"]
    for step in (4, 8):  # of 4 an epoch, the last of one batch
        kill = ["interrupting.SignalAt", f"step={step}", "name=SIGKILL"]
        assert runs.train(name, *settings, callback=kill) == -signal.SIGKILL, runs.messages()
    assert runs.train(name, *settings) == 0, runs.messages()
    assert_same_run(runs.folder, name, "teacher forcing")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_runs_that_are_killed_at_twenty_random_moments_end_as_if_they_had_never_stopped(
    never_stopped, objective, workers
):
    runs, draw, kills, number = never_stopped, random.Random(f"{objective} {workers}"), 0, 0
    settings = [*OBJECTIVES[objective], f"--data.num_workers={workers}", "--save_every=1", "--resume"]
    while kills < 20:
        name = f"{objective}, {workers} workers, {number}"
        exit_code = runs.train(name, *settings, callback=random_kill(draw))
        assert exit_code in (0, -signal.SIGKILL), runs.messages()
        kills += exit_code == -signal.SIGKILL
        if exit_code == 0:  # it came to its end before the moment
            assert_same_run(runs.folder, name, objective)
            number += 1
    assert runs.train(name, *settings) == 0 or exit_code == 0, runs.messages()
    assert_same_run(runs.folder, name, objective)


def random_kill(draw):
    """A callback that kills at some time, in some step, or while some checkpoint is written."""
    step = draw.randrange(STEPS)
    return draw.choice(
        [
            ["interrupting.KillAfter", f"seconds={draw.uniform(0, 2)}"],
            ["interrupting.SignalAt", f"step={step}", "name=SIGKILL", f"within={draw.randrange(2)}"],
            ["interrupting.KillInCheckpoint", f"step={step}", f"size={draw.randrange(1, 150_000)}"],
        ]
    )
