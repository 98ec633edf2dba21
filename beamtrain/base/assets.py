"""Where the shipped configs and the bundled corpus lie: the repository's top level, or inside an installed wheel."""

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parents[1]


def folder(kind: Literal["configs", "data"]) -> Path:
    """The folder of shipped files of that kind."""
    installed = _PACKAGE / "assets" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def find(kind: Literal["configs", "data"], name: str) -> Path | None:
    """The shipped file or folder of that name, or None."""
    path = folder(kind) / name
    return path if path.exists() else None
