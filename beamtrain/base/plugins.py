"""Modules of a user's own, imported from the current directory too.

One is imported because the user's own words name it (`--import MODULE`, or a class path in a config or an option), or
because an installed distribution announces it in the entry point group `beamtrain`. What a file says that comes with a
model is never a reason.
"""

import os
import sys
import traceback
from collections.abc import Iterable
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import distributions
from importlib.util import find_spec

from beamtrain.base.errors import UserError

OPTION = "--import"
GROUP = "beamtrain"
_added: set[str] = set()  # to sys.path, here


def import_modules(names: Iterable[str]) -> None:
    """Import what `--import` names.

    Raises:
        UserError: there is no such module, or importing it raises an error.
    """
    for name in names:
        said = f"{OPTION} {name}"
        if not is_dotted(name) or name.endswith(".py"):
            raise UserError(f"{said}: give the name of a module, such as my_module for the file my_module.py")
        _look_in(os.getcwd())
        if not _import(name, said):
            raise UserError(f"{said}: there is no such module, neither in {os.getcwd()} nor installed")


def import_module_of(class_path: str, folder: str) -> None:
    """Import the module of a class that the user named, from the folder too; what names none, or one that does not
    exist, is left to whoever needs the class.

    Raises:
        UserError: importing it raises an error.
    """
    top, _, names = class_path.partition(".")
    if not (names and is_dotted(class_path)):
        return
    if top not in sys.modules and find_spec(top) is None and PathFinder.find_spec(top, [folder]) is not None:
        _look_in(folder)
    _import(class_path.rpartition(".")[0], class_path)


def import_announced(class_path: str) -> None:
    """Import the module of a class if an installed distribution announces it.

    Raises:
        UserError: importing it raises an error, or it is not there.
    """
    for distribution in distributions(path=[path for path in sys.path if path not in _added]):
        for entry in distribution.entry_points.select(group=GROUP):
            module = entry.value.partition(":")[0].strip()
            if class_path.startswith(f"{module}."):
                said = f"{module}, which the distribution {distribution.name} announces"
                if not _import(module, said):
                    raise UserError(f"{said}: there is no such module")


def is_dotted(text: str) -> bool:
    """Whether a text could name a module or, with a dot in it, a class."""
    return all(map(str.isidentifier, text.split(".")))


def _look_in(folder: str) -> None:
    """Find modules in the folder, after all others."""
    if folder not in sys.path:
        sys.path.append(folder)
        _added.add(folder)


def _import(name: str, said: str) -> bool:
    """Whether there is such a module; it is then imported. Raises UserError when it raises an error."""
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if name == error.name or name.startswith(f"{error.name}."):
            return False
        raise _broken(said, error) from error
    except (Exception, SystemExit) as error:  # a module can raise anything
        raise _broken(said, error) from error
    return True


def _broken(said: str, error: BaseException) -> UserError:
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = "" if isinstance(error, SyntaxError) else f" ({place.filename}, line {place.lineno})"
    return UserError(f"{said}: its import raises {type(error).__name__}: {' '.join(str(error).split())}{where}")
