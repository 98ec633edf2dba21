"""Files that are either whole or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(path: Path | str, previous: Path | None = None) -> Iterator[Path]:
    """A temporary path beside `path`: flushed to disk and renamed to `path` on success, removed on failure.

    At every moment `path` is the old file or the new one. The old one goes on as `previous`, if that is given.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        _flush(temporary)
        if previous is not None and path.exists():
            _keep(path, previous)
        os.replace(temporary, path)
        with suppress(OSError):  # not every file system can flush a folder
            _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left of their temporary files in `folder`."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _keep(path: Path, name: Path) -> None:
    """Give the file `path` a second name, in place of what had it."""
    link = name.with_name(f".{name.name}.{os.getpid()}.part")
    try:
        link.unlink(missing_ok=True)
        os.link(path, link)
        os.replace(link, name)
    except OSError:  # a file system without links: `path` is gone for a moment
        os.replace(path, name)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
