"""The gradient that is shown, against what the loss does when a score is moved; and the search that is shown."""

import pytest
import torch
from batches import batch_of
from networks import small

from beamtrain import objectives
from beamtrain.base.errors import UserError
from beamtrain.inspecting import recording
from beamtrain.inspecting.searches import LookedAt, searches
from beamtrain.objectives import (
    BeamLoss,
    BeamTraining,
    ExpectedReward,
    MinimumRisk,
    PositionCrossEntropy,
    SoftSurvival,
    TeacherForcing,
    WeightedSum,
)
from beamtrain.search.unroll.options import UnrollOptions
from beamtrain.topk import Gumbel, NeuralSort, SoftTopK

V = 9
BATCH = batch_of([([4, 5, 6], [5, 6, 4, 7])])
ALL = ("score_update", "accumulated_score", "embeddings", "ancestry")


def looked_at(options, operator, loss):
    return LookedAt("soft", options, operator, loss, loss_of_run=True, margin=1)


def recorded(network, search, monkeypatch=None, moved=None):
    """The recording; `moved` = (step, candidate, by how much, whether for the operator alone)."""
    if moved is not None:
        monkeypatch.setattr(recording, "RecordingChain", lambda count, chosen, like: Moving(count, chosen, like, moved))
    memory = network.encode(BATCH.source)
    return recording.record(network, memory, BATCH, search)


class Moving(recording.RecordingChain):
    """A chain in which one candidate of one step has another score."""

    def __init__(self, sentences, search, like, moved):
        super().__init__(sentences, search, like)
        self._step, self._candidate, self._by, self._choice_alone = moved

    def _moved(self, values):
        values = values.clone()
        values[0, self._candidate] += self._by
        return values

    def advance(self, candidates, log_probs, of_reference=None, *others):
        if self.position == self._step and not self._choice_alone:
            log_probs = self._moved(log_probs)
            if of_reference is not None:  # the same prediction
                slot, token = candidates.parents[0, self._candidate], candidates.tokens[0, self._candidate]
                moved = of_reference[0, slot] + self._by * (BATCH.target_out[0] == token)
                of_reference = of_reference.index_put((torch.tensor(0), slot), moved)
        return super().advance(candidates, log_probs, of_reference, *others)

    def solve(self, scores):
        mine = self.position == self._step and self._choice_alone
        return super().solve(self._moved(scores) if mine else scores)


@pytest.mark.parametrize(
    ("kind", "loss", "operator"),
    [
        ("transformer", ExpectedReward(), SoftTopK(0.7, candidates=None)),
        ("gru", ExpectedReward(), SoftTopK(0.7, candidates=None)),
        ("transformer", PositionCrossEntropy(), NeuralSort(0.9)),
    ],
)
def test_the_gradient_is_what_the_loss_does_when_a_score_moves(kind, loss, operator, monkeypatch):
    network = small(kind, V, seed=2).double()
    search = looked_at(UnrollOptions(3, 7, "soft", ALL), operator, loss)
    found = recorded(network, search)
    assert max(float(each.abs().max()) for each in found.of_choices) > 1e-4
    for step, candidate in ((0, 1), (2, 3)):
        for gradients, choice_alone in ((found.gradients, False), (found.of_choices, True)):
            losses = []
            for by in (1e-6, -1e-6):
                with monkeypatch.context() as patch:
                    losses.append(recorded(network, search, patch, (step, candidate, by, choice_alone)).loss)
            slope = float(losses[0] - losses[1]) / 2e-6
            assert float(gradients[step][0, candidate]) == pytest.approx(slope, rel=1e-4, abs=1e-8)


def test_a_hard_choice_and_minimum_risk_have_no_gradient_through_choices():
    network = small("transformer", V)
    for options, operator in (
        (UnrollOptions(3, 7, "hard"), None),
        (UnrollOptions(3, 7, "straight_through"), SoftTopK(0.7)),
    ):
        found = recorded(network, looked_at(options, operator, MinimumRisk()))
        assert not any(bool(each.any()) for each in found.of_choices)
        assert any(bool(each.any()) for each in found.gradients)


def test_an_operator_that_draws_draws_the_same_and_leaves_the_generator_alone():
    network = small("gru", V)
    search = looked_at(UnrollOptions(3, 7, "soft", ALL), Gumbel(SoftTopK(0.7)), ExpectedReward())
    before = torch.get_rng_state()
    first, second = (recorded(network, search) for _ in range(2))
    assert torch.equal(first.loss, second.loss)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_searches_are_the_hard_one_the_runs_own_and_soft_ones():
    unroll = UnrollOptions(5, 16, "soft", ("embeddings",), window=3, snapping=0.25, noise=0.5)
    own = BeamTraining(MinimumRisk(), unroll=unroll, operator=NeuralSort(0.3))
    hard, trained, *soft = searches(own, temperatures=(0.1, 1.0))
    assert (hard.kind, hard.options, hard.operator) == ("hard", UnrollOptions(5, 16, "hard"), None)
    assert (trained.options, trained.operator) == (own.unroll, own.operator)
    assert [(str(each.operator), each.operator.temperature) for each in soft] == [
        ("NeuralSort", 0.1),
        ("NeuralSort", 1.0),
    ]
    assert {each.options for each in soft} == {UnrollOptions(5, 16, "soft", ALL)}
    assert own.operator.temperature == 0.3, "it is the run's"
    assert all(each.loss is own.loss and each.loss_of_run for each in (hard, trained, *soft))
    assert not any(each.loss_of_run for each in searches(TeacherForcing()))
    assert [each.kind for each in searches(TeacherForcing(), temperatures=(0.5,), beam_size=40)] == ["hard", "soft"]


@pytest.mark.parametrize("selection", ["hard", "straight_through"])
def test_a_loss_that_asks_what_stays_in_the_beam_reads_hard_searches_alone(selection):
    own = BeamTraining(SoftSurvival(), unroll=UnrollOptions(3, 7, selection))
    hard, trained, soft = searches(own, temperatures=(0.5,))
    assert [type(each.loss).__name__ for each in (hard, trained, soft)] == ["SoftSurvival"] * 2 + ["ExpectedReward"]
    assert [each.loss_of_run for each in (hard, trained, soft)] == [True, True, False]
    network = small("transformer", V)
    for search in (hard, trained, soft):
        assert any(bool(each.any()) for each in recorded(network, search).gradients)
    with pytest.raises(UserError, match="as many as there are beams"):
        searches(own, beam_size=7)


LOSSES = [each for each in map(vars(objectives).get, objectives.__all__)
          if isinstance(each, type) and issubclass(each, BeamLoss) and each not in (BeamLoss, WeightedSum)]  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
def test_any_loss_can_be_looked_at(loss):
    own = BeamTraining(loss(), unroll=UnrollOptions(3, 7, "straight_through", ALL))
    network, pushed = small("transformer", V, seed=2), []
    for search in searches(own, temperatures=(0.7,)):
        found = recorded(network, search)
        assert bool(found.loss.isfinite().all()) and all(bool(each.isfinite().all()) for each in found.gradients)
        pushed.append(any(bool(each.any()) for each in found.gradients))
    assert sum(pushed) >= 2, "a hard bag has no gradient, nor has a soft risk whose beams all say the same"


@pytest.mark.parametrize("kind", ["transformer", "gru"])
@pytest.mark.parametrize("undecided", [None, 0.5])
def test_the_search_that_is_shown_is_the_one_of_training(kind, undecided):
    network, options = small(kind, V, seed=2).double().eval(), UnrollOptions(3, 7, undecided=undecided)
    objective = BeamTraining(ExpectedReward(), unroll=options, operator=SoftTopK(0.7, candidates=None), margin=1)
    trained = objective.search(network, network.encode(BATCH.source), BATCH)
    shown = recorded(network, looked_at(options, objective.operator, objective.loss)).beams
    torch.testing.assert_close(shown.matrices, trained.matrices)
    torch.testing.assert_close(shown.candidate_scores, trained.candidate_scores)
