"""Rewards of hypotheses, against counting their n-grams."""

import math

import pytest
import torch
from certain_beams import counted_gleu, hard_beams
from hypothesis import given, settings
from hypothesis import strategies as st

from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.objectives.rewards.linear_bleu import LinearBleu
from beamtrain.objectives.rewards.ngram_counts import NgramCounts, expected_counts

SENTENCES = st.lists(st.integers(4, 7), min_size=0, max_size=9)  # few words: many repetitions


@settings(max_examples=150, deadline=None)
@given(st.lists(SENTENCES, min_size=1, max_size=3), SENTENCES, st.integers(1, 4))
def test_on_certain_hypotheses_soft_gleu_is_counted_gleu(hypotheses, reference, order):
    beams = hard_beams(hypotheses, T=10)
    found = Gleu(order)(expected_counts(beams, torch.tensor([[*reference, EOS, PAD]]), order))
    expected = [counted_gleu(hypothesis, reference, order) for hypothesis in hypotheses]
    assert found[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_half_a_word_is_half_an_ngram():
    beams = hard_beams([[4, 5], [4, 6]], T=3)
    beams.weights = torch.full_like(beams.weights, 0.5)
    found = Gleu(2)(expected_counts(beams, torch.tensor([[4, 5, EOS]]), order=2))
    assert found[0].tolist() == pytest.approx([(1 + 0.5 + 0.5) / 3] * 2)  # 4, half a 5, half a "4 5", of 3 n-grams


def test_linear_bleu_is_the_slope_of_the_logarithm_of_corpus_bleu():
    corpus, precision, decay, reference_length = 1e6, 0.7, 0.6, 7
    matches = [corpus * precision * decay**n for n in range(4)]

    def log_bleu(shared, length):
        return sum(math.log((m + s) / (corpus + length)) for m, s in zip(matches, shared, strict=True)) / 4

    shared, length = [5.0, 3.0, 2.0, 1.0], 8.0
    counts = NgramCounts(torch.tensor([[shared]]), torch.tensor([[length]]), torch.tensor([[reference_length]]))
    found = LinearBleu(4, precision, decay, length_cost=1.0)(counts).item()
    scale = sum(1 / (4 * precision * decay**n) for n in range(4)) * reference_length
    assert found * scale == pytest.approx(corpus * (log_bleu(shared, length) - log_bleu([0] * 4, 0)), rel=1e-4)
    of_matches = LinearBleu(4, precision, decay, length_cost=0.0)(counts).item()
    assert (of_matches - found) * scale == pytest.approx(length, rel=1e-5)
