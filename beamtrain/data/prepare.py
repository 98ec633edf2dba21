"""From text to token tables, kept in a cache: clean, learn subwords, encode.

A prepared corpus lies in `CACHE/prepared/KEY/`, where KEY stands for the text (its content) and every setting that
shapes the result. It is built under another name and renamed when it is whole, with a manifest of its files: what an
interruption left behind is never taken for a prepared corpus.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
from filelock import FileLock
from numpy.typing import NDArray
from rich.console import Console

from beamtrain.base.errors import UserError
from beamtrain.data.cleaning import CleaningCounts
from beamtrain.data.corpus import Role, Split, Text
from beamtrain.data.encode import clean_text, encode_training, encode_whole, lines_of, sample_rows
from beamtrain.data.table import TokenTable
from beamtrain.data.tokenizer import Algorithm, Normalization, Side, Tokenizer, train_tokenizer
from beamtrain.data.workers import run_apart

_FORMAT = "2"  # part of every key: raise it when the same settings give another result
_MANIFEST = "manifest.json"
_LARGE = 100_000  # pairs from which on learning subwords takes memory that is worth giving back


@dataclass(frozen=True)
class Prepared:
    """A prepared corpus, open.

    Attributes:
        folder: where it lies.
        tokenizer: learnt from its training side, or given.
        counts: what cleaning dropped.
        digests: role -> a digest of the tokens of its pairs and of their rows, however the text was stored.
    """

    folder: Path
    tokenizer: Tokenizer
    counts: CleaningCounts
    digests: dict[Role, str]

    def tables(self, role: Role) -> tuple[TokenTable, TokenTable, NDArray[np.int64]]:
        """Source and target tokens of a split, and (pairs,) the row of the corpus that each pair came from."""
        return (
            TokenTable(self.folder / f"{role}.source"),
            TokenTable(self.folder / f"{role}.target"),
            np.load(self.folder / f"{role}.rows.npy", mmap_mode="r", allow_pickle=False),
        )


def prepare(
    splits: Mapping[Role, Split],
    *,
    cache_dir: Path,
    tokenizer: Tokenizer | None,
    vocab_size: int,
    algorithm: Algorithm,
    joint: bool,
    byte_fallback: bool,
    character_coverage: float,
    normalization: dict[Side, Normalization],
    max_length: int,
    max_length_ratio: float,
    deduplicate: bool,
    train_rows: int | None,
) -> Prepared:
    """The prepared corpus for these splits and settings (see `TranslationData`): from the cache, or made now.

    Processes that ask for the same corpus at once wait for the first of them to make it.

    Raises:
        UserError: a split without text, a cache that cannot be written, or what reading and learning subwords raise.
    """
    vocabulary: dict[str, Any] = {
        "vocab_size": vocab_size,
        "algorithm": algorithm,
        "joint": joint,
        "byte_fallback": byte_fallback,
        "character_coverage": character_coverage,
        "normalization": normalization,
    }
    lengths: dict[str, Any] = {"max_length": max_length, "max_length_ratio": max_length_ratio}
    settings = {
        "format": _FORMAT,
        "sentencepiece": sentencepiece.__version__,
        "text": {role: split.fingerprint for role, split in splits.items()},
        "vocabulary": vocabulary if tokenizer is None else tokenizer.fingerprint(),
        "deduplicate": deduplicate,
        "train_rows": train_rows,
        **lengths,
    }

    def build(folder: Path) -> None:
        train = _text("train", splits["train"], train_rows)
        counts, clean = clean_text(train, deduplicate)
        with Console(stderr=True).status("Learning subwords"):
            learn = partial(train_tokenizer, partial(lines_of, train, sample_rows(clean)), **vocabulary)
            subwords = tokenizer or (run_apart(learn) if len(train) > _LARGE else learn())
        subwords.save(folder)
        encode_training(train, clean, subwords, folder / "train", counts, **lengths)
        if counts.kept == 0:
            raise UserError(f"nothing is left to train on: {counts}")
        for role, split in splits.items():
            if role != "train":
                encode_whole(_text(role, split), subwords, folder / role)
        digests = {role: _digest(folder, role) for role in splits}
        _seal(folder, {"settings": settings, "cleaning": asdict(counts), "digests": digests})

    key = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16).hexdigest()
    folder = cache_dir / "prepared" / key
    if not _whole(folder):
        with _writing(cache_dir):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_suffix(".lock")):
                if not _whole(folder):
                    _build_whole(folder, build)
    manifest = json.loads((folder / _MANIFEST).read_text())
    return Prepared(folder, Tokenizer.load(folder), CleaningCounts(**manifest["cleaning"]), manifest["digests"])


def _text(role: Role, split: Split, rows: int | None = None) -> Text:
    """The first `rows` of a split, or all of it."""
    with Console(stderr=True).status(f"Reading {split.name}"):
        dataset = split.load()
    if len(dataset) == 0:
        raise UserError(f"the {role} split ({split.name}) is empty: there is no sentence pair in it")
    return Text(dataset if rows is None or rows >= len(dataset) else dataset.select(range(rows)))


@contextmanager
def _writing(cache_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cache_dir {cache_dir}: cannot be written ({error.strerror or error}); choose another folder"
        ) from error


def _build_whole(folder: Path, build: Any) -> None:
    """Build under another name, and rename when done."""
    building = folder.with_suffix(".part")
    for leftover in (building, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    building.mkdir()
    try:
        build(building)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _digest(folder: Path, role: Role) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.glob(f"{role}.*.npy")):
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest())
    return digest.hexdigest()


def _seal(folder: Path, manifest: dict[str, Any]) -> None:
    """Flush every file to disk, and list them with their sizes."""
    sizes = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        sizes[str(path.relative_to(folder))] = path.stat().st_size
    (folder / _MANIFEST).write_text(json.dumps({**manifest, "files": sizes}, indent=1))


def _whole(folder: Path) -> bool:
    """Whether the folder holds every file of its manifest at full size."""
    try:
        files = json.loads((folder / _MANIFEST).read_text())["files"]
        return all((folder / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError):
        return False
