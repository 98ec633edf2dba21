"""The soft GLEU against counting, and training with the search in the loop: its mixture, its gradient, its clipping."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import small

from beamtrain.data.batch import Batch, pad
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.errors import UserError
from beamtrain.objectives.beam import BeamTraining
from beamtrain.objectives.ngram_overlap import NgramOverlap, soft_gleu
from beamtrain.objectives.teacher_forcing import TeacherForcing
from beamtrain.search.soft import SoftBeams, UnrollOptions

V = 12
SENTENCES = st.lists(st.integers(4, 7), min_size=0, max_size=9)  # few words: many repetitions


def hard_beams(sentences, T):
    """Beams that hold the given sentences for certain, one sentence of the batch, candidates in any order."""
    rows = torch.tensor([[*s, EOS, *[PAD] * (T - len(s) - 1)] for s in sentences])  # (K, T)
    tokens = rows.T.unsqueeze(0)  # (1, T, M = K)
    weights = torch.eye(len(sentences)).expand(1, T, -1, -1)
    scores = torch.zeros(1, len(sentences))
    return SoftBeams(tokens, weights, scores, torch.ones_like(scores), weights, torch.zeros_like(tokens))


def counted_gleu(hypothesis, reference, order):
    ngrams = [
        Counter(tuple(s[i : i + n]) for n in range(1, order + 1) for i in range(len(s) - n + 1))
        for s in (hypothesis, reference)
    ]
    shared = sum((ngrams[0] & ngrams[1]).values())
    return shared / max(ngrams[0].total(), ngrams[1].total(), 1e-6)


@settings(max_examples=150, deadline=None)
@given(st.lists(SENTENCES, min_size=1, max_size=3), SENTENCES, st.integers(1, 4))
def test_on_certain_hypotheses_soft_gleu_is_counted_gleu(hypotheses, reference, order):
    beams = hard_beams(hypotheses, T=10)
    found = soft_gleu(beams, torch.tensor([[*reference, EOS, PAD]]), order)
    expected = [counted_gleu(hypothesis, reference, order) for hypothesis in hypotheses]
    assert found[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_half_a_word_is_half_an_ngram():
    beams = hard_beams([[4, 5], [4, 6]], T=3)
    beams.weights = torch.full_like(beams.weights, 0.5)
    found = soft_gleu(beams, torch.tensor([[4, 5, EOS]]), order=2)
    assert found[0].tolist() == pytest.approx([(1 + 0.5 + 0.5) / 3] * 2)  # 4, half a 5, half a "4 5", of 3 n-grams


def network_and_batch(kind="transformer"):
    network = small(kind, V, layers=1, dropout=0.1).train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    pairs = [([5, 6, 7], [8, 9]), ([4], [10, 11, 4]), ([9, 9], [7, 5])]
    sources, targets = zip(*pairs, strict=True)
    batch = Batch(
        pad([[*s, EOS] for s in sources]),
        pad([[BOS, *t] for t in targets]),
        pad([[*t, EOS] for t in targets]),
        torch.arange(len(pairs)),
    )
    return network, batch


def objective(**settings):
    options = {"loss": NgramOverlap(order=2), "unroll": UnrollOptions(beam_size=3, candidates=8), **settings}
    return BeamTraining(**options)


def gradient(network, value):
    network.zero_grad()
    value.backward()
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def test_without_a_share_of_the_beam_it_is_teacher_forcing():
    network, batch = network_and_batch()
    network.eval()
    mixed, gold = objective(weight=0.0)(network, batch), TeacherForcing(0.1)(network, batch)
    torch.testing.assert_close(gradient(network, mixed.total), gradient(network, gold.total))


def test_the_gradient_is_that_of_the_beam_loss_until_it_is_clipped():
    network, batch = network_and_batch()
    network.eval()
    wide, narrow = objective(weight=1.0, max_gradient_norm=1e6), objective(weight=1.0, max_gradient_norm=0.01)
    mean = NgramOverlap(order=2)(wide.search(network, network.encode(batch.source), batch), batch).mean()
    plain = gradient(network, mean)
    loss = wide(network, batch)
    assert loss.total.item() / loss.weight == pytest.approx(mean.item(), rel=1e-5)
    torch.testing.assert_close(gradient(network, loss.total / loss.weight), plain, atol=1e-6, rtol=1e-4)
    clipped = narrow(network, batch)
    found = gradient(network, clipped.total / clipped.weight)
    assert found.norm().item() == pytest.approx(0.01, rel=1e-3)
    assert torch.cosine_similarity(found, plain, dim=0).item() == pytest.approx(1.0, abs=1e-4)
    norm = clipped.figures["beam_gradient_norm"].item() / clipped.weight
    assert norm == pytest.approx(plain.norm().item(), rel=1e-4)


@pytest.mark.parametrize(
    "kind, selection",
    [("transformer", "soft"), ("transformer", "straight_through"), ("transformer", "hard"), ("gru", "soft")],
)
def test_after_a_likelihood_start_a_few_steps_raise_the_overlap_of_what_the_search_finds(kind, selection):
    network, batch = network_and_batch(kind)
    start = objective(weight=0.0)
    aim = objective(
        weight=1.0, unroll=UnrollOptions(beam_size=3, candidates=8, selection=selection), max_gradient_norm=5.0
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for step in range(75):
        loss = (start if step < 25 else aim)(network, batch)
        losses.append(loss.figures["beam_loss"].item() / loss.weight)
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[25]
    assert network.training


def test_the_search_drops_out_only_when_asked():
    network, batch = network_and_batch()

    def beam_losses(dropout):
        aim = objective(weight=1.0, dropout=dropout)
        return {round(aim(network, batch).figures["beam_loss"].item(), 6) for _ in range(4)}

    assert len(beam_losses(dropout=False)) == 1 < len(beam_losses(dropout=True))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: objective(weight=1.5), "weight is 1.5, but the beam part's share must be from 0 to 1"),
        (lambda: objective(margin=-1), "margin is -1, but must be 0 or more"),
        (lambda: objective(max_gradient_norm=0), "max_gradient_norm is 0, but must be positive"),
        (lambda: NgramOverlap(order=0), "order is 0, but n-grams have at least 1 token"),
        (lambda: NgramOverlap(sharpness=0.0), "sharpness is 0.0, but must be positive"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
