"""Token rows on disk come back as they went in, padded."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beamtrain.data.table import TokenTable, TokenTableWriter, flatten, padded
from beamtrain.data.tokenizer import EOS, PAD


def write(stem, parts, vocab_size=1000) -> TokenTable:
    writer = TokenTableWriter(stem, vocab_size)
    for part in parts:
        writer.append(flatten(part))
    writer.close()
    return TokenTable(stem)


@given(
    rows=st.lists(st.lists(st.integers(3, 999), max_size=6), max_size=8),
    picks=st.lists(st.integers(0, 7), min_size=1, max_size=5),
    cut=st.integers(0, 8),
)
def test_rows_come_back_padded(tmp_path_factory, rows, picks, cut):
    table = write(tmp_path_factory.mktemp("table") / "train.source", [rows[:cut], rows[cut:]])
    ended = [[*row, EOS] for row in rows]
    assert len(table) == len(rows)
    assert table.lengths.tolist() == [len(row) for row in ended]
    picks = [pick for pick in picks if pick < len(rows)]
    batch = table.gather(np.array(picks, np.int64))
    longest = max((len(ended[pick]) for pick in picks), default=0)
    assert batch.tolist() == [ended[pick] + [PAD] * (longest - len(ended[pick])) for pick in picks]
    assert batch.tolist() == padded([ended[pick] for pick in picks]).tolist()


def test_both_sides_of_a_split_have_their_own_files(tmp_path):
    source = write(tmp_path / "train.source", [[[5]]])
    target = write(tmp_path / "train.target", [[[6]]])
    assert (source.gather(np.array([0])).tolist(), target.gather(np.array([0])).tolist()) == ([[5, 2]], [[6, 2]])


@pytest.mark.parametrize(("vocab_size", "size"), [(2**16, 2), (2**16 + 1, 4)])
def test_ids_at_the_border_of_two_bytes(tmp_path, vocab_size, size):
    table = write(tmp_path / "t", [[[vocab_size - 1]] * 1000], vocab_size)
    assert table.gather(np.array([0])).tolist() == [[vocab_size - 1, EOS]]
    assert (tmp_path / "t.tokens.npy").stat().st_size == 128 + 2000 * size


def test_another_process_maps_the_files_rather_than_copy_them(tmp_path):
    table = write(tmp_path / "t", [[[7] * 50_000]])
    message = pickle.dumps(table)
    assert len(message) < 1000
    assert pickle.loads(message).gather(np.array([0])).tolist() == table.gather(np.array([0])).tolist()


def test_only_keeps_whole_rows():
    rows = flatten([[5], [6, 7], []])
    kept = rows.only(np.array([False, True, True]))
    assert kept.tokens.tolist() == [6, 7, EOS, EOS]
    assert kept.lengths.tolist() == [3, 1]
