"""`beamtrain` in a process of its own: what was interrupted goes on, with the settings that it was begun with."""

import hashlib
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
    """Of processor time, of all its processes but those of the `unseen` steps."""
    finished: bool = False
    start: str = ""
    """A digest of the weights that it began from; empty where they are random, or were not noted."""
    steps: int | None = None
    """Done when this was written; None where that was not noted."""
    unseen: int = 0
    """Steps of processes that went on after this script had been killed, and so were not seen to end."""

    @classmethod
    def of(cls, folder: Path) -> "Record":
        """Raises UserError where the file is damaged."""
        if not (path := folder / "training.json").exists():
            return cls()
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            steps = found.get("steps")
            return cls(
                float(found["seconds"]),
                bool(found["finished"]),
                str(found.get("start", "")),
                None if steps is None else int(steps),
                int(found.get("unseen", 0)),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path} is damaged: remove the folder {folder}, to train it anew") from error

    def save(self, folder: Path) -> None:
        if folder.is_dir():
            write_text(folder / "training.json", json.dumps(self._asdict()) + "\n")


def is_whole(folder: Path) -> bool:
    """Whether a run can be the start of others; one that was not trained by `train` is taken as it is."""
    return (folder / "model.json").exists() and (not config_of(folder).exists() or Record.of(folder).finished)


def config_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".yaml")


def train(folder: Path, settings: dict[str, Any], threads: int, config: Path | None = None) -> Record:
    """`beamtrain train`, unless it is finished, by a config that the settings change.

    Raises UserError where the run was begun with other settings, or from other weights.
    """
    if begun := (folder / "model.json").exists():
        check_settings(folder, settings)
    record = Record.of(folder)
    if record.finished:
        return record
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_text(config_of(folder), yaml.safe_dump(settings))
    command = [sys.executable, str(REPOSITORY / "scripts" / "train.py")]
    command += ["--config", str(config)] if config else []
    command += ["--config", str(config_of(folder)), "--runs", str(folder.parent), "--name", folder.name]
    done = steps_done(folder)
    seen = record.steps
    if seen is None:
        seen = done if (folder / "training.json").exists() else 0
    record = record._replace(unseen=record.unseen + done - seen, start=digest_of_start(settings))
    if done < settings["trainer"]["max_steps"]:
        ended = ended_process(command + ["--resume"] * begun, log_of(folder), threads)
        seconds = round(record.seconds + ended.seconds, 1)
        now = done if ended.status == 2 else steps_done(folder)  # refused, perhaps because another one is at it
        record = record._replace(seconds=seconds, finished=not ended.status, steps=now)
        record.save(folder)
        ended.check()
    record = record._replace(finished=True, steps=settings["trainer"]["max_steps"])
    record.save(folder)
    return record


def digest_of_start(settings: dict[str, Any]) -> str:
    """Of the weights that a run begins from; empty where there are none."""
    return digest_of_weights(Path(settings["init_from"])) if "init_from" in settings else ""


def digest_of_weights(run: Path) -> str:
    path = run / "model.safetensors"
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() if path.exists() else ""


def check_start(folder: Path, start: Path) -> None:
    """Raises UserError where a run began from other weights than its start has now."""
    begun, now = Record.of(folder).start, digest_of_weights(start)
    if begun and now and begun != now:
        raise UserError(
            f"{folder} was begun from other weights than {start} has now: give the --out of the start that it was "
            "begun from, or remove it"
        )


def check_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Raises UserError unless the run was begun with these; its folder, and that of the others, may have been moved."""
    if "init_from" in settings:
        check_start(folder, Path(settings["init_from"]))
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
