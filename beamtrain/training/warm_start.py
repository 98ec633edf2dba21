"""Starting a run from another one's data settings, network and weights: `--init_from RUN`."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from beamtrain.base.errors import UserError
from beamtrain.model.base import Seq2Seq
from beamtrain.runs.loading import Run, load_run
from beamtrain.training.settings import read_config

OPTION = "--init_from"


def origin(arguments: list[str], configs: list[Path]) -> Path | None:
    """The run that `--init_from RUN` names, or `init_from: RUN` in a config; the command line wins, then the last one.

    Raises:
        UserError: it has no config.yaml.
    """
    value = None
    for path in configs:
        settings = read_config(path)
        value = settings.get(OPTION.removeprefix("--"), value)
    for argument, following in pairwise([*arguments, ""]):
        option, equals, own = argument.partition("=")
        if option == OPTION:
            value = own if equals else following
    if value in (None, "null"):
        return None
    if not (Path(value) / "config.yaml").is_file():
        raise UserError(
            f"{OPTION} {value}: not a run's folder, it has no config.yaml; train that run first, or name another"
        )
    return Path(value)


def inherited(folder: Path) -> dict[str, Any]:
    """The settings that a run hands on: its data, with its own subwords, and its network."""
    try:
        settings = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        return {
            "data": {**settings["data"], "tokenizer_from": str(folder)},
            "model": {"network": settings["model"]["network"]},
        }
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UserError(f"{OPTION} {folder}: config.yaml is damaged ({' '.join(str(error).split())[:200]})") from error


def copy_weights(folder: Path, network: Seq2Seq, settings: dict[str, Any]) -> Run:
    """Give `network`, which was made with `settings`, the weights of the run in `folder`.

    Raises:
        UserError: the two networks have not the same shape.
    """
    run = load_run(folder)
    try:
        network.load_state_dict(run.network.state_dict())
    except RuntimeError as error:
        theirs = run.description.arguments
        differing = [
            f"{name} {settings.get(name)!r} (there {theirs.get(name)!r})"
            for name in sorted({*theirs, *settings})
            if theirs.get(name) != settings.get(name)
        ]
        raise UserError(
            f"{OPTION} {folder}: its weights do not fit this network: {', '.join(differing) or 'another class'}"
        ) from error
    return run
