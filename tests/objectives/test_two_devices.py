"""No objective mixes what it makes on the host with what lies on a GPU."""

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
    network = small(
        kind, tokenizer.target.vocab_size, layers=1, dropout=0.0
    ).train()  # dropout has its own way on a CPU
    batch = batch_of([([5, 6, 7], [8, 9]), ([4], [10, 11, 4]), ([9, 9], [7, 5])])
    objective = OBJECTIVES[name]()
    give_text(objective, tokenizer)
    with as_on_a_gpu():
        loss = objective(network, batch, step=1)
        loss.total.backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert gradients and torch.isfinite(loss.total).all()
