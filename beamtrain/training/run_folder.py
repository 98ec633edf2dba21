"""The folder of the run that is trained: where it lies, that one process alone trains into it, what may be replaced."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from beamtrain.base.errors import UserError
from beamtrain.base.files import UNFINISHED, flush_folder, remove_unfinished, temporary_folder
from beamtrain.training.processes import is_first

CONFIG, ENVIRONMENT = "config.yaml", "environment.json"
LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
_TOKENIZERS = ("tokenizer.model", "tokenizer.source.model", "tokenizer.target.model", "huggingface")
_BEGINNING = (ENVIRONMENT, "model.json", *_TOKENIZERS)
"""What is written before the config.yaml that makes a run of a folder."""
_FOLDERS = ("checkpoints", "logs", "report", "decoded", "engines")
CONTENTS = (
    CONFIG,
    *_BEGINNING,
    "model.safetensors",
    "bad_batches.json",
    *_FOLDERS,
)
"""All that training writes into a run's folder, and so all that is removed when a run is replaced."""
LOCK = ".lock"
_GRACE = 3.0  # seconds for the data workers of a killed process to end, which hold its lock until then


class RunFolder:
    """A run's folder, there already or not; as a context, its lock is given back at the end.

    Of several processes of one run the first one holds the lock, for all of them. The lock is the system's: it ends
    with the process, however that ends. Reading needs none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / LOCK)
        self._begun = self._last_begin()

    def __str__(self) -> str:
        return str(self.path)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()

    @property
    def checkpoints(self) -> Path:
        """Where its checkpoints lie."""
        return self.path / "checkpoints"

    @property
    def is_run(self) -> bool:
        """Whether a run lies there."""
        return is_run(self.path)

    @property
    def is_free(self) -> bool:
        """Whether nothing lies there but what a process left that was killed when it had just begun."""
        if not self.path.is_dir():
            return not self.path.exists()
        there = {each.name for each in self.path.iterdir() if not each.match(UNFINISHED)}
        return there <= {LOCK, *_BEGINNING}

    def check_place(self, overwrite: bool) -> None:
        """Check that a run can be made there by a command that trains nothing.

        Raises:
            UserError: something else lies there, or a run that is not to be replaced.
        """
        if self.is_run and not overwrite:
            raise UserError(f"{self} exists: --overwrite replaces it, --name NAME makes another")
        if not self.is_run and not self.is_free:
            raise UserError(f"{self} exists and is not a run: give another --name, or another folder by --runs")

    def hold(self) -> None:
        """Keep other processes from training into the run that lies there, until the context ends.

        Nothing is written: where there is no lock file no process trains, and `claim` makes one.

        Raises:
            UserError: one does so already, or the folder cannot be written.
        """
        if (self.path / LOCK).exists():
            self._acquire()

    def claim(self, *, resume: bool, replace: bool) -> None:
        """Make the folder and lock it; remove the run that lies there if it is to be replaced, and what killed
        processes left of their temporary files.

        Raises:
            UserError: another process trains into it, or has done so in the meantime; or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._cannot_be_written(error) from error
        self._acquire()
        if self._last_begin() != self._begun:
            do = "give the command again" if resume or replace else "give another --name"
            raise UserError(f"{self}: another process has begun to train there in the meantime; {do}")
        for folder in (self.path, *(self.path / name for name in (*_FOLDERS, "huggingface"))):
            remove_unfinished(folder)
        if replace:
            self._remove_run()

    @contextmanager
    def made_at_once(self, *, replace: bool) -> Iterator[Path]:
        """A temporary folder, and what is written into it becomes the run on success; on failure nothing changes.

        Raises:
            UserError: as `claim`.
        """
        with temporary_folder(self.path) as made:
            try:
                yield made
            except OSError as error:
                if str(error.filename).startswith(str(made)):  # which is gone when the user reads it
                    error.filename = str(self.path)
                raise
            flush_folder(made)
            self.claim(resume=False, replace=replace)
            for each in sorted(made.iterdir(), key=lambda each: each.name not in (ENVIRONMENT, CONFIG)):
                _remove(self.path / each.name)  # which a killed process may have left
                os.replace(each, self.path / each.name)  # first what a run is told by, which another try may replace

    def _acquire(self) -> None:
        if not is_first() or self._lock.is_locked:
            return
        try:
            self._lock.acquire(timeout=_GRACE)
        except Timeout:
            raise UserError(
                f"{self} is being trained by another process: wait until that has ended, or give another --name"
            ) from None
        except OSError as error:
            raise self._cannot_be_written(error) from error

    def _last_begin(self) -> tuple[int, int] | None:
        """What changes whenever training begins there, which writes config.yaml anew."""
        try:
            config = (self.path / CONFIG).stat()
        except OSError:
            return None
        return config.st_ino, config.st_mtime_ns

    def _cannot_be_written(self, error: OSError) -> UserError:
        return UserError(f"{self} cannot be written: {error.strerror or error}; give another folder by --runs")

    def _remove_run(self) -> None:
        """What training wrote, and nothing else that may lie there; last what says that it is a run."""
        for name in reversed(CONTENTS):
            _remove(self.path / name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_run(path: Path) -> bool:
    """Whether a run lies at `path`: its config.yaml, and something else that no other folder has."""
    return (path / CONFIG).is_file() and ((path / ENVIRONMENT).is_file() or (path / LOCK).exists())


def folder_of(name: str | None, runs: str | None, configs: list[Path]) -> RunFolder:
    """The folder of the run called `name` in the folder `runs`.

    Without a name it is the one that the last config file belongs to, if that is the config.yaml of a run, and else has
    the name of that file; without `runs`, a folder of that name.

    Raises:
        UserError: the name is none.
    """
    config = configs[-1] if configs else Path("run.yaml")
    is_of_a_run = config.name == CONFIG and is_run(config.parent)
    if is_of_a_run and name is None and runs is None:
        return RunFolder(config.parent)
    if name is None:
        name = config.resolve().parent.name if is_of_a_run else config.stem
    if name in ("", ".", "..") or any(letter in "/\\\0" for letter in name):
        raise UserError(
            f"{name!r} is not a name for a run: give a plain one by --name, and the folder that it lies in by --runs"
        )
    return RunFolder(Path("runs" if runs is None else runs) / name)
