"""Classes that configs and options name: each of the package's has one path, and the others' modules are imported here.

A text below `model` or `trainer`, which is where classes stand, may be the path of one.
"""

import json
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from beamtrain.base.errors import UserError
from beamtrain.base.plugins import OPTION, import_module_of, import_modules, is_dotted
from beamtrain.training.settings import read_config

ROOMS = ("objectives", "model", "topk", "training")
"""The rooms whose names configs use."""
_HOLDERS = ("model", "trainer")


def with_imports(arguments: list[str], configs: list[Path]) -> list[str]:
    """Import what `--import MODULE` and `import: [MODULE]` name; the arguments with one list in place of all of them.

    Raises:
        UserError: a module that is not there, or whose import raises an error.
    """
    modules, others, pending = [], [], iter(arguments)
    for path in configs:
        named = read_config(path).get(OPTION.removeprefix("--")) or []
        if not (isinstance(named, list) and all(isinstance(each, str) for each in named)):
            raise UserError(f"{path}: import is {named!r}, but must be a list of modules, such as [my_module]")
        modules += named
    for argument in pending:
        option, equals, value = argument.partition("=")
        if option.removesuffix("+") == OPTION:
            modules.append(value if equals else next(pending, ""))
        else:
            others.append(argument)
    import_modules(modules)
    return [*others, f"{OPTION}={json.dumps(list(dict.fromkeys(modules)))}"] if modules else others


def check_class_paths(arguments: list[str], configs: list[Path]) -> None:
    """Check the class paths of the config files and the options, and import the modules of those that are not ours.

    Raises:
        UserError: a class of the package by another path than its own, or a module whose import raises an error.
    """
    problems = []
    for place, text in [*_in_configs(configs), *_in_options(arguments)]:
        if not text.startswith("beamtrain."):
            import_module_of(text)
        elif (own := own_path(text)) != text:
            problems.append(f"{place}: {text} is not its name in a config; write {own}")
    if problems:
        raise UserError("\n  ".join(["classes by other names than their own", *problems] if problems[1:] else problems))


def own_path(class_path: str) -> str:
    """The one path of what a room names, from any path that ends in its name; of anything else the path itself."""
    return _own_paths().get(class_path.rpartition(".")[2], class_path)


@cache
def _own_paths() -> dict[str, str]:
    return {name: f"beamtrain.{room}.{name}" for room in ROOMS for name in import_module(f"beamtrain.{room}").__all__}


def short_path(chosen: type) -> str:
    """The shortest path that a class can be imported by."""
    parts = chosen.__module__.split(".")
    packages = (".".join(parts[: place + 1]) for place in range(len(parts)))
    module = next((name for name in packages if getattr(sys.modules.get(name), chosen.__name__, None) is chosen), None)
    return f"{module or chosen.__module__}.{chosen.__name__}"


def _in_configs(configs: list[Path]) -> Iterator[tuple[str, str]]:
    for path in configs:
        for holder in _HOLDERS:
            yield from ((path.name, text) for text in _class_paths(read_config(path).get(holder)))


def _in_options(arguments: list[str]) -> Iterator[tuple[str, str]]:
    for argument, following in pairwise([*arguments, ""]):
        option, equals, value = argument.partition("=")
        if option.partition(".")[0] in (f"--{holder}" for holder in _HOLDERS):
            try:
                given = yaml.safe_load(value if equals else following)
            except yaml.YAMLError:
                continue  # the parser says what is wrong with it
            yield from (("command line", text) for text in _class_paths(given))


def _class_paths(setting: Any) -> Iterator[str]:
    """The texts in a setting, at any depth, that may be class paths."""
    if isinstance(setting, dict):
        setting = list(setting.values())
    if isinstance(setting, list):
        for each in setting:
            yield from _class_paths(each)
    elif isinstance(setting, str) and "." in setting and is_dotted(setting):
        yield setting
