"""Classes that settings name: each of the package's has one path, and the modules of the others are imported here.

The parser knows where a class is expected: in a config, in a file that a setting names, in an option, and in an
argument of another class. So what it imports by is replaced while settings are parsed.
"""

import json
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

from jsonargparse import _actions, _typehints
from jsonargparse._util import config_load_stack, import_object

from beamtrain.base.errors import UserError
from beamtrain.base.plugins import OPTION, import_module_of, import_modules
from beamtrain.training.settings import read_config

ROOMS = ("objectives", "model", "topk", "training")
"""The rooms whose names configs use."""
OURS = "beamtrain."


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


@contextmanager
def own_names() -> Iterator[None]:
    """Parse inside of this: a class that is not the package's is looked for in the current directory too.

    Raises:
        UserError: on leaving; a module whose import raises an error, or all classes of the package that go by another
            path than their own.
    """
    here = os.getcwd()  # the parser goes to the folder of a file that it reads
    broken: list[UserError] = []
    others: dict[str, str] = {}

    def import_class(path: Any, *options: Any, **named: Any) -> Any:
        if isinstance(path, str) and path.startswith(OURS) and (own := own_path(path)) != path:
            others.setdefault(path, f"{_place()}: {path} is not its name in a config; write {own}")
            path = own
        elif isinstance(path, str) and not path.startswith(OURS):
            try:
                import_module_of(path, here)
            except UserError as error:  # which the parser may take for a value of another type
                broken.append(error)
                raise
        return import_object(path, *options, **named)

    with ExitStack() as patches:
        for module in (_actions, _typehints):
            patches.enter_context(patch.object(module, "import_object", import_class))
        try:
            yield
        finally:
            if broken:
                raise broken[0]
            if others:
                title = ["classes by other names than their own"] if len(others) > 1 else []
                raise UserError("\n  ".join([*title, *others.values()]))


def import_classes(arguments: list[str], configs: list[Path], settings: Collection[str]) -> None:
    """Import the modules of classes that stand in configs as a `class_path`, or in options for one of `settings`: for
    what has to know them before it can be parsed where else a class is expected.

    Raises:
        UserError: a module whose import raises an error.
    """
    named = [path for config in configs for path in _class_paths(read_config(config))]
    for argument, following in pairwise([*arguments, ""]):
        option, equals, value = argument.partition("=")
        if option.endswith(".class_path") or option.removeprefix("--") in settings:
            value = value if equals else following
            named += _class_paths(read_config(Path(value))) if os.path.isfile(value) else [value]
    for path in named:
        import_module_of(path, os.getcwd())


def _class_paths(setting: Any) -> Iterator[str]:
    """The values of `class_path` in a setting, at any depth."""
    if isinstance(setting, dict):
        if isinstance(path := setting.get("class_path"), str):
            yield path
        setting = list(setting.values())
    if isinstance(setting, list):
        for each in setting:
            yield from _class_paths(each)


def own_path(class_path: str) -> str:
    """The one path of what a room names, from any path that ends in its name; of anything else the path itself."""
    return _own_paths().get(class_path.rpartition(".")[2], class_path)


def short_path(chosen: type) -> str:
    """The shortest path that a class can be imported by."""
    parts = chosen.__module__.split(".")
    packages = (".".join(parts[: place + 1]) for place in range(len(parts)))
    module = next((name for name in packages if getattr(sys.modules.get(name), chosen.__name__, None) is chosen), None)
    return f"{module or chosen.__module__}.{chosen.__name__}"


@cache
def _own_paths() -> dict[str, str]:
    return {name: f"beamtrain.{room}.{name}" for room in ROOMS for name in import_module(f"beamtrain.{room}").__all__}


def _place() -> str:
    """The file that the parser is reading."""
    files = config_load_stack.get()
    return Path(files[-1][0]).name if files else "command line"
