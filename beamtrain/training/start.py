"""Where a run starts: at the beginning, with another run's weights, or at a checkpoint of its own.

What can refuse a start does so here, or in Lightning before the first step. Until then nothing is written or removed:
`callbacks.begin_run` claims the run's folder when training starts.
"""

import shlex
import sys
from bisect import bisect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from beamtrain.base.errors import UserError
from beamtrain.data.datamodule import TranslationData
from beamtrain.runs.checkpoints import load_checkpoint, newest_checkpoint
from beamtrain.training.callbacks.averaging import averaging_callbacks
from beamtrain.training.processes import is_first
from beamtrain.training.provenance import KEY, Settings, check_same
from beamtrain.training.run_folder import LAST, RunFolder
from beamtrain.training.schedule import Schedule

START_OPTIONS = ("name", "runs", "resume", "resume_from", "overwrite")
"""What says where a run starts, not what is trained, and so is not kept in its config.yaml."""
ENDLESS = 10**9
"""Steps that no run will do."""


@dataclass(frozen=True)
class Start:
    """Where a run starts.

    Attributes:
        folder: where it lies.
        replaces: whether the run that lies there is removed.
        resumes: whether it goes on, if only from its beginning.
        checkpoint: what it goes on from; None for a beginning.
        step: optimiser steps done.
        epoch: epochs done.
        made_with: the provenance of the checkpoint.
        shapes: name -> shape of all that the module keeps in the checkpoint.
        averaged: whether the checkpoint holds averaged weights besides the trained ones.
    """

    folder: RunFolder
    replaces: bool = False
    resumes: bool = False
    checkpoint: Path | None = None
    step: int = 0
    epoch: int = 0
    made_with: dict[str, Settings] = field(default_factory=dict)
    shapes: dict[str, torch.Size] = field(default_factory=dict)
    averaged: bool = False

    def check(self, made_with: dict[str, Settings], module: pl.LightningModule, trainer: pl.Trainer) -> None:
        """Check that what was typed can go on from the checkpoint, and say what becomes of averaged weights.

        Raises:
            UserError: it cannot.
        """
        if self.checkpoint is None:
            return
        check_same(self.made_with, made_with, self.checkpoint, self.folder.path)
        shapes = {name: value.shape for name, value in module.state_dict().items()}
        if different := sorted(name for name, _ in shapes.items() ^ self.shapes.items()):
            raise UserError(
                f"{self.checkpoint} does not fit this model: {different[0]} is "
                f"{_shown(shapes.get(different[0]))} (there {_shown(self.shapes.get(different[0]))}); "
                "set model.objective back, or start a new run by --name NAME"
            )
        averages = bool(averaging_callbacks(trainer))
        if self.averaged and not averages:
            say(f"averaging is off: going on from the trained weights of {self.checkpoint}, not the averaged weights")
        elif averages and not self.averaged:
            say(f"averaging begins: {self.checkpoint} has no averaged weights")


def keep_subwords(config: Any, folder: RunFolder) -> None:
    """Have a run that is resumed take its subwords from its own folder if the one that they came from is gone."""
    given = config.data.tokenizer_from
    if given is not None and not Path(given).exists() and folder.is_run and resumes(config):
        config.data.tokenizer_from = str(folder)


def resumes(config: Any) -> bool:
    """Whether the run that is there is to go on."""
    return bool(config.resume) or config.resume_from is not None


def find_start(folder: RunFolder, config: Any, again: str) -> Start:
    """Hold the run that lies in `folder`, if one does, and read the checkpoint to go on from.

    Args:
        folder: the run's folder.
        config: all settings, with START_OPTIONS.
        again: the command that was given, without START_OPTIONS that are switches.

    Raises:
        UserError: options contradict each other; the folder holds something else, or a run that is neither to be
            resumed nor to be replaced, or one that is in use, or weights without a checkpoint; the checkpoint is
            missing or damaged, with the command that goes on from the newest good one; nothing is left to do.
    """
    if resumes(config) and config.overwrite:
        raise UserError("--resume goes on with a run and --overwrite replaces it: give one of them")
    if is_first():  # a process that it starts finds what it has made
        if folder.is_run:
            if not resumes(config) and not config.overwrite:
                raise UserError(
                    f"{folder} exists: --resume goes on, --overwrite replaces it, --name NAME starts another"
                )
            folder.hold()
        elif not folder.is_free:
            raise UserError(f"{folder} exists and is not a run: give another --name, or another folder by --runs")
    if not resumes(config):
        return Start(folder, replaces=config.overwrite)
    if config.resume_from is None and not any(folder.checkpoints.glob("*.ckpt")):
        if (folder.path / "model.safetensors").exists():  # an average, a model that was imported, a run tidied up
            raise UserError(
                f"{folder} has weights but no checkpoint to go on from, and training from the beginning would replace "
                f"them: start a new run from them by --init_from {folder} --name NAME"
            )
        say(f"{folder} has no checkpoint yet: starting at the beginning")
        return Start(folder, resumes=True)
    checkpoint = Path(config.resume_from) if config.resume_from is not None else folder.checkpoints / LAST
    start = _at_checkpoint(folder, checkpoint, again)
    most = config.trainer.max_steps
    if 0 <= most <= start.step and _is_finished(folder.path, checkpoint, _scores_test(config)):
        raise UserError(f"{folder} is already at step {start.step:,} >= trainer.max_steps {most:,}; raise it to go on")
    most = config.trainer.max_epochs
    if most is not None and 0 <= most < start.epoch:  # Lightning would refuse it, in other words
        raise UserError(
            f"{folder} has already done {start.epoch:,} epochs > trainer.max_epochs {most:,}; raise it to go on"
        )
    return start


def check_rate(schedule: Schedule, done: int, max_steps: int) -> None:
    """Check that after the `done` steps more than the last one changes something: that the rate is not 0 before.

    Raises:
        UserError: it is.
    """
    first = max(done - 1, 0)
    last = max_steps - 1 if max_steps >= 0 else ENDLESS if schedule(done) == 0 else first
    if last <= first or schedule(last) > 0:
        return
    zero = first + bisect(range(first, last), False, key=lambda step: schedule(step) == 0)
    if zero < last:
        raise UserError(
            f"the learning rate is 0 from step {zero + 1:,} on, but trainer.max_steps is {max_steps:,}: let "
            "model.schedule last as long (Cosine: total_steps) or end above 0 (Cosine: final)"
        )


def same_command(arguments: list[str]) -> str:
    """What was typed, without the options that say where to start."""
    same, pending = ["beamtrain", "train"], iter(arguments)
    for argument in pending:
        if argument == "--resume_from":
            next(pending, None)
        elif argument.partition("=")[0] not in ("--resume", "--resume_from", "--overwrite"):
            same.append(argument)
    return shlex.join(same)


def say(line: str) -> None:
    """A line for people, from the first process."""
    if is_first():
        print(line, file=sys.stderr)


def _at_checkpoint(folder: RunFolder, path: Path, again: str) -> Start:
    try:
        checkpoint = load_checkpoint(path)
    except UserError as error:
        good = newest_checkpoint(folder.checkpoints)
        if good is None:
            raise UserError(f"{error}; there is no other good one in {folder.checkpoints}") from error
        other, step = good
        raise UserError(
            f"{error}; the newest good one is that of step {step:,}; to go on from it: {again} --resume_from={other}"
        ) from error
    if path.resolve().parent != folder.checkpoints.resolve() or KEY not in checkpoint:
        raise UserError(
            f"{path} is not a checkpoint of {folder}: --resume_from takes those in {folder.checkpoints}; a new run "
            "starts from another one's weights by --init_from RUN"
        )
    return Start(
        folder,
        resumes=True,
        checkpoint=path,
        step=checkpoint["global_step"],
        epoch=checkpoint["epoch"],
        made_with=checkpoint[KEY],
        shapes={name: value.shape for name, value in checkpoint["state_dict"].items()},
        averaged="averaging_state" in checkpoint,
    )


def _scores_test(config: Any) -> bool:
    """Whether the test set is scored at the end: it is to be, and there is one."""
    return config.score_test and "test" in TranslationData(**vars(config.data)).splits


def _is_finished(folder: Path, checkpoint: Path, scored: bool) -> bool:
    """Whether what follows training was done too: the weights and, if asked for, the scores."""
    report = folder / "report" / "report.json"
    scores = report.exists() and report.stat().st_mtime_ns >= checkpoint.stat().st_mtime_ns
    return (folder / "model.safetensors").exists() and (scores or not scored)


def _shown(shape: torch.Size | None) -> str:
    return "missing" if shape is None else f"of shape {tuple(shape)}"
