"""Token rows of different length in two flat, memory-mapped files: quick to open, quick to gather from."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamtrain.data.tokenizer import EOS, PAD


class FlatRows(NamedTuple):
    """Rows of token ids one after the other, an EOS at the end of each.

    Attributes:
        tokens: (sum of lengths,)
        lengths: (rows,) EOS included.
    """

    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def only(self, keep: NDArray[np.bool_]) -> "FlatRows":
        """The rows where `keep` (rows,) is true."""
        return FlatRows(self.tokens[np.repeat(keep, self.lengths)], self.lengths[keep])


def flatten(rows: Sequence[Sequence[int]]) -> FlatRows:
    """Rows without EOS, as flat rows with one."""
    lengths = np.fromiter((len(row) + 1 for row in rows), np.int64, len(rows))
    tokens = np.fromiter((token for row in rows for token in (*row, EOS)), np.int64, int(lengths.sum()))
    return FlatRows(tokens, lengths)


def padded(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """(B, longest) the given rows, PAD on the right."""
    table = np.full((len(rows), max(map(len, rows), default=0)), PAD, np.int64)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table


class TokenTable:
    """Rows of token ids on disk, each ending in EOS; `stem` is the path that the names of both files begin with."""

    def __init__(self, stem: Path) -> None:
        self._stem = stem
        self._tokens = _map(_tokens_path(stem))
        self._ends = _map(_ends_path(stem))

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def lengths(self) -> NDArray[np.int32]:
        """(rows,) tokens of each row, EOS included."""
        return np.diff(self._ends, prepend=0).astype(np.int32)

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B, longest) the given (B,) rows, PAD on the right."""
        ends = self._ends[rows]
        starts = np.where(rows > 0, self._ends[rows - 1], 0)
        positions = starts[:, None] + np.arange((ends - starts).max(initial=0))  # (B, longest)
        inside = positions < ends[:, None]
        return np.where(inside, self._tokens[np.where(inside, positions, 0)], PAD).astype(np.int64)

    def __reduce__(self) -> tuple[type["TokenTable"], tuple[Path]]:
        return TokenTable, (self._stem,)  # another process maps the same files


class TokenTableWriter:
    """Writes a `TokenTable` part by part, without holding its tokens in memory."""

    def __init__(self, stem: Path, vocab_size: int) -> None:
        self._stem = stem
        self._type = np.dtype(np.uint16 if vocab_size <= 2**16 else np.uint32)
        self._lengths: list[NDArray[np.int64]] = []
        self._file: IO[bytes] = open(_tokens_path(stem), "wb")  # noqa: SIM115 - closed in close()
        self._write_header(0)

    def append(self, rows: FlatRows) -> None:
        """Add rows."""
        self._file.write(rows.tokens.astype(self._type).tobytes())
        self._lengths.append(rows.lengths)

    def close(self) -> None:
        """Finish both files."""
        ends = np.cumsum(np.concatenate([np.zeros(0, np.int64), *self._lengths]))
        self._file.seek(0)
        self._write_header(int(ends[-1]) if len(ends) else 0)
        self._file.close()
        np.save(_ends_path(self._stem), ends)

    def _write_header(self, size: int) -> None:
        """A `.npy` header; numpy leaves room in it for the size to grow."""
        header = {"descr": np.lib.format.dtype_to_descr(self._type), "fortran_order": False, "shape": (size,)}
        np.lib.format.write_array_header_1_0(self._file, header)


def _tokens_path(stem: Path) -> Path:
    return stem.with_name(stem.name + ".tokens.npy")


def _ends_path(stem: Path) -> Path:
    return stem.with_name(stem.name + ".ends.npy")


def _map(path: Path) -> NDArray:
    """A `.npy` file mapped into memory, as a plain array."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
