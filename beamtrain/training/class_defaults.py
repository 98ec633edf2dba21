"""A class that a setting is given starts from its own defaults: nothing stays of the class that was there before.

jsonargparse keeps what both classes take. A schedule would then warm up as long as the default one does, and a network
have the heads of another; so its rule is replaced while settings are parsed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

from jsonargparse import _typehints

from beamtrain.training.class_paths import own_path


@contextmanager
def own_defaults() -> Iterator[None]:
    """Parse inside of this."""
    with patch.object(_typehints, "discard_init_args_on_class_path_change", _start_anew):
        yield


def _start_anew(_: Any, before: Any, chosen: Any) -> None:
    """Forget the arguments of the class in `before` if another one is chosen, by whichever of its paths."""
    if before and "init_args" in before and not _same(before["class_path"], chosen["class_path"]):
        before.pop("init_args")


def _same(path: str, other: str) -> bool:
    return path == other or resolve_name(own_path(path)) is resolve_name(own_path(other))
