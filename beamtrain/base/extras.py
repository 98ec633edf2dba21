"""Packages that only some commands need."""

from importlib import import_module
from types import ModuleType

from beamtrain.base.errors import UserError


def require(package: str, extra: str, purpose: str) -> ModuleType:
    """The package, which is installed with the `extra` of this project.

    Raises:
        UserError: it is not installed, or cannot be imported.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise UserError(f"{purpose} needs {package} ({error}): pip install 'beamtrain[{extra}]'") from error
