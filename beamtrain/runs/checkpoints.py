"""Training checkpoints: files that are whole or known to be damaged, and read without running what they contain.

A checkpoint is what `torch.save` writes, followed by one line: "beamtrain sha256 " and the digest of all bytes before
that line. `torch.load` reads such a file as any other.
"""

import hashlib
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from beamtrain.base.errors import UserError
from beamtrain.base.files import atomic_path

MARK = b"\nbeamtrain sha256 "
END_OF_ZIP = b"PK\5\6"
END_OF_ZIP_BYTES = 22
CHUNK_BYTES = 1 << 20


class _Digesting:
    """A file for `torch.save`, which does not bear an error in the middle: the first is kept, and raised by `close`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        if self._error is None:
            try:
                self._file.write(data)
                self._digest.update(data)
            except OSError as error:
                self._error = error
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        if self._error is not None:
            raise self._error
        self._file.write(MARK + self._digest.hexdigest().encode() + b"\n")


def save_checkpoint(checkpoint: dict[str, Any], path: Path, previous: Path | None = None) -> None:
    """Write a checkpoint with its checksum; the file that `path` was before goes on as `previous`, if that is given.

    Raises:
        OSError: it cannot be written, such as on a full disk; `path` and `previous` are as they were.
    """
    with atomic_path(path, previous) as temporary, open(temporary, "wb") as file:
        digesting = _Digesting(file)
        torch.save(checkpoint, cast(BinaryIO, digesting))
        digesting.close()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint, verified, and read without running anything it contains.

    A file without our checksum, from elsewhere, is verified by those that `torch.save` leaves for each of its tensors.

    Raises:
        UserError: `path` is missing, damaged or no checkpoint.
    """
    try:
        _verify(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except UserError:
        raise
    except Exception as error:  # torch raises half a dozen types for a broken or hostile file
        raise UserError(f"{path} is not a checkpoint that can be read: {first_line(error)}") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
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
    size, tail = path.stat().st_size, len(MARK) + 2 * hashlib.sha256().digest_size + 1
    if size == 0:
        raise UserError(f"{path} is damaged: it is empty")
    with open(path, "rb") as file:
        file.seek(max(0, size - tail))
        end = file.read()
        if not end.startswith(MARK):
            _verify_foreign(path, end)
            return
        file.seek(0)
        digest, left = hashlib.sha256(), size - tail
        while chunk := file.read(min(CHUNK_BYTES, left)):
            digest.update(chunk)
            left -= len(chunk)
    if end[len(MARK) :] != digest.hexdigest().encode() + b"\n":
        raise UserError(f"{path} is damaged: its content does not fit its checksum")


def _verify_foreign(path: Path, end: bytes) -> None:
    """A file that ends in `end`, and not in our checksum: is it all that `torch.save` wrote, and unchanged?"""
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path} is not a checkpoint that can be read: its end is missing, or it never was one")
    if end[-END_OF_ZIP_BYTES:][: len(END_OF_ZIP)] != END_OF_ZIP:
        raise UserError(f"{path} is damaged: its checksum is incomplete")
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:
            raise UserError(f"{path} is damaged: {damaged} does not fit its checksum")
