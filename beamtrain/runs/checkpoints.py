"""Training checkpoints: files that are whole or known to be damaged, and read without running what they contain.

A checkpoint is what `torch.save` writes: a zip archive, with a checksum (CRC-32) of everything in it.
"""

import zipfile
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from beamtrain.base.errors import UserError
from beamtrain.base.files import atomic_path


class _KeepsFirstError:
    """A file for `torch.save`, which does not bear an error in the middle: the first is kept, and raised by `close`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        if self._error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._error = error
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        if self._error is not None:
            raise self._error


def save_checkpoint(checkpoint: dict[str, Any], path: Path, previous: Path | None = None) -> None:
    """Write a checkpoint; the file that `path` was before goes on as `previous`, if that is given.

    Raises:
        OSError: it cannot be written, such as on a full disk; `path` and `previous` are as they were.
    """
    with atomic_path(path, previous) as temporary, open(temporary, "wb") as file:
        kept = _KeepsFirstError(file)
        torch.save(checkpoint, cast(BinaryIO, kept))
        kept.close()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint, verified, and read without running anything it contains.

    Raises:
        UserError: `path` is missing, damaged or no checkpoint.
    """
    try:
        _verify(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}") from None
    except UserError:
        raise
    except OSError as error:
        if error.filename is None:  # it was opened, but what it says of itself leads nowhere
            raise UserError(f"{path} is damaged: {error.strerror}") from error
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # torch raises half a dozen types for a broken or hostile file
        raise UserError(f"{path} is not a checkpoint that can be read: {first_line(error)}") from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise UserError(f"{path} is not a training checkpoint: it holds no state_dict")
    return checkpoint


def newest_checkpoint(folder: Path) -> tuple[Path, int] | None:
    """The good checkpoint in `folder` with the most steps, and those steps; None when there is no good one."""
    found = []
    for path in folder.glob("*.ckpt"):
        try:
            found.append((load_checkpoint(path)["global_step"], path))
        except UserError:
            continue
    return max(found)[::-1] if found else None


def first_line(error: BaseException) -> str:
    """What an error says, without the details that follow."""
    return str(error).strip().split("\n")[0]


def _verify(path: Path) -> None:
    """Raises UserError unless the file is as it was written."""
    with open(path, "rb") as file:
        if not file.read(1):
            raise UserError(f"{path} is damaged: it is empty")
        if not zipfile.is_zipfile(file):
            raise UserError(f"{path} is not a checkpoint that can be read: its end is missing, or it never was one")
        with zipfile.ZipFile(file) as archive:
            if (damaged := archive.testzip()) is not None:
                raise UserError(f"{path} is damaged: {damaged} does not fit its checksum")
