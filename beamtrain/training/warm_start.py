"""Starting a run from another one's data settings, network and weights: `--init_from RUN`."""

from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from beamtrain.base.errors import UserError
from beamtrain.data.datamodule import TranslationData
from beamtrain.model.base import Seq2Seq
from beamtrain.runs.description import load_description
from beamtrain.runs.loading import Run, load_run
from beamtrain.runs.networks import NETWORKS, registered
from beamtrain.training.provenance import FROM_DATA, Settings, network_differences
from beamtrain.training.run_folder import CONFIG
from beamtrain.training.settings import read_config

OPTION = "--init_from"


def origin(arguments: list[str], configs: list[Path]) -> Path | None:
    """The run that `--init_from RUN` names, or `init_from: RUN` in a config; the command line wins, then the last one.

    None also where it is gone and not needed any more, by a run that goes on.

    Raises:
        UserError: it is no run.
    """
    value = None
    for path in configs:
        settings = read_config(path)
        value = settings.get(OPTION.removeprefix("--"), value)
    goes_on = False
    for argument, following in pairwise([*arguments, ""]):
        option, equals, own = argument.partition("=")
        goes_on |= option in ("--resume", "--resume_from")
        if option == OPTION:
            value = own if equals else following
    if value in (None, "null") or (goes_on and not Path(value).exists()):
        return None
    return checked_origin(value)


def checked_origin(folder: str) -> Path:
    """The folder, if a run lies there.

    Raises:
        UserError: none does.
    """
    if not (Path(folder) / CONFIG).is_file():
        raise UserError(
            f"{OPTION} {folder}: not a run's folder, it has no {CONFIG}; train that run first, or name another"
        )
    return Path(folder)


def inherited(folder: Path) -> dict[str, Any]:
    """The settings that a run hands on: its data, with its own subwords, and its network.

    Nothing that the run's files name is imported: the network is one of `NETWORKS`, and all settings are plain values.

    Raises:
        UserError: a file is damaged, or names another network.
    """
    description = load_description(folder)
    network = registered(description.network, f"{folder}/model.json")
    try:
        data = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))["data"]
        known = signature(TranslationData).parameters
        arguments = {name: value for name, value in description.arguments.items() if name not in FROM_DATA}
        strange = [f"data.{name}" for name, value in data.items() if name not in known or not _is_plain(value)]
        strange += [name for name, value in arguments.items() if not _is_plain(value) or _names_an_object(value)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise UserError(f"{OPTION} {folder}: {CONFIG} is damaged ({' '.join(str(error).split())[:200]})") from error
    if strange:
        raise UserError(f"{OPTION} {folder}: {strange[0]} is not a setting that a run can hand on")
    class_path = f"{network.__module__}.{network.__qualname__}"
    return {
        "data": {**data, "tokenizer_from": str(folder)},
        "model": {"network": {"class_path": class_path, "init_args": arguments}},
    }


def copy_weights(folder: Path, network: Seq2Seq, settings: Settings) -> Run:
    """Give `network`, which was made with `settings`, the weights of the run in `folder`.

    Raises:
        UserError: they are weights of another network.
    """
    run = load_run(folder)
    name = next(name for name, each in NETWORKS.items() if each is type(network))
    parameters = signature(type(network)).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    theirs = {**defaults, "class": run.description.network, **run.description.arguments}
    if differences := network_differences(theirs, {"class": name, **settings}):
        raise UserError(f"{OPTION} {folder}: its weights do not fit: {differences}")
    network.load_state_dict(run.network.state_dict())
    return run


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _names_an_object(value: Any) -> bool:
    """Whether the parser would import this where a setting is a class or a function."""
    return isinstance(value, str) and "." in value
