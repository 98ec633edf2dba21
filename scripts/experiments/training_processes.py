"""`beamtrain` in a process of its own: what was interrupted goes on, with the settings that it was begun with."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from child_processes import REPOSITORY, ended_process, log_of

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text


class Record(NamedTuple):
    """What is known of a run's training, in its folder."""

    seconds: float = 0.0
    """Of processor time, of all its processes, but one that was killed at once with this script."""
    finished: bool = False

    @classmethod
    def of(cls, folder: Path) -> "Record":
        """Raises UserError where the file is damaged."""
        if not (path := folder / "training.json").exists():
            return cls()
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(float(found["seconds"]), bool(found["finished"]))
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path} is damaged: remove the folder {folder}, to train it anew") from error

    def save(self, folder: Path) -> None:
        if folder.is_dir():
            write_text(folder / "training.json", json.dumps(self._asdict()) + "\n")


def is_whole(folder: Path) -> bool:
    """Whether a run can be the start of others; one that was not trained by `train` is taken as it is."""
    return (folder / "model.json").exists() and (not config_of(folder).exists() or Record.of(folder).finished)


def config_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".yaml")


def train(folder: Path, settings: dict[str, Any], threads: int, config: Path | None = None) -> float:
    """`beamtrain train`, unless it is finished, by a config that the settings change; the processor seconds of all its
    processes.

    Raises UserError where the run was begun with other settings.
    """
    if begun := (folder / "model.json").exists():
        check_settings(folder, settings)
    record = Record.of(folder)
    if record.finished:
        return record.seconds
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_text(config_of(folder), yaml.safe_dump(settings))
    command = [sys.executable, str(REPOSITORY / "scripts" / "train.py")]
    command += ["--config", str(config)] if config else []
    command += ["--config", str(config_of(folder)), "--runs", str(folder.parent), "--name", folder.name]
    if steps_done(folder) < settings["trainer"]["max_steps"]:
        ended = ended_process(command + ["--resume"] * begun, log_of(folder), threads)
        record = record._replace(seconds=round(record.seconds + ended.seconds, 1), finished=not ended.status)
        record.save(folder)
        ended.check()
    record._replace(finished=True).save(folder)
    return record.seconds


def check_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Raises UserError unless the run was begun with these; its folder, and that of the others, may have been moved."""
    path = config_of(folder)
    if not path.exists():
        return
    try:
        before, now = flat(yaml.safe_load(path.read_text(encoding="utf-8"))), flat(settings)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged: remove it and the folder {folder}, to train it anew") from error
    if ("init_from" in before) != ("init_from" in now):
        raise UserError(
            f"{folder} was begun from {before.get('init_from', 'random weights')}, not from "
            f"{now.get('init_from', 'random weights')}: give that, or another --out"
        )
    for name in sorted({*before, *now} - {"init_from", "data.source"}):
        if before.get(name) != now.get(name):
            raise UserError(
                f"{folder} was begun with {name} {before.get(name)}, not {now.get(name)}: give that, or another --out"
            )


def flat(settings: Any, name: str = "") -> dict[str, Any]:
    """The values of nested settings, each by the names that lead to it."""
    if not isinstance(settings, dict):
        return {name: settings}
    return {
        key: value
        for each, inner in settings.items()
        for key, value in flat(inner, f"{name}.{each}" if name else each).items()
    }


def steps_done(folder: Path) -> int:
    """The optimiser steps of a run's last checkpoint."""
    from beamtrain.runs.checkpoints import load_checkpoint

    last = folder / "checkpoints" / "last.ckpt"
    return int(load_checkpoint(last)["global_step"]) if last.exists() else 0
