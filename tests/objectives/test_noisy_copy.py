"""From the optimum of likelihood, every objective that maximises a reward finds that of the reward."""

import copy
from functools import cache

import pytest
import torch
from noisy_copy import BATCH, ENTROPY, REWARD, decoded, expected_reward, optimum, teacher_forced
from torch.nn.utils import clip_grad_norm_

from beamtrain.objectives import (
    BeamTraining,
    DescendantCredit,
    ExpectedReward,
    GumbelGreedy,
    MinimumRisk,
    ParameterSearch,
    SampledRisk,
    SelfCritical,
)
from beamtrain.search.unroll.options import UnrollOptions

HARD, STRAIGHT_THROUGH = UnrollOptions(4, 16, "hard"), UnrollOptions(4, 16)
AIMS = {
    "minimum risk": lambda: BeamTraining(MinimumRisk(REWARD), weight=1.0, unroll=HARD),
    "expected reward": lambda: BeamTraining(ExpectedReward(REWARD), weight=1.0, unroll=STRAIGHT_THROUGH),
    "descendant credit": lambda: BeamTraining(DescendantCredit(reward=REWARD), weight=1.0, unroll=HARD),
    "risk of samples": lambda: SampledRisk(REWARD, alpha=1.0, weight=1.0),
    "self-critical": lambda: SelfCritical(REWARD, weight=1.0),
    "Gumbel-greedy": lambda: GumbelGreedy(REWARD, temperature=2.0, weight=1.0),
    "parameter search": lambda: ParameterSearch(REWARD, candidates=8, radius=0.5, label_smoothing=0.0),
}
RATES = {"Gumbel-greedy": 0.01}  # of Adam; the others .003


@cache
def start(kind):
    return teacher_forced(kind)


def reached(name, kind, steps, every=10):
    """The reward of what users get, over the best there is: of the validations the best one, as training keeps it."""
    network, aim, best = copy.deepcopy(start(kind)[0]), AIMS[name](), optimum()[0]
    optimizer = torch.optim.Adam(network.parameters(), lr=RATES.get(name, 0.003))
    torch.manual_seed(0)
    found = []
    for step in range(1, steps + 1):
        loss = aim(network, BATCH, step)
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if step % every == 0:
            found.append(expected_reward(decoded(network)) / best)
    return max(found)


def check_start(kind):
    """Teacher forcing is at its optimum, the entropy, and decodes into the noise: two thirds of the best reward."""
    network, nll = start(kind)
    assert ENTROPY <= nll < ENTROPY + 0.06
    assert expected_reward(decoded(network)) / optimum()[0] < 0.7


@pytest.mark.parametrize("name", ["risk of samples", "self-critical"])
def test_what_samples_say_leads_from_the_likeliest_to_the_best(name):
    check_start("transformer")
    assert reached(name, "transformer", steps=20) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["transformer", "gru"])
@pytest.mark.parametrize("name", AIMS)
def test_every_objective_leads_from_the_likeliest_to_the_best(name, kind):
    check_start(kind)
    assert reached(name, kind, steps=60) >= 0.95
