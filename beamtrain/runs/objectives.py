"""The objective that a run was trained with, made of what its config.yaml says.

As with a network, nothing is imported because a file names it: a class is looked up among those that are there already,
and is part of an objective or refused.
"""

from collections.abc import Iterator
from dataclasses import is_dataclass
from itertools import count
from pathlib import Path
from typing import Any, get_args

import yaml

import beamtrain.topk  # noqa: F401 (its operators are there to be named)
from beamtrain.base.errors import UserError, nearest
from beamtrain.base.plugins import OPTION
from beamtrain.base.typed_values import argument_types
from beamtrain.objectives import BeamLoss, Objective, Reward
from beamtrain.runs.checkpoints import first_line
from beamtrain.topk.base import Operator

PARTS = (Objective, BeamLoss, Reward, Operator)
_MOST = 10_000  # values in a setting; a file can name one many times over


def load_objective(folder: Path) -> Objective | None:
    """The objective of the run in `folder`; None for one that was not made by training, as an imported one.

    Raises:
        UserError: config.yaml is not readable, or it names a class that is not imported, or wrong arguments.
    """
    path = folder / "config.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "model" not in content:
            return None
        setting = content["model"]["objective"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it is no YAML ({first_line(error)})") from error
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} says nothing of model.objective") from error
    made: Objective = built(setting, Objective, f"{path}: model.objective")
    return made


def built(setting: Any, kind: type, where: str) -> Any:
    """An object of a class: `setting` is the class's name, or {class_path: name, init_args: {...}}, to any depth.

    Args:
        setting: names are whole paths, or those of the package's classes and of imported subclasses of `PARTS` alone.
        kind: what the object must be.
        where: what the setting is, for messages.

    Raises:
        UserError: a class that is not imported or no part of an objective, or arguments that it does not take.
    """
    setting = {"class_path": setting} if isinstance(setting, str) else setting
    try:
        made = _made(setting, where, count())
    except RecursionError as error:
        raise UserError(f"{where} is nested too deeply") from error
    if not isinstance(made, kind):
        raise UserError(f"{where} must be a class that is a {kind.__name__}, not {setting!r:.100}")
    return made


def _made(setting: Any, where: str, counter: Iterator[int]) -> Any:
    if next(counter) > _MOST:
        raise UserError(f"{where} has more than {_MOST:,} values")
    if isinstance(setting, list):
        return [_made(each, where, counter) for each in setting]
    if not isinstance(setting, dict):
        return setting
    if "class_path" not in setting:
        return {key: _made(value, where, counter) for key, value in setting.items()}
    found = _class(str(setting["class_path"]), where)
    given: dict[str, Any] = {}
    for name in ("init_args", "dict_kwargs"):
        named = setting.get(name) or {}
        if not isinstance(named, dict):
            raise UserError(f"{where}: {name} of {found.__name__} is {named!r:.100}; it must be names with values")
        given |= named
    parts, hints = {key: _made(value, where, counter) for key, value in given.items()}, argument_types(found)
    try:
        return found(**{key: _typed(value, hints.get(key)) for key, value in parts.items()})
    except Exception as error:  # a class of the user's own may raise anything
        raise UserError(f"{where}: {found.__name__}: {first_line(error)}") from error


def _typed(value: Any, hint: Any) -> Any:
    """Names with values as the dataclass that an argument takes, such as the options of the unroll."""
    kinds: list[Any] = [each for each in (hint, *get_args(hint)) if is_dataclass(each)]
    if not kinds or not isinstance(value, dict):
        return value
    frozen = {key: tuple(each) if isinstance(each, list) else each for key, each in value.items()}
    return kinds[0](**frozen)


def _class(name: str, where: str) -> Any:
    """A subclass of one of `PARTS` that has been imported, by its path, the short one of the package's, or its name."""
    known = dict(_known())
    if name in known:
        return known[name]
    if "." not in name:
        guess = nearest(name, [each for each in known if "." not in each])
        raise UserError(f"{where} names {name}, which is no class of the package" + _meant(guess))
    module = name.rpartition(".")[0]
    raise UserError(
        f"{where} names {name}, which is no operator, loss, reward or objective that is imported; if it is yours, or "
        f"you trust it, add {OPTION} {module}"
    )


def _meant(guess: str | None) -> str:
    return f"; did you mean {guess}?" if guess else f", nor of a module given by {OPTION}"


def _known() -> Iterator[tuple[str, type]]:
    """Every name of every class that may be part of an objective."""
    for part in PARTS:
        for kind in _below(part):
            yield f"{kind.__module__}.{kind.__qualname__}", kind
            yield kind.__name__, kind
            if kind.__module__.startswith("beamtrain."):
                yield f"beamtrain.{kind.__module__.split('.')[1]}.{kind.__name__}", kind


def _below(kind: type) -> Iterator[type]:
    yield kind
    below: list[type] = kind.__subclasses__()
    for each in below:
        yield from _below(each)
