"""From text to token tables: which training pairs are clean, and the tokens of those."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from beamtrain.data.cleaning import CleaningCounts, Mask, blank, longer_than, lopsided, pair_digests, repeated
from beamtrain.data.corpus import Text
from beamtrain.data.table import FlatRows, TokenTableWriter, flatten
from beamtrain.data.tokenizer import Tokenizer
from beamtrain.data.workers import map_spans

SAMPLE_PAIRS = 250_000
"""Sentence pairs, at most, that subwords are learnt from."""
_SAMPLE_SEED = 1
_READ_ROWS = 10_000


def clean_text(text: Text, deduplicate: bool) -> tuple[CleaningCounts, Mask]:
    """The counts so far, and (rows,) which pairs have text on both sides and, if asked, did not come before."""
    digests = np.concatenate(
        [part for _, part in map_spans(partial(_digest, text), len(text), "Cleaning")]
    )  # (rows, 2)
    empty = blank(digests)
    duplicate = repeated(digests) & ~empty if deduplicate else np.zeros_like(empty)
    counts = CleaningCounts(read=len(text), empty=int(empty.sum()), duplicate=int(duplicate.sum()))
    return counts, ~(empty | duplicate)


def sample_rows(clean: Mask) -> NDArray[np.int64]:
    """The clean rows, or a fixed random choice of them when there are more than SAMPLE_PAIRS."""
    rows = np.flatnonzero(clean)
    if len(rows) <= SAMPLE_PAIRS:
        return rows
    return np.sort(np.random.default_rng(_SAMPLE_SEED).choice(rows, SAMPLE_PAIRS, replace=False, shuffle=False))


def lines_of(text: Text, rows: NDArray[np.int64], side: Literal["source", "target"]) -> Iterator[str]:
    """One side of the given rows, which rise."""
    for start in range(0, len(text), _READ_ROWS):
        stop = start + _READ_ROWS
        chosen = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start
        lines = text.read(start, stop)[0 if side == "source" else 1]
        yield from (lines[row] for row in chosen)


def encode_training(
    text: Text,
    clean: Mask,
    tokenizer: Tokenizer,
    stem: Path,
    counts: CleaningCounts,
    *,
    max_length: int,
    max_length_ratio: float,
) -> None:
    """Write the tables of the clean pairs, less those that fail by their length in subwords: `counts` counts them."""
    writer = _PairWriter(stem, tokenizer)
    for (start, stop), (source, target) in map_spans(partial(_encode, text, clean, tokenizer), len(text), "Encoding"):
        source_length, target_length = source.lengths - 1, target.lengths - 1  # without EOS
        empty = np.minimum(source_length, target_length) == 0  # nothing but characters that stand for nothing
        too_long = longer_than(source_length, target_length, max_length) & ~empty
        ratio = lopsided(source_length, target_length, max_length_ratio) & ~empty & ~too_long
        counts.empty += int(empty.sum())
        counts.too_long += int(too_long.sum())
        counts.length_ratio += int(ratio.sum())
        keep = ~(empty | too_long | ratio)
        writer.append(source.only(keep), target.only(keep), (start + np.flatnonzero(clean[start:stop]))[keep])
    writer.close()


def encode_whole(text: Text, tokenizer: Tokenizer, stem: Path) -> None:
    """Write the tables of every pair, as evaluation wants them."""
    writer = _PairWriter(stem, tokenizer)
    everything = np.ones(len(text), bool)
    for span, (source, target) in map_spans(partial(_encode, text, everything, tokenizer), len(text), "Encoding"):
        writer.append(source, target, np.arange(*span))
    writer.close()


def _digest(text: Text, start: int, stop: int) -> NDArray[np.uint64]:
    return pair_digests(*text.read(start, stop))


def _encode(text: Text, keep: Mask, tokenizer: Tokenizer, start: int, stop: int) -> tuple[FlatRows, FlatRows]:
    source, target = (
        [line for line, kept in zip(side, keep[start:stop], strict=True) if kept] for side in text.read(start, stop)
    )
    return flatten(tokenizer.source.encode(source)), flatten(tokenizer.target.encode(target))


class _PairWriter:
    """Writes the token tables of both sides, and the row of the corpus that each pair came from."""

    def __init__(self, stem: Path, tokenizer: Tokenizer) -> None:
        self._source = TokenTableWriter(stem.with_name(f"{stem.name}.source"), tokenizer.source.vocab_size)
        self._target = TokenTableWriter(stem.with_name(f"{stem.name}.target"), tokenizer.target.vocab_size)
        self._rows: list[NDArray[np.int64]] = []
        self._rows_path = stem.with_name(f"{stem.name}.rows.npy")

    def append(self, source: FlatRows, target: FlatRows, rows: NDArray[np.int64]) -> None:
        self._source.append(source)
        self._target.append(target)
        self._rows.append(rows)

    def close(self) -> None:
        self._source.close()
        self._target.close()
        np.save(self._rows_path, np.concatenate(self._rows))
