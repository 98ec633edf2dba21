"""The files of a local corpus: which belong to which split, and the sentence pairs in them.

    parallel text   train.en  train.de
    TSV             train.tsv      first line: column names, among them both languages; no quoting, no escapes
    JSON lines      train.jsonl    {"en": ..., "de": ...} or {"translation": {"en": ..., "de": ...}}
    Parquet         train.parquet or train-00000-of-00002.parquet ...; the same two layouts as columns

The first three also compressed, with `.gz` at the end.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from beamtrain.base.errors import UserError
from beamtrain.data.lines import read_lines

_SHARD = re.compile(r"-\d+-of-\d+$")
_FORMATS = {".tsv": "TSV", ".jsonl": "JSON lines", ".json": "JSON lines", ".parquet": "Parquet"}
_PARALLEL = "parallel text"
_CHUNK = 10_000

Chunk = tuple[list[str], list[str]]


@dataclass(frozen=True)
class SplitFiles:
    """The files of one split: its shards in order, or for parallel text the source side, then the target side."""

    format: str
    paths: tuple[Path, ...]


def find_splits(folder: Path, source_lang: str, target_lang: str) -> dict[str, SplitFiles]:
    """Split name -> files, for every split in `folder` that has both languages.

    Raises:
        UserError: a split lies there more than once (two formats, or plain and compressed).
    """
    found: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in _files(folder):
        name = path.name.removesuffix(".gz")
        stem, dot, extension = name.rpartition(".")
        if dot + extension in _FORMATS:
            found[_SHARD.sub("", stem)][_FORMATS[dot + extension]].append(path)
        elif extension in (source_lang, target_lang) and stem:
            found[stem][_PARALLEL].append(path)
    splits = {}
    for name, formats in found.items():
        groups = {kind: tuple(paths) for kind, paths in formats.items()}
        if _PARALLEL in groups:
            groups[_PARALLEL] = _both_sides(groups.pop(_PARALLEL), source_lang, target_lang)
        complete = [SplitFiles(kind, paths) for kind, paths in groups.items() if paths]
        doubled = len(complete) > 1 or any(_doubled(split) for split in complete)
        if doubled:
            names = ", ".join(path.name for split in complete for path in split.paths)
            raise UserError(f"{folder}: split {name!r} lies there more than once ({names}); keep one")
        if complete:
            splits[name] = complete[0]
    return splits


def read_pairs(files: SplitFiles, source_lang: str, target_lang: str) -> Iterator[Chunk]:
    """The sentence pairs of a split, as chunks of source lines and as many target lines.

    Raises:
        UserError: sides of different length, a missing language, broken UTF-8, or a row that does not parse, with
            file and line.
    """
    if files.format == "Parquet":
        for path in files.paths:
            yield from _read_parquet(path, source_lang, target_lang)
        return
    if files.format == _PARALLEL:
        pairs = _read_parallel(*files.paths)
    else:
        read = _read_tsv if files.format == "TSV" else _read_json_lines
        pairs = (pair for path in files.paths for pair in read(path, source_lang, target_lang))
    while chunk := list(islice(pairs, _CHUNK)):
        yield [source for source, _ in chunk], [target for _, target in chunk]


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None


def _both_sides(paths: tuple[Path, ...], source_lang: str, target_lang: str) -> tuple[Path, ...]:
    """Source files, then target files; nothing when one side is absent."""
    sides = [
        [path for path in paths if path.name.removesuffix(".gz").endswith(f".{language}")]
        for language in (source_lang, target_lang)
    ]
    return (*sides[0], *sides[1]) if all(sides) else ()


def _doubled(split: SplitFiles) -> bool:
    """Whether a file lies there twice, plain and compressed, or unnumbered beside numbered shards."""
    if split.format == _PARALLEL:
        return len(split.paths) > 2
    return len(split.paths) > 1 and not all(_SHARD.search(path.name.split(".")[0]) for path in split.paths)


def _read_parallel(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    sides = zip_longest(read_lines(source), read_lines(target))
    for number, (source_line, target_line) in enumerate(sides, start=1):
        if source_line is None or target_line is None:
            longer = source if target_line is None else target
            shorter = target if target_line is None else source
            total = number + sum(1 for _ in sides)
            raise UserError(
                f"{longer.name} has {total} lines and {shorter.name} only {number - 1}: parallel text needs "
                "line n of one to translate line n of the other"
            )
        yield source_line, target_line


def _read_tsv(path: Path, source_lang: str, target_lang: str) -> Iterator[tuple[str, str]]:
    lines = read_lines(path)
    columns = next(lines, "").split("\t")
    source, target = (_column(columns, language, path) for language in (source_lang, target_lang))
    for number, line in enumerate(lines, start=2):
        fields = line.split("\t")
        if len(fields) != len(columns):
            raise UserError(f"{path}, line {number}: {len(fields)} columns, but the first line names {len(columns)}")
        yield fields[source], fields[target]


def _column(columns: list[str], language: str, path: Path) -> int:
    try:
        return columns.index(language)
    except ValueError:
        raise UserError(
            f"{path}: no column {language!r}; the first line must name the columns, it reads {columns[:8]}"
        ) from None


def _read_json_lines(path: Path, source_lang: str, target_lang: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: not JSON ({error})") from None
        row = row.get("translation", row) if isinstance(row, dict) else None
        if not isinstance(row, dict):
            raise UserError(f'{place}: not an object such as {{"{source_lang}": ..., "{target_lang}": ...}}')
        yield _json_text(row, source_lang, place), _json_text(row, target_lang, place)


def _json_text(row: Mapping[str, Any], language: str, place: str) -> str:
    if language not in row:
        raise UserError(f"{place}: no language {language!r}; the row has {', '.join(map(repr, row)) or 'nothing'}")
    text = row[language]
    if text is None:
        return ""
    if not isinstance(text, str):
        raise UserError(f"{place}: {language!r} is {type(text).__name__}, not text")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{place}: {language!r} holds half a surrogate pair, which is no character") from None
    return text


def _read_parquet(path: Path, source_lang: str, target_lang: str) -> Iterator[Chunk]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = language_columns(file.schema_arrow, source_lang, target_lang, str(path))
            for batch in file.iter_batches(batch_size=_CHUNK, columns=list(columns)):
                table = pyarrow.Table.from_batches([batch])
                while any(pyarrow.types.is_struct(field.type) for field in table.schema):
                    table = table.flatten()
                source, target = (table.column(name).to_pylist() for name in columns)
                yield _without_null(source), _without_null(target)
    except (OSError, UnicodeDecodeError, pyarrow.ArrowException) as error:
        raise UserError(f"{path}: not a readable Parquet file ({error})") from None


def language_columns(schema: Any, source_lang: str, target_lang: str, name: str) -> tuple[str, str]:
    """The columns of an Arrow schema that hold both languages: `en`, or `translation.en` within a struct.

    Raises:
        UserError: a language is missing, or is no text.
    """
    import pyarrow

    nested = "translation" in schema.names
    fields = {field.name: field for field in (schema.field("translation").type if nested else schema)}
    for language in (source_lang, target_lang):
        if language not in fields:
            raise UserError(f"{name}: no language {language!r}; there are {', '.join(map(repr, fields))}")
        kind = fields[language].type
        if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
            raise UserError(f"{name}: {language!r} is {kind}, not text")
    prefix = "translation." if nested else ""
    return prefix + source_lang, prefix + target_lang


def _without_null(texts: Iterable[str | None]) -> list[str]:
    return ["" if text is None else text for text in texts]
