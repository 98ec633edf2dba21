"""Every objective on a network whose targets begin with a given token, and that never says BOS: see `networks`."""

import pytest
import torch
from batches import batch_of
from networks import small

from beamtrain import objectives
from beamtrain.data.tokenizer import BOS, PAD
from beamtrain.objectives import BeamTraining
from beamtrain.search.unroll.options import UnrollOptions

V, CODE = 19, 7
PAIRS = [([5, 6, 8, 9], [CODE, 10, 11, 12]), ([6, 7], [CODE, 13]), ([8, 9, 10], [CODE, 14, 15, 16, 17])]
LOSSES = [
    "AlignedCrossEntropy", "BagOfTokens", "DescendantCredit", "ExpectedReward", "GoldMargin", "MinimumRisk",
    "OptimalCompletion", "OptimalTransport", "PositionCrossEntropy", "SoftSurvival",
]  # fmt: skip
OTHERS = ["GumbelGreedy", "SampledRisk", "ScheduledSampling", "SelfCritical", "SoftTeacherForcing", "TeacherForcing"]


def made(name):
    if name in OTHERS:
        first = {"SoftTeacherForcing": {"loss": objectives.BagOfTokens()}}.get(name, {})
        return getattr(objectives, name)(**first)
    selection = {"DescendantCredit": "hard", "SoftSurvival": "hard"}.get(name, "straight_through")
    return BeamTraining(getattr(objectives, name)(), unroll=UnrollOptions(3, 9, selection))


@pytest.mark.parametrize("unsaid", [(BOS,), (BOS, PAD)])
@pytest.mark.parametrize("name", [*LOSSES, *OTHERS])
def test_it_has_a_finite_gradient_and_none_for_what_is_not_read(name, unsaid):
    network = small("foreign", V, seed=2, first_token=CODE).train()
    network.unsaid = unsaid
    torch.manual_seed(3)
    loss = made(name)(network, batch_of(PAIRS), step=0)
    loss.total.backward()
    assert loss.total.isfinite() and all(figure.isfinite() for figure in loss.figures.values())
    gradients = {key: each.grad for key, each in network.named_parameters() if each.grad is not None}
    assert gradients and all(each.isfinite().all() for each in gradients.values())
    assert gradients["decoder.0.feed_forward.inner.weight"].any()
    assert not gradients["target_embedding.table.weight"][1].any()  # BOS


def test_those_are_all():
    kinds = (objectives.BeamLoss, objectives.Objective)
    there = {name for name in objectives.__all__ if issubclass(getattr(objectives, name), kinds)}
    made_of_others = {"BeamLoss", "BeamTraining", "Objective", "ParameterSearch", "WeightedSum"}
    assert there - made_of_others == {*LOSSES, *OTHERS}
