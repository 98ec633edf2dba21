"""Files to splits, and splits to sentence pairs: every format, compressed too, and text that is out to break it."""

import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_corpora import HOSTILE, write_lines

from beamtrain.base.errors import UserError
from beamtrain.data.local_files import find_splits, read_pairs


def read(folder: Path, split: str = "train") -> list[tuple[str, str]]:
    chunks = list(read_pairs(find_splits(folder, "en", "de")[split], "en", "de"))
    return [pair for source, target in chunks for pair in zip(source, target, strict=True)]


def parallel_text(folder: Path, pairs: list[tuple[str, str]], ending: bytes = b"\n") -> None:
    for side, language in enumerate(("en", "de")):
        (folder / f"train.{language}").write_bytes(b"".join(pair[side].encode() + ending for pair in pairs))


def tsv(folder: Path, pairs: list[tuple[str, str]]) -> None:
    write_lines(folder / "train.tsv", ["de\tid\ten", *(f"{target}\t7\t{source}" for source, target in pairs)])


def json_lines(folder: Path, pairs: list[tuple[str, str]]) -> None:
    write_lines(folder / "train.jsonl", [json.dumps({"en": source, "de": target}) for source, target in pairs])


def hub_json_lines(folder: Path, pairs: list[tuple[str, str]]) -> None:
    rows = [{"translation": {"de": target, "en": source}} for source, target in pairs]
    write_lines(folder / "train.jsonl", [json.dumps(row, ensure_ascii=False) for row in rows])


def parquet(folder: Path, pairs: list[tuple[str, str]]) -> None:
    columns = {"en": [source for source, _ in pairs], "de": [target for _, target in pairs], "id": range(len(pairs))}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "train.parquet")


def hub_parquet(folder: Path, pairs: list[tuple[str, str]]) -> None:
    rows = [{"de": target, "en": source} for source, target in pairs]
    middle = len(rows) // 2
    for number, part in enumerate((rows[:middle], rows[middle:])):
        table = pyarrow.table({"translation": part})
        pyarrow.parquet.write_table(table, folder / f"train-0000{number}-of-00002.parquet")


@pytest.mark.parametrize("write", [parallel_text, tsv, json_lines, hub_json_lines, parquet, hub_parquet])
def test_hostile_text_survives_every_format(tmp_path, write):
    write(tmp_path, HOSTILE)
    assert read(tmp_path) == HOSTILE


@pytest.mark.parametrize("write", [parallel_text, tsv, json_lines])
def test_compressed_files_read_the_same(tmp_path, write):
    write(tmp_path, HOSTILE)
    for path in list(tmp_path.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert read(tmp_path) == HOSTILE


LINE = st.text(st.characters(exclude_characters="\n\t\r", exclude_categories=["Cs"])).filter(
    lambda line: not line.startswith("\ufeff")
)


@settings(max_examples=60)
@given(pairs=st.lists(st.tuples(LINE, LINE), min_size=1))
@pytest.mark.parametrize("write", [parallel_text, tsv, json_lines])
def test_any_text_comes_back(tmp_path_factory, write, pairs):
    folder = tmp_path_factory.mktemp("any")
    write(folder, pairs)
    assert read(folder) == pairs


def test_windows_files(tmp_path):
    parallel_text(tmp_path, [("one", "eins"), ("two", "zwei")], ending=b"\r\n")
    (tmp_path / "train.en").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "train.en").read_bytes())
    assert read(tmp_path) == [("one", "eins"), ("two", "zwei")]


def test_a_last_line_without_line_feed_counts(tmp_path):
    (tmp_path / "train.en").write_bytes(b"one\ntwo")
    (tmp_path / "train.de").write_bytes(b"eins\nzwei\n")
    assert read(tmp_path) == [("one", "eins"), ("two", "zwei")]


def test_the_direction_is_the_callers(tmp_path):
    hub_parquet(tmp_path, [("one", "eins"), ("two", "zwei")])
    files = find_splits(tmp_path, "de", "en")["train"]
    assert next(iter(read_pairs(files, "de", "en"))) == (["eins"], ["one"])


def test_missing_values_are_empty_text(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"en": ["a", None], "de": [None, "b"]}), tmp_path / "train.parquet")
    write_lines(tmp_path / "dev.jsonl", ['{"en": null, "de": "b"}', ""])
    assert read(tmp_path) == [("a", ""), ("", "b")]
    assert read(tmp_path, "dev") == [("", "b")]


def test_splits_are_named_after_their_files(tmp_path):
    parquet(tmp_path, HOSTILE[:1])
    for name in ("val.en.gz", "val.de.gz", "test_2016.en", "test_2016.de", "half.en", "notes.txt", "train.fr", ".en"):
        (tmp_path / name).write_bytes(b"")
    assert set(find_splits(tmp_path, "en", "de")) == {"train", "val", "test_2016"}


@pytest.mark.parametrize(
    "names",
    [
        ("train.en", "train.de", "train.tsv"),
        ("train.en", "train.en.gz", "train.de"),
        ("train.tsv", "train.tsv.gz"),
        ("train.parquet", "train-00000-of-00001.parquet"),
    ],
)
def test_the_same_split_twice_is_refused(tmp_path, names):
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match="split 'train' lies there more than once"):
        find_splits(tmp_path, "en", "de")


def test_sides_of_different_length(tmp_path):
    (tmp_path / "train.en").write_bytes(b"a\n" * 12)
    (tmp_path / "train.de").write_bytes(b"a\n" * 7)
    with pytest.raises(UserError, match=r"train\.en has 12 lines and train\.de only 7"):
        read(tmp_path)
    (tmp_path / "train.de").write_bytes(b"a\n" * 15)
    with pytest.raises(UserError, match=r"train\.de has 15 lines and train\.en only 12"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.tsv", b"en\tde\na\tb\nc\n", r"train\.tsv, line 3: 1 columns, but the first line names 2"),
        (
            "train.tsv",
            b"en\tfr\na\tb\n",
            r"no column 'de'; the first line must name the columns, it reads \['en', 'fr'",
        ),
        ("train.tsv", b"en\tde\na\t\xff\n", r"train\.tsv, line 2: not valid UTF-8"),
        ("train.jsonl", b'{"en": "a", "de": "b"}\n{"en"\n', r"train\.jsonl, line 2: not JSON"),
        ("train.jsonl", b"[1]\n", r"train\.jsonl, line 1: not an object"),
        ("train.jsonl", b'{"translation": {"en": "a", "fr": "b"}}', r"no language 'de'; the row has 'en', 'fr'"),
        ("train.jsonl", b'{"en": "a", "de": 3}', r"line 1: 'de' is int, not text"),
        ("train.jsonl", b'{"en": "a", "de": "\\ud800"}', r"line 1: 'de' holds half a surrogate pair"),
        ("train.jsonl", b"[" * 100_000, r"line 1: not JSON"),
        ("train.parquet", b"PAR1 but not really", r"train\.parquet: not a readable Parquet file"),
        ("train.tsv.gz", b"not gzip", r"train\.tsv\.gz"),
        ("train.tsv.gz", gzip.compress(b"en\tde\n" + b"a\tb\n" * 999, mtime=0)[:-20], r"train\.tsv\.gz"),
    ],
)
def test_broken_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path)


def test_parquet_without_the_language(tmp_path):
    hub_parquet(tmp_path, HOSTILE)
    files = find_splits(tmp_path, "en", "fr")["train"]
    with pytest.raises(UserError, match=r"no language 'fr'; there are 'de', 'en'"):
        list(read_pairs(files, "en", "fr"))


@pytest.mark.parametrize("nested", [False, True])
def test_parquet_that_is_no_text(tmp_path, nested):
    table = (
        pyarrow.table({"translation": [{"en": "a", "de": 3}]}) if nested else pyarrow.table({"en": ["a"], "de": [3]})
    )
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(UserError, match=r"train\.parquet: 'de' is int64, not text"):
        read(tmp_path)


def test_parquet_that_is_no_utf8(tmp_path):
    offsets = pyarrow.array([0, 2], pyarrow.int32()).buffers()[1]
    broken = pyarrow.StringArray.from_buffers(1, offsets, pyarrow.py_buffer(b"a\xff"))
    pyarrow.parquet.write_table(pyarrow.table({"en": broken, "de": ["b"]}), tmp_path / "train.parquet")
    with pytest.raises(UserError, match=r"train\.parquet: not a readable Parquet file \('utf-8' codec"):
        read(tmp_path)
