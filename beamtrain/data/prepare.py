"""From text to token tables, kept in a cache: clean, learn subwords, encode.

A prepared corpus lies in `CACHE/prepared/KEY/`, where KEY names the text (by content) and every setting that shapes the
result. It is built under a temporary name and renamed when whole, with a manifest of its files: what an interruption
left behind is never taken for a prepared corpus.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import sentencepiece
from filelock import FileLock
from numpy.typing import NDArray

from beamtrain.data.cleaning import CleaningCounts, blank, longer_than, lopsided, pair_digests, repeated
from beamtrain.data.corpus import Role, Split, read_rows
from beamtrain.data.parallel import map_spans
from beamtrain.data.table import TokenTable, TokenTableWriter, flatten
from beamtrain.data.tokenizer import Algorithm, Tokenizer, train_tokenizer
from beamtrain.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

Rows = NDArray[np.int64]
Encoded = tuple[tuple[NDArray[np.int64], NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.int64]]]

_FORMAT = "1"  # part of every key: raise it when the same settings give another result
_MANIFEST = "manifest.json"
_SAMPLE_SEED = 1
SAMPLE_PAIRS = 500_000
"""Sentence pairs, at most, that the subwords are learnt from."""


@dataclass(frozen=True)
class Prepared:
    """A prepared corpus, open.

    Attributes:
        folder: where it lies.
        tokenizer: learnt from its training side, or given.
        counts: what cleaning dropped.
    """

    folder: Path
    tokenizer: Tokenizer
    counts: CleaningCounts

    def tables(self, role: Role) -> tuple[TokenTable, TokenTable, Rows]:
        """Source and target tokens of a split, and (rows,) the row of the corpus that each pair came from."""
        return (
            TokenTable(self.folder / f"{role}.source"),
            TokenTable(self.folder / f"{role}.target"),
            np.load(self.folder / f"{role}.rows.npy", mmap_mode="r"),
        )


def prepare(
    splits: Mapping[Role, Split],
    *,
    cache_dir: Path,
    tokenizer_from: Path | None,
    vocab_size: int,
    algorithm: Algorithm,
    joint: bool,
    byte_fallback: bool,
    character_coverage: float,
    max_length: int,
    max_length_ratio: float,
    deduplicate: bool,
    train_rows: int | None,
) -> Prepared:
    """The prepared corpus for these splits and settings: from the cache if it is there, else made now.

    The settings are those of `TranslationData`. What cleaning drops is counted on standard error.

    Raises:
        UserError: a split without text, or whatever reading and learning subwords raise.
    """
    given = None if tokenizer_from is None else Tokenizer.load(tokenizer_from)
    vocabulary: dict[str, Any] = {
        "vocab_size": vocab_size,
        "algorithm": algorithm,
        "joint": joint,
        "byte_fallback": byte_fallback,
        "character_coverage": character_coverage,
    }
    settings = {
        "format": _FORMAT,
        "sentencepiece": sentencepiece.__version__,
        "text": {role: split.fingerprint for role, split in splits.items()},
        "vocabulary": vocabulary if given is None else given.fingerprint(),
        "max_length": max_length,
        "max_length_ratio": max_length_ratio,
        "deduplicate": deduplicate,
        "train_rows": train_rows,
    }
    key = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16).hexdigest()
    folder = cache_dir / "prepared" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not _whole(folder):
            building = folder.with_suffix(".part")
            for leftover in (building, folder):
                shutil.rmtree(leftover, ignore_errors=True)
            building.mkdir()
            texts = {role: _text(role, split) for role, split in splits.items()}
            train = _limit(texts["train"], train_rows)
            counts, clean = _clean_text(train, deduplicate)
            tokenizer = given or train_tokenizer(partial(_sample, train, clean), **vocabulary)
            tokenizer.save(building)
            _encode_train(train, clean, tokenizer, building, counts, max_length, max_length_ratio)
            for role in splits.keys() - {"train"}:
                _encode_all(texts[role], tokenizer, building, role)
            _seal(building, {"settings": settings, "cleaning": counts.as_dict()})
            building.rename(folder)
    manifest = json.loads((folder / _MANIFEST).read_text())
    counts = CleaningCounts(**manifest["cleaning"])
    print(f"corpus prepared in {folder}: {counts}", file=sys.stderr)
    return Prepared(folder, Tokenizer.load(folder), counts)


def _text(role: Role, split: Split) -> "Dataset":
    text = split.load()
    if len(text) == 0:
        raise UserError(f"the {role} split ({split.name}) is empty: there is no sentence pair in it")
    return text


def _limit(text: "Dataset", rows: int | None) -> "Dataset":
    return text if rows is None or rows >= len(text) else text.select(range(rows))


def _clean_text(text: "Dataset", deduplicate: bool) -> tuple[CleaningCounts, NDArray[np.bool_]]:
    """Counts so far, and (rows,) which pairs have text on both sides and, if asked, did not come before."""
    digests = np.concatenate(list(map_spans(partial(_digest_span, text), len(text), "Cleaning")))  # (rows, 2)
    empty = blank(digests)
    duplicate = repeated(digests) & ~empty if deduplicate else np.zeros_like(empty)
    return (
        CleaningCounts(read=len(text), empty=int(empty.sum()), duplicate=int(duplicate.sum())),
        ~(empty | duplicate),
    )


def _digest_span(text: "Dataset", start: int, stop: int) -> NDArray[np.uint64]:
    return pair_digests(*read_rows(text, start, stop))


def _sample(text: "Dataset", clean: NDArray[np.bool_], side: Literal["source", "target"]) -> Iterator[str]:
    """One side of the clean pairs, or of a fixed random choice of them when there are more than SAMPLE_PAIRS."""
    rows = np.flatnonzero(clean)
    if len(rows) > SAMPLE_PAIRS:
        rows = np.sort(np.random.default_rng(_SAMPLE_SEED).choice(rows, SAMPLE_PAIRS, replace=False, shuffle=False))
    for start in range(0, len(text), 10_000):
        chosen = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + 10_000)] - start
        lines = read_rows(text, start, start + 10_000)[0 if side == "source" else 1]
        yield from (lines[row] for row in chosen)


def _encode_train(
    text: "Dataset",
    clean: NDArray[np.bool_],
    tokenizer: Tokenizer,
    folder: Path,
    counts: CleaningCounts,
    max_length: int,
    max_length_ratio: float,
) -> None:
    """Write the training tables; drop and count the pairs that fail by their length in subwords."""
    writer = _SplitWriter(folder, "train", tokenizer)
    start = 0
    for source, target in map_spans(partial(_encode_span, text, tokenizer, clean), len(text), "Encoding"):
        stop = min(start + 10_000, len(text))
        rows = start + np.flatnonzero(clean[start:stop])
        source_length, target_length = source[1] - 1, target[1] - 1  # without EOS
        empty = np.minimum(source_length, target_length) == 0  # text of characters that stand for nothing
        too_long = longer_than(source_length, target_length, max_length) & ~empty
        ratio = lopsided(source_length, target_length, max_length_ratio) & ~empty & ~too_long
        counts.empty += int(empty.sum())
        counts.too_long += int(too_long.sum())
        counts.length_ratio += int(ratio.sum())
        writer.append(source, target, rows, ~(empty | too_long | ratio))
        start = stop
    writer.close()
    if counts.kept == 0:
        raise UserError(f"no training pair is left after cleaning: {counts}")


def _encode_all(text: "Dataset", tokenizer: Tokenizer, folder: Path, role: Role) -> None:
    """Write the tables of an evaluation split, whole."""
    writer = _SplitWriter(folder, role, tokenizer)
    everything = np.ones(len(text), bool)
    start = 0
    for source, target in map_spans(partial(_encode_span, text, tokenizer, everything), len(text), "Encoding"):
        rows = np.arange(start, start + len(source[1]))
        writer.append(source, target, rows, np.ones(len(rows), bool))
        start += len(rows)
    writer.close()


def _encode_span(text: "Dataset", tokenizer: Tokenizer, keep: NDArray[np.bool_], start: int, stop: int) -> Encoded:
    source, target = (
        [line for line, kept in zip(side, keep[start:stop], strict=True) if kept]
        for side in read_rows(text, start, stop)
    )
    return flatten(tokenizer.source.encode(source)), flatten(tokenizer.target.encode(target))


class _SplitWriter:
    """Writes both token tables of a split and the row numbers of the corpus."""

    def __init__(self, folder: Path, role: Role, tokenizer: Tokenizer) -> None:
        self._source = TokenTableWriter(folder / f"{role}.source", tokenizer.source.vocab_size)
        self._target = TokenTableWriter(folder / f"{role}.target", tokenizer.target.vocab_size)
        self._rows: list[Rows] = []
        self._rows_path = folder / f"{role}.rows.npy"

    def append(self, source: Any, target: Any, rows: Rows, keep: NDArray[np.bool_]) -> None:
        for table, (tokens, lengths) in ((self._source, source), (self._target, target)):
            table.append(tokens[np.repeat(keep, lengths)], lengths[keep])
        self._rows.append(rows[keep])

    def close(self) -> None:
        self._source.close()
        self._target.close()
        np.save(self._rows_path, np.concatenate(self._rows))


def _seal(folder: Path, manifest: dict[str, Any]) -> None:
    """Flush every file to disk and list them with their sizes."""
    sizes = {}
    for path in sorted(folder.iterdir()):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        sizes[path.name] = path.stat().st_size
    (folder / _MANIFEST).write_text(json.dumps({**manifest, "files": sizes}, indent=1))


def _whole(folder: Path) -> bool:
    """Whether the folder holds every file of its manifest at its full size."""
    try:
        files = json.loads((folder / _MANIFEST).read_text())["files"]
        return all((folder / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError):
        return False
