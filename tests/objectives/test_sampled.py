"""Objectives on samples: their gradients against sums over all that a small network can say."""

import pytest
import torch
from batches import batch_of
from enumerable import (
    MOST,
    PAIR,
    SENTENCES,
    chi_square,
    draws,
    flat_gradient,
    hypotheses,
    network,
    sampler_log_probs,
    tuples,
)
from networks import each_network, small

from beamtrain.base.errors import UserError
from beamtrain.objectives import BeamTraining, ExpectedReward, Gleu, Reward, SampledRisk, SelfCritical, samples
from beamtrain.objectives.mixture import gold_limits
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions

REWARD = Gleu(2)


def rewards_of_all():
    return REWARD.of(hypotheses(), batch_of([PAIR]))[0].double()


@each_network
def test_log_probabilities_are_those_of_what_is_sampled(kind):
    made, batch = network(kind), batch_of([PAIR])
    limits = gold_limits(batch, MOST - 2, None)
    memory = made.encode(batch.source)
    found = samples.log_probs(made, memory, hypotheses(), limits)[0]
    exact = sampler_log_probs(made)
    torch.testing.assert_close(found, exact)
    assert exact.exp().sum().item() == pytest.approx(1)
    torch.manual_seed(0)
    drawn = samples.draw(made, memory, limits, 1000)[0].tolist()
    share = [sum(row[: len(s)] == s for row in drawn) / len(drawn) for s in SENTENCES]
    assert share == pytest.approx(exact.exp().tolist(), abs=0.05)
    best = beam_search(made, batch.source, SearchOptions(1, max_length=MOST))[0][0].tokens
    assert samples.greedy(made, memory, limits)[0, 0].tolist()[: len(best)] == best


def test_the_mean_of_reinforce_is_the_gradient_of_the_expected_reward():
    made, aim = network(), SelfCritical(REWARD, samples=2, margin=MOST - 2)
    exact = flat_gradient(made, (sampler_log_probs(made).exp() * (1 - rewards_of_all())).sum())
    distance, error = chi_square(draws(aim, made, rounds=40, copies=100), exact)
    assert distance < 1.6 and error < 0.2


def expected_sampled_risk(made, alpha, count):
    """The gradient of the sampled risk, averaged exactly over all draws of `count` samples."""
    log_probs, rewards = sampler_log_probs(made), rewards_of_all()
    probs = log_probs.detach().exp()
    total = torch.zeros((), dtype=torch.float64)
    for places in tuples(count):
        distinct = list(dict.fromkeys(places))
        risk = ((alpha * log_probs[distinct]).softmax(0) * (1 - rewards[distinct])).sum()
        total = total + probs[list(places)].prod() * risk
    return flat_gradient(made, total)


def test_the_mean_of_the_sampled_risk_is_its_expectation_whose_bias_falls_with_the_samples():
    made, aim = network(), SampledRisk(REWARD, samples=2, alpha=0.5, margin=MOST - 2)
    exact = expected_sampled_risk(made, 0.5, 2)
    distance, error = chi_square(draws(aim, made, rounds=40, copies=100), exact)
    assert distance < 1.6 and error < 0.2
    of_all = ((0.5 * sampler_log_probs(made)).softmax(0) * (1 - rewards_of_all())).sum()
    unbiased = flat_gradient(made, of_all)
    bias = [(expected_sampled_risk(made, 0.5, count) - unbiased).norm() / unbiased.norm() for count in (1, 2, 3, 4)]
    assert bias[0] == pytest.approx(1) and bias[0] > bias[1] > bias[2] > bias[3]


@each_network
def test_log_probabilities_of_a_sentence_do_not_depend_on_its_batch(kind):
    made = small(kind, 12).double()
    pairs = [([5, 6, 7], [8, 9]), ([4], [10, 11, 4, 6]), ([9, 9], [7])]
    said = torch.tensor([[[5, 2, 0], [6, 7, 2]], [[2, 0, 0], [4, 2, 0]], [[8, 8, 2], [8, 8, 2]]])

    def scores(chosen, said):
        batch = batch_of(chosen)
        return samples.log_probs(made, made.encode(batch.source), said, gold_limits(batch, 1, None))

    apart = torch.cat([scores([pair], row[None]) for pair, row in zip(pairs, said, strict=True)])
    torch.testing.assert_close(scores(pairs, said), apart)


def test_copies_among_the_samples_count_once():
    drawn = torch.tensor([[[3, 2], [4, 2], [3, 2]], [[2, 0], [2, 0], [4, 2]]])
    assert samples.first_of_each(drawn).tolist() == [[True, True, False], [True, False, True]]


class Number(Reward):
    """A number only."""

    def of(self, hypotheses, batch):
        return torch.zeros(hypotheses.shape[:2])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SampledRisk(samples=1), "samples is 1, but must be 2 or more"),
        (lambda: SampledRisk(alpha=0.0), "alpha is 0.0, but must be positive"),
        (lambda: SelfCritical(samples=0), "samples is 0, but must be 1 or more"),
        (lambda: SelfCritical(weight=2.0), "weight is 2.0, but the sampled part's share must be from 0 to 1"),
        (lambda: BeamTraining(ExpectedReward(Number())), "Number is a number without a gradient, and ExpectedReward"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
