"""Files that are either whole or absent."""

import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from beamtrain.base.errors import UserError

NEW_FILE_MODE = 0o666  # less the umask, as for every program
UNFINISHED = ".*.part"
"""Names of temporary files; only those of killed processes stay."""


@contextmanager
def atomic_path(path: Path | str, previous: Path | None = None) -> Iterator[Path]:
    """A temporary path beside `path`: flushed to disk and renamed to `path` on success, removed on failure.

    At every moment `path` is the old file or the new one. The old one goes on as `previous`, if that is given.

    A symbolic link stays, and the file that it leads to is replaced. A file that there was keeps its mode and, where
    the system allows it, its owner; a new one has the mode that the umask leaves, whatever wrote it.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    path = Path(os.path.realpath(path))
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    before = path.stat() if path.exists() else None
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        mode = _create(temporary, None if before is None else stat.S_IMODE(before.st_mode))
        yield temporary
        if before is not None:
            _give(temporary, before)
        with suppress(OSError):  # not every file system has modes
            temporary.chmod(mode)
        _flush(temporary)
        if previous is not None and before is not None:
            _keep(path, previous)
        os.replace(temporary, path)
        with suppress(OSError):  # not every file system can flush a folder
            _flush(path.parent)
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary)):  # writing to an open file names none
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, renamed to `path` on success, removed on failure. `path` may be empty.

    Raises:
        UserError: something lies at `path`, or the folder cannot be made.
    """
    path = Path(os.path.abspath(path))
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path} exists and is not an empty folder; give another one, or remove it first")
    with temporary_folder(path) as temporary:
        yield temporary
        flush_folder(temporary)
        os.replace(temporary, path)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, removed at the end unless it was renamed; so is that in which both lie, if it
    was not there and is left empty.

    Raises:
        UserError: the folder cannot be made.
    """
    path = Path(os.path.abspath(path))
    temporary, made = path.with_name(f".{path.name}.{os.getpid()}.part"), not path.parent.exists()
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if made:
            with suppress(OSError):  # it is not empty
                path.parent.rmdir()


def flush_folder(folder: Path) -> None:
    """Wait until all files in a folder are on disk."""
    for file in folder.rglob("*"):
        if file.is_file():
            _flush(file)


def check_text(*names: Path | str) -> None:
    """Raises UserError for a name that is no text here: what is not written in Python can open no such file."""
    for name in map(str, names):
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:
            if (locale := sys.getfilesystemencoding()) == "utf-8":
                raise UserError(f"{name!r} is not UTF-8: give it another name") from error
            raise UserError(
                f"{name!r} is not text in this locale ({locale}): use a name in ASCII, "
                "or set PYTHONUTF8=1 if it is UTF-8"
            ) from error


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left of their temporary files and folders in `folder`."""
    for part in folder.glob(UNFINISHED):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _create(path: Path, mode: int | None) -> int:
    """Create an empty file that at no time can be read by more than `mode` lets; the mode it is to have at the end.

    That is `mode`, or what the umask makes of a new file's.
    """
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, NEW_FILE_MODE if mode is None else mode)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode) if mode is None else mode
    finally:
        os.close(descriptor)


def _give(path: Path, like: os.stat_result) -> None:
    """Give the file the group and the owner of another one, as far as this process may."""
    for owner, group in ((-1, like.st_gid), (like.st_uid, -1)):
        with suppress(OSError):
            os.chown(path, owner, group)


def _keep(path: Path, name: Path) -> None:
    """Give the file `path` a second name, in place of what had it."""
    link = name.with_name(f".{name.name}.{os.getpid()}.part")
    try:
        link.unlink(missing_ok=True)
        os.link(path, link)
        os.replace(link, name)
    except OSError:  # a file system without links, or another one: `path` is gone for a moment
        shutil.move(path, name)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
