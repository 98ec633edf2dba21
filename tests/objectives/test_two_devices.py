"""No objective mixes what it makes on the host with what lies on a GPU."""

from contextlib import nullcontext

import pytest
import torch
from batches import batch_of
from networks import small
from two_devices import as_on_a_gpu

from beamtrain.objectives import (
    AlignedCrossEntropy,
    BagOfTokens,
    BeamTraining,
    DescendantCredit,
    ExpectedReward,
    GoldMargin,
    GoldShare,
    GumbelGreedy,
    LinearBleu,
    MinimumRisk,
    OptimalCompletion,
    OptimalTransport,
    ParameterSearch,
    PositionCrossEntropy,
    SampledRisk,
    ScheduledSampling,
    SelfCritical,
    SentenceChrf,
    SoftSurvival,
    SoftTeacherForcing,
    TeacherForcing,
)
from beamtrain.objectives.rewards.text_reward import give_text
from beamtrain.search.unroll.options import UnrollOptions


def with_beam(loss, **unroll):
    return BeamTraining(loss, unroll=UnrollOptions(beam_size=3, candidates=8, **unroll))


OBJECTIVES = {
    "teacher forcing": lambda: TeacherForcing(0.1),
    "expected GLEU": lambda: with_beam(ExpectedReward()),
    "expected linear BLEU": lambda: with_beam(ExpectedReward(LinearBleu())),
    "the paper's": lambda: with_beam(
        PositionCrossEntropy(),
        selection="soft",
        open_paths=("embeddings", "ancestry", "accumulated_score", "score_update"),
    ),
    "a window": lambda: with_beam(ExpectedReward(), open_paths=("embeddings",), window=2),
    "minimum risk": lambda: with_beam(MinimumRisk(), selection="hard"),
    "minimum risk, the text's chrF": lambda: with_beam(MinimumRisk(SentenceChrf()), selection="hard"),
    **{
        loss.__name__: lambda loss=loss: with_beam(loss(), selection="hard")
        for loss in (
            AlignedCrossEntropy,
            BagOfTokens,
            DescendantCredit,
            GoldMargin,
            OptimalCompletion,
            OptimalTransport,
            SoftSurvival,
        )
    },
    "gold prefixes, optimal transport": lambda: SoftTeacherForcing(OptimalTransport()),
    "gold prefixes, aligned cross-entropy": lambda: SoftTeacherForcing(AlignedCrossEntropy()),
    "risk of samples": SampledRisk,
    "self-critical": SelfCritical,
    "Gumbel-greedy": GumbelGreedy,
    "scheduled sampling": lambda: ScheduledSampling(GoldShare("linear", half=1)),
    "scheduled sampling, expected": lambda: ScheduledSampling(GoldShare("linear", half=1), "expected"),
    "parameter search": ParameterSearch,
    "parameter search, no prior": lambda: ParameterSearch(prior="zero"),
}


@pytest.mark.parametrize("kind", ["transformer", "gru"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_runs_where_the_network_lies_on_a_gpu(name, kind, tokenizer):
    found, gradient = step(name, kind, tokenizer, as_on_a_gpu())
    expected, expected_gradient = step(name, kind, tokenizer, nullcontext())
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-4, rtol=1e-3)
    assert expected_gradient.abs().max() > 0


def step(name, kind, tokenizer, device):
    """The loss, and its gradient by all parameters."""
    network = small(kind, tokenizer.target.vocab_size, layers=1, dropout=0.0).train()  # it has its own way on a CPU
    batch = batch_of([([5, 6, 7], [8, 9]), ([4], [10, 11, 4]), ([9, 9], [7, 5])])
    objective = OBJECTIVES[name]()
    give_text(objective, tokenizer)
    torch.manual_seed(1)
    with device:
        loss = objective(network, batch, step=1).total
        loss.backward()
    gradients = [parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None]
    return loss.detach(), torch.cat(gradients)
