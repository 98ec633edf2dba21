"""A sentence's loss is its own: by either unroll, alone or in a batch, though hypotheses end early."""

import pytest
import torch
from batches import batch_of
from networks import each_network, small

from beamtrain.objectives.beam_training import BeamTraining
from beamtrain.objectives.losses.aligned_cross_entropy import AlignedCrossEntropy
from beamtrain.objectives.losses.bag_of_tokens import BagOfTokens
from beamtrain.objectives.losses.descendant_credit import DescendantCredit
from beamtrain.objectives.losses.expected_reward import ExpectedReward
from beamtrain.objectives.losses.gold_margin import GoldMargin
from beamtrain.objectives.losses.minimum_risk import MinimumRisk
from beamtrain.objectives.losses.optimal_completion import OptimalCompletion
from beamtrain.objectives.losses.optimal_transport import OptimalTransport
from beamtrain.objectives.losses.position_cross_entropy import PositionCrossEntropy
from beamtrain.objectives.losses.soft_survival import SoftSurvival
from beamtrain.objectives.losses.weighted_sum import WeightedSum
from beamtrain.objectives.rewards.linear_bleu import LinearBleu
from beamtrain.search.unroll.options import UnrollOptions

V = 12
PAIRS = [([5, 6, 7], [8, 9, 10, 11, 4, 5, 6]), ([4], [10, 11, 4]), ([9, 9], [7, 5, 7, 5, 7]), ([8, 7, 6, 5, 4], [6])]
LOSSES = {
    "expected GLEU": ExpectedReward(),
    "expected linear BLEU": ExpectedReward(LinearBleu()),
    "minimum risk": MinimumRisk(),
    "positions": PositionCrossEntropy(),
    "optimal completion": OptimalCompletion(),
    "any completion": OptimalCompletion("any"),
    "gold margin": GoldMargin(),
    "survival of the best": SoftSurvival(),
    "survival of the reference": SoftSurvival("reference", temperature=0.3),
    "the reference put back": SoftSurvival("reference", "put_back"),
    "credit": DescendantCredit(),
    "aligned": AlignedCrossEntropy(),
    "transport": OptimalTransport(position=0.5, iterations=10),
    "bag of tokens": BagOfTokens(),
    "a sum": WeightedSum([OptimalCompletion(), GoldMargin(), PositionCrossEntropy()], [1.0, 0.5, 0.1]),
}


def each_loss_with(*selections):
    """Those that read no choice with one selection only, the others with each."""
    return pytest.mark.parametrize(
        "loss, selection",
        [
            pytest.param(loss, selection, id=f"{name}-{selection}")
            for name, loss in LOSSES.items()
            for selection in (["hard"] if loss.reads_hard_prefixes else selections)
        ],
    )


def network_that_ends_early(kind):
    network = small(kind, V, seed=1, layers=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    return network.double()


def losses_and_gradient(network, loss, selection, pairs):
    """(B,) losses, and the gradient of their sum by all weights."""
    objective = BeamTraining(loss, unroll=UnrollOptions(3, 8, selection))
    batch = batch_of(pairs)
    mean, _ = objective.part(network, batch)
    found = torch.autograd.grad(mean * len(pairs), list(network.parameters()), allow_unused=True)
    flat = [
        (torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(network.parameters(), found, strict=True)
    ]
    return mean * len(pairs), torch.cat(flat)


@each_network
def test_in_these_searches_hypotheses_do_end_before_their_references(kind):
    network, batch = network_that_ends_early(kind), batch_of(PAIRS)
    beams = BeamTraining(GoldMargin(), unroll=UnrollOptions(3, 8)).search(network, network.encode(batch.source), batch)
    lengths = (batch.target_out != 0).sum(1)
    assert (beams.lengths[:, 0] < lengths).any() and beams.lengths.max() > 2


@each_network
@each_loss_with("straight_through", "hard")
def test_step_by_step_as_in_parallel(kind, loss, selection, monkeypatch):
    network = network_that_ends_early(kind)
    parallel = losses_and_gradient(network, loss, selection, PAIRS)
    monkeypatch.setattr("beamtrain.objectives.beam_training.allows_two_passes", lambda options, network: False)
    step_by_step = losses_and_gradient(network, loss, selection, PAIRS)
    torch.testing.assert_close(parallel, step_by_step, rtol=1e-7, atol=1e-9)


@each_network
@each_loss_with("straight_through", "hard", "soft")
def test_alone_as_in_a_batch(kind, loss, selection):
    network = network_that_ends_early(kind)
    together = losses_and_gradient(network, loss, selection, PAIRS)
    alone = [losses_and_gradient(network, loss, selection, [pair]) for pair in PAIRS]
    totals = tuple(sum(parts) for parts in zip(*alone, strict=True))
    torch.testing.assert_close(together, totals, rtol=1e-7, atol=1e-9)
