"""Where text comes from: a data set of the Hugging Face hub, a local folder or files, or the bundled corpus.

Whatever the origin, a split becomes a memory-mapped `datasets.Dataset` with the text columns `source` and `target`.
"""

import hashlib
import os
import pickle
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from beamtrain.base import assets
from beamtrain.base.errors import UserError, nearest
from beamtrain.base.files import atomic_path
from beamtrain.data.hub import load_hub_splits
from beamtrain.data.local_files import SplitFiles, find_splits, language_columns, read_pairs

if TYPE_CHECKING:
    from datasets import Dataset

Role = Literal["train", "validation", "test"]
ROLES: tuple[Role, ...] = ("train", "validation", "test")

_ALIASES: dict[Role, str] = {
    "train": r"train|training",
    "validation": r"validation|valid|val|dev",
    "test": r"test|test_.*|newstest.*",
}
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_STORE_FORMAT = "1"  # part of every fingerprint: raise it when the stored text changes for the same files


@dataclass(frozen=True)
class Split:
    """One split of a corpus.

    Attributes:
        name: as the corpus calls it, for instance `test_2016_flickr`.
        fingerprint: changes whenever the text changes.
        load: gives the text, a data set with columns `source` and `target`.
    """

    name: str
    fingerprint: str
    load: Callable[[], "Dataset"]


def open_corpus(
    source: str,
    *,
    source_lang: str,
    target_lang: str,
    config_name: str | None,
    split_names: dict[Role, str | None],
    cache_dir: Path,
) -> dict[Role, Split]:
    """The splits of a corpus by their role; a role that the corpus has not is absent.

    Args:
        source: a local folder or file, the name of a bundled corpus, or a hub id, tried in this order.
        config_name: the configuration of a hub data set, or the subfolder of a local one.
        split_names: the split to take for each role, None to find it by its name.
        cache_dir: where the text of local files is kept as Arrow.

    Raises:
        UserError: no such corpus, split or language, or an unreadable one.
    """
    folder = _local_folder(source, config_name)
    if folder is not None:
        files = _files_in_folder(folder, source_lang, target_lang, split_names)
    elif _named_file(source, source_lang, target_lang):
        files = _files_beside({**split_names, "train": source}, source_lang, target_lang)
    elif Path(source).exists() or not _HUB_ID.fullmatch(source):
        raise UserError(f"{source}: no folder, and no file with text in {source_lang} and {target_lang}")
    else:
        splits = load_hub_splits(source, config_name)
        chosen = choose_splits(splits, split_names, source)
        return {role: _hub_split(name, splits[name], source_lang, target_lang, source) for role, name in chosen.items()}
    return {
        role: _local_split(name, split, source_lang, target_lang, cache_dir) for role, (name, split) in files.items()
    }


def choose_splits(available: Iterable[str], wanted: dict[Role, str | None], corpus: str) -> dict[Role, str]:
    """Role -> split name: the one asked for, or the one whose name says its role.

    Raises:
        UserError: a split that is not there, or several that fit one role.
    """
    available = sorted(available)
    chosen: dict[Role, str] = {}
    for role in ROLES:
        name = wanted.get(role)
        if name is not None:
            if name not in available:
                near = nearest(name, available)
                raise UserError(
                    f"{corpus}: no split {name!r}; there are {', '.join(available)}"
                    + (f"; did you mean {near!r}?" if near else "")
                )
            chosen[role] = name
            continue
        fitting = [name for name in available if re.fullmatch(_ALIASES[role], name)]
        if len(fitting) > 1 and role not in fitting:
            raise UserError(f"{corpus}: several {role} splits ({', '.join(fitting)}); choose one by {role}_split")
        if fitting:
            chosen[role] = role if role in fitting else fitting[0]
    return chosen


def absolute(corpus: Mapping[str, str | None], source_lang: str, target_lang: str) -> dict[str, str | None]:
    """What names a corpus (source, and ROLE_split for each role), so that it holds in every folder.

    Files get their whole paths. What a bundled corpus, the hub, or a split in its corpus is called stays as it is.
    """
    source = corpus["source"] or ""
    is_local = Path(source).is_dir() or (
        assets.find("data", source) is None and _named_file(source, source_lang, target_lang)
    )
    splits = {name: split for name, split in corpus.items() if name.endswith("_split") and split and _is_path(split)}
    paths = {**splits, "source": source} if is_local else splits
    return {**corpus, **{name: os.path.abspath(path) for name, path in paths.items()}}


class Text:
    """The lines of a split, read in spans without keeping them resident.

    The mapping is renewed once in a while: in a long-lived one, everything ever read would stay in memory.
    """

    _ROWS_PER_MAPPING = 200_000

    def __init__(self, dataset: "Dataset") -> None:
        self._rows = len(dataset)
        self._pickled = pickle.dumps(dataset)  # names the mapped files
        self._dataset: Dataset | None = None
        self._read = 0

    def __len__(self) -> int:
        return self._rows

    def read(self, start: int, stop: int) -> tuple[list[str], list[str]]:
        """Source and target lines of the rows from `start` to before `stop`; a missing text reads as empty."""
        if self._dataset is None or self._read > self._ROWS_PER_MAPPING:
            self._dataset, self._read = pickle.loads(self._pickled), 0
        self._read += stop - start
        table = self._dataset.data.slice(start, stop - start)
        source, target = (
            ["" if text is None else text for text in table.column(name).to_pylist()] for name in ("source", "target")
        )
        return source, target


def _local_folder(source: str, config_name: str | None) -> Path | None:
    """The folder with the files of a local or bundled corpus, or None."""
    folder = Path(source) if Path(source).is_dir() else assets.find("data", source)
    if folder is None or not folder.is_dir():
        return None
    for subfolder in (config_name, "data"):
        if subfolder and (folder / subfolder).is_dir():
            return folder / subfolder
    return folder


def _files_in_folder(
    folder: Path, source_lang: str, target_lang: str, split_names: dict[Role, str | None]
) -> dict[Role, tuple[str, SplitFiles]]:
    """Name and files of each split in a folder; a split from elsewhere may be named by its path, with a slash."""
    splits = find_splits(folder, source_lang, target_lang)
    if not splits:
        raise UserError(
            f"{folder}: no text found; expected for instance train.{source_lang} and train.{target_lang}, "
            "train.tsv, train.jsonl or train.parquet (the first three also as .gz)"
        )
    for name in split_names.values():
        if name and _is_path(name) and (files := _named_file(name, source_lang, target_lang)):
            splits[name] = files
    return {role: (name, splits[name]) for role, name in choose_splits(splits, split_names, str(folder)).items()}


def _named_file(name: str, source_lang: str, target_lang: str) -> SplitFiles | None:
    """The files of a split given by its path: a file, or for parallel text what its two names share."""
    path = Path(name)
    if path.parent.is_dir():
        for split, files in find_splits(path.parent, source_lang, target_lang).items():
            if split == path.name or path in files.paths:
                return files
    return None


def _files_beside(
    names: dict[Role, str | None], source_lang: str, target_lang: str
) -> dict[Role, tuple[str, SplitFiles]]:
    """Name and files of each split that is named, where the training split is a file: others lie beside it, unless
    their name is a path, with a slash."""
    folder = Path(names["train"] or "").parent
    found: dict[Role, tuple[str, SplitFiles]] = {}
    for role, name in names.items():
        if name is not None:
            path = name if role == "train" or _is_path(name) else str(folder / name)
            files = _named_file(path, source_lang, target_lang)
            if files is None:
                raise UserError(f"{path}: no file there with text in {source_lang} and {target_lang} ({role} split)")
            found[role] = name, files
    return found


def _is_path(split: str) -> bool:
    return os.sep in split


def _local_split(name: str, files: SplitFiles, source_lang: str, target_lang: str, cache_dir: Path) -> Split:
    fingerprint = hashlib.blake2b(digest_size=16)
    for part in (_STORE_FORMAT, files.format, source_lang, target_lang, *map(_content, files.paths)):
        fingerprint.update(part.encode() + b"\0")
    key = fingerprint.hexdigest()

    def load() -> "Dataset":
        from datasets import Dataset

        stored = cache_dir / "text" / f"{key}.arrow"
        if not stored.is_file():
            _store(read_pairs(files, source_lang, target_lang), stored)
        return Dataset.from_file(str(stored))

    return Split(name, key, load)


def _content(path: Path) -> str:
    """A digest of the file's bytes."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _store(chunks: Iterator[tuple[list[str], list[str]]], path: Path) -> None:
    """Write text as an Arrow stream, which can be mapped into memory."""
    import pyarrow

    schema = pyarrow.schema([("source", pyarrow.large_string()), ("target", pyarrow.large_string())])
    with atomic_path(path) as temporary, pyarrow.ipc.new_stream(str(temporary), schema) as stream:
        for source, target in chunks:
            columns = [pyarrow.array(side, pyarrow.large_string()) for side in (source, target)]
            stream.write_batch(pyarrow.record_batch(columns, schema=schema))


def _hub_split(name: str, dataset: "Dataset", source_lang: str, target_lang: str, corpus: str) -> Split:
    columns = language_columns(dataset.features.arrow_schema, source_lang, target_lang, corpus)

    def load() -> "Dataset":
        return (
            dataset.flatten()
            .select_columns(list(columns))
            .rename_columns(dict(zip(columns, ("source", "target"), strict=True)))
        )

    return Split(name, dataset._fingerprint, load)
