"""Starting a run from another one's data settings, network and weights: `--init_from RUN`."""

from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from beamtrain.base.errors import UserError
from beamtrain.data.datamodule import TranslationData
from beamtrain.runs.description import Description, load_description
from beamtrain.runs.loading import load_run
from beamtrain.runs.networks import OWN, defaults, find_network, is_plain
from beamtrain.training.module import TranslationModule
from beamtrain.training.provenance import FROM_DATA, network_differences
from beamtrain.training.run_folder import CONFIG
from beamtrain.training.settings import read_config
from beamtrain.training.start import say

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
    return _run_folder(value)


def inherited(folder: Path) -> dict[str, Any]:
    """The settings that a run hands on: its data, with its own subwords, and its network.

    Nothing that the run's files name is imported: the network is one that `find_network` finds, and all settings are
    plain values.

    Raises:
        UserError: a file is damaged, or the network is not there to be used.
    """
    description = load_description(folder)
    find_network(description.network, f"{folder}/model.json", description.imports)
    try:
        data = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))["data"]
        known = signature(TranslationData).parameters
        arguments = {name: value for name, value in description.arguments.items() if name not in FROM_DATA}
        strange = [f"data.{name}" for name, value in data.items() if name not in known or not _is_scalar(value)]
        strange += [name for name, value in arguments.items() if not is_plain(value)]
        if not description.network.startswith(OWN):
            strange += [name for name, value in arguments.items() if _names_an_object(value)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise UserError(f"{OPTION} {folder}: {CONFIG} is damaged ({' '.join(str(error).split())[:200]})") from error
    if strange:
        raise UserError(f"{OPTION} {folder}: {strange[0]} is not a setting that a run can hand on")
    return {
        "data": {**data, "tokenizer_from": str(folder)},
        "model": {"network": {"class_path": description.network, "init_args": arguments}},
    }


def warm_start(module: TranslationModule, origin: str | None, description: Description, folder: Path) -> None:
    """Give the network the weights of the run that is to be started from, or see to it that random ones make sense.

    Args:
        module: what is trained in `folder`.
        origin: the run to start from, if one is given.
        description: of the new run, with what its network was made with.

    Raises:
        UserError: there is no such run, or its weights are those of another network; random ones make no sense.
    """
    if origin is None:
        if module.objective.needs_trained_network:
            raise UserError(
                f"{type(module.objective).__name__} from random weights learns nothing: the search of an untrained "
                f"network finds nothing that a loss could tell apart. Give {OPTION} RUN, or let teacher forcing go "
                "first with --model.objective.start_step STEPS"
            )
        return
    start = _run_folder(origin)
    if start.resolve() == folder.resolve():
        raise UserError(f"{OPTION} {start} is the run itself: give the new one another --name")
    run = load_run(start)
    theirs = {**defaults(run.network), "class": run.description.network, **run.description.arguments}
    if differences := network_differences(theirs, {"class": description.network, **description.arguments}):
        raise UserError(f"{OPTION} {start}: its weights do not fit: {differences}")
    module.network.load_state_dict(run.network.state_dict())
    say(f"weights of {start}, step {run.weights.get('step')}")


def _run_folder(folder: str) -> Path:
    if not (Path(folder) / CONFIG).is_file():
        raise UserError(
            f"{OPTION} {folder}: not a run's folder, it has no {CONFIG}; train that run first, or name another"
        )
    return Path(folder)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _names_an_object(value: Any) -> bool:
    """Whether the parser might import something for this, where a network takes an object: a dotted path, or a file
    that holds one."""
    if isinstance(value, list | dict):
        return any(map(_names_an_object, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and ("." in value or Path(value).exists())
