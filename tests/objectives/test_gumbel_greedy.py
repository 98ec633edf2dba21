"""Gumbel-greedy decoding: an exact sample, and a gradient whose bias is known where all can be enumerated."""

import math

import pytest
import torch
from batches import batch_of
from enumerable import MOST, PAIR, draws, flat_gradient, hypotheses, network, sampler_log_probs
from networks import each_network, small

from beamtrain.base.errors import UserError
from beamtrain.objectives import Gleu, GumbelGreedy, SentenceChrf, gumbel_greedy, samples


@pytest.mark.parametrize("kind, seed, cosine, off", [("transformer", 7, 0.997, 0.512), ("gru", 6, 0.885, 0.476)])
def test_the_loss_has_no_bias_and_the_gradient_the_one_that_the_page_states(kind, seed, cosine, off):
    made, reward = network(kind, seed), Gleu(2)
    rewards = reward.of(hypotheses(), batch_of([PAIR]))[0].double()
    expected = (sampler_log_probs(made).exp() * (1 - rewards)).sum()
    exact = flat_gradient(made, expected)
    aim, batch = GumbelGreedy(reward, temperature=1.0, margin=MOST - 2), batch_of([PAIR] * 1000)
    torch.manual_seed(0)
    values = torch.stack([aim.part(made, batch)[0].detach() for _ in range(8)])
    error = (expected * (1 - expected) / 8000) ** 0.5  # at most, as rewards are from 0 to 1
    assert (values.mean() - expected).abs() < 3 * error
    found = draws(aim, made, rounds=40, copies=500).mean(0)
    assert torch.cosine_similarity(found, exact, dim=0).item() == pytest.approx(cosine, abs=0.015)
    assert ((found - exact).norm() / exact.norm()).item() == pytest.approx(off, abs=0.03)


@each_network
def test_without_noise_it_is_the_greedy_output_alone_and_in_a_batch(kind, monkeypatch):
    monkeypatch.setattr(gumbel_greedy, "gumbel_noise", torch.zeros_like)
    made = small(kind, 12, layers=1, seed=1).double()
    pairs = [([5, 6, 7], [8, 9, 5, 5]), ([4], [10, 11]), ([9, 9], [7, 5, 4])]
    aim, batch = GumbelGreedy(Gleu(2)), batch_of(pairs)
    memory = made.encode(batch.source)
    said = samples.greedy(made, memory, aim.limits(made, batch))
    together = aim.part(made, batch)[0]
    assert together.item() == pytest.approx((1 - Gleu(2).of(said, batch)).mean().item(), abs=1e-6)
    apart = [aim.part(made, batch_of([pair]))[0] for pair in pairs]
    mean = sum(flat_gradient(made, each) for each in apart) / len(pairs)
    torch.testing.assert_close(flat_gradient(made, together), mean)
    assert mean.norm() > 0


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"temperature": 0.0}, "temperature is 0.0, but must be positive"),
        ({"temperature": math.inf}, "temperature is inf, but must be positive and finite"),
        ({"reward": SentenceChrf()}, "SentenceChrf is a number without a gradient, and GumbelGreedy goes through"),
        ({"weight": -0.1}, "weight is -0.1, but the gumbel part's share must be from 0 to 1"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        GumbelGreedy(**settings)
