"""What counts as empty, repeated, too long or lopsided."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beamtrain.data.cleaning import CleaningCounts, blank, longer_than, lopsided, pair_digests, repeated

SIDE = st.sampled_from(["", " ", "\u2028", "a", "b", "a b", "ab"])


@given(pairs=st.lists(st.tuples(SIDE, SIDE)))
def test_against_sets_and_strip(pairs):
    digests = pair_digests([source for source, _ in pairs], [target for _, target in pairs])
    empty = [not (source.strip() and target.strip()) for source, target in pairs]
    assert blank(digests).tolist() == empty
    again = [pair in pairs[:row] for row, pair in enumerate(pairs)]
    assert [bool(r) for r, e in zip(repeated(digests), empty, strict=True) if not e] == [
        a for a, e in zip(again, empty, strict=True) if not e
    ]


def test_the_border_between_the_sides_matters():
    assert not repeated(pair_digests(["ab", "a"], ["c", "bc"])).any()


def test_lengths_at_their_limits():
    source, target = np.array([1, 5, 6, 2, 3, 9]), np.array([4, 5, 1, 6, 9, 3])
    assert longer_than(source, target, 6).tolist() == [False, False, False, False, True, True]
    assert lopsided(source, target, 3.0).tolist() == [True, False, True, False, False, False]


def test_the_report_names_every_reason():
    counts = CleaningCounts(read=12_000, empty=1, duplicate=2, too_long=3, length_ratio=4)
    assert counts.kept == 11_990
    assert str(counts) == (
        "11,990 of 12,000 training pairs kept; dropped: 1 empty, 2 duplicate, 3 too long, 4 length ratio"
    )
