"""Random segmentations have the distributions of the papers, against sums over everything that can be drawn."""

import math
from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from beamtrain.data.segmentation import BPEDropout, UnigramSampling, Vocabulary

PROBABILITIES = {"a": 0.3, "b": 0.2, "c": 0.1, "ab": 0.2, "bc": 0.05, "abc": 0.1, "bab": 0.05}
MERGES = ["ab", "bc", "abc", "ca", "bcab"]  # the best first
DRAWS = 20_000


def spell(character: str) -> list[int]:
    return [1000 + byte for byte in character.encode()]


def unigram() -> UnigramSampling:
    ids = {piece: [i] for i, piece in enumerate(PROBABILITIES)}
    return UnigramSampling(Vocabulary(ids, {piece: math.log(p) for piece, p in PROBABILITIES.items()}, spell))


def bpe() -> BPEDropout:
    pieces = [*MERGES, *"abc"]
    scores = {piece: -float(rank) for rank, piece in enumerate(pieces)}
    return BPEDropout(Vocabulary({piece: [i] for i, piece in enumerate(pieces)}, scores, spell))


def drawn(segmenter, word, alpha) -> Counter:
    random = Random(1).random
    return Counter(tuple(segmenter.draw(word, alpha, random)) for _ in range(DRAWS))


def assert_distributed(counts: Counter, expected: dict[tuple[int, ...], float]) -> None:
    """Every frequency within five standard deviations, and nothing that cannot be drawn."""
    assert sum(expected.values()) == pytest.approx(1)
    assert counts.keys() <= expected.keys()
    for tokens, p in expected.items():
        assert counts[tokens] / DRAWS == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / DRAWS))


def splits(word: str) -> list[tuple[str, ...]]:
    """All ways to cut a word into pieces."""
    if not word:
        return [()]
    starts = [word[:length] for length in range(1, len(word) + 1) if word[:length] in PROBABILITIES]
    return [(start, *rest) for start in starts for rest in splits(word[len(start) :])]


@pytest.mark.parametrize("word", ["a", "ab", "abcab", "babcabab"])
@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0, 3.0])
def test_unigram_draws_all_segmentations_by_their_power(word, alpha):
    weights = {split: math.prod(PROBABILITIES[piece] for piece in split) ** alpha for split in splits(word)}
    pieces = list(PROBABILITIES)
    expected = {tuple(map(pieces.index, split)): w / sum(weights.values()) for split, w in weights.items()}
    assert_distributed(drawn(unigram(), word, alpha), expected)


def test_unigram_spells_an_unknown_character_and_goes_on():
    expected = {
        (3, *spell("é"), 4): PROBABILITIES["ab"] * PROBABILITIES["bc"],
        (0, 1, *spell("é"), 4): PROBABILITIES["a"] * PROBABILITIES["b"] * PROBABILITIES["bc"],
        (3, *spell("é"), 1, 2): PROBABILITIES["ab"] * PROBABILITIES["b"] * PROBABILITIES["c"],
        (0, 1, *spell("é"), 1, 2): PROBABILITIES["a"] * PROBABILITIES["b"] ** 2 * PROBABILITIES["c"],
    }
    total = sum(expected.values())
    assert_distributed(drawn(unigram(), "abébc", 1.0), {tokens: p / total for tokens, p in expected.items()})


def test_unigram_stays_finite_where_probabilities_do_not():
    long = "é" * 5000 + "abc" * 5000
    assert len(unigram().draw(long, 1.0, Random(1).random)) > 10_000


def merged(pieces: tuple[str, ...], alpha: float) -> dict[tuple[str, ...], float]:
    """The distribution of BPE-dropout from `pieces` on, step by step as in the paper's algorithm 1."""
    places = [i for i, (left, right) in enumerate(pairwise(pieces)) if left + right in MERGES]
    places.sort(key=lambda i: (MERGES.index(pieces[i] + pieces[i + 1]), i))
    ends = {pieces: alpha ** len(places)}
    for tried, i in enumerate(places):
        after = (*pieces[:i], pieces[i] + pieces[i + 1], *pieces[i + 2 :])
        for end, p in merged(after, alpha).items():
            ends[end] = ends.get(end, 0) + p * alpha**tried * (1 - alpha)
    return ends


@pytest.mark.parametrize("word", ["a", "ab", "abcab", "bcabcab"])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 1.0])
def test_bpe_leaves_out_each_merge_of_a_step(word, alpha):
    pieces = [*MERGES, *"abc"]
    expected = {tuple(map(pieces.index, end)): p for end, p in merged(tuple(word), alpha).items()}
    assert_distributed(drawn(bpe(), word, alpha), expected)


def test_bpe_spells_unknown_characters_and_ends_soon_on_long_words():
    assert bpe().draw("aébcé", 0.0, Random(1).random) == [5, *spell("é"), 1, *spell("é")]
    assert len(bpe().draw("abc" * 20_000, 0.1, Random(1).random)) < 40_000
