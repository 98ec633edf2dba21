"""Training with the search in the loop: its mixture, its gradient, its clipping, what it refuses."""

import math

import pytest
import torch
from batches import batch_of
from networks import small
from small_beam_training import gradient, network_and_batch, objective
from topk_family import SELECTORS

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, PAD
from beamtrain.model.transformer import Transformer
from beamtrain.objectives.annealing import Annealing
from beamtrain.objectives.beam_training import BeamTraining
from beamtrain.objectives.losses.descendant_credit import DescendantCredit
from beamtrain.objectives.losses.expected_reward import ExpectedReward
from beamtrain.objectives.losses.gold_margin import GoldMargin
from beamtrain.objectives.losses.minimum_risk import MinimumRisk
from beamtrain.objectives.losses.optimal_completion import OptimalCompletion
from beamtrain.objectives.losses.optimal_transport import OptimalTransport
from beamtrain.objectives.losses.position_cross_entropy import PositionCrossEntropy
from beamtrain.objectives.losses.soft_survival import SoftSurvival
from beamtrain.objectives.losses.weighted_sum import WeightedSum
from beamtrain.objectives.mixture import gradient_by
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.objectives.rewards.linear_bleu import LinearBleu
from beamtrain.objectives.teacher_forcing import TeacherForcing
from beamtrain.search.unroll.options import UnrollOptions
from beamtrain.topk import Gumbel, RelaxedSubset, SoftTopK


class Warmer(Transformer):
    """Decodes otherwise than the class that it derives from, in both readings."""

    def decode(self, memory, target_in):
        return 0.5 * super().decode(memory, target_in)

    def step(self, inputs, state):
        return 0.5 * super().step(inputs, state)


@pytest.mark.parametrize("kind", [Transformer, Warmer])
def test_a_transformer_with_a_step_of_its_own_is_differentiated_as_it_searches(kind):
    network, batch = network_and_batch()
    network.__class__ = kind
    search = objective(
        unroll=UnrollOptions(beam_size=3, candidates=8, selection="hard", open_paths=["score_update"])
    ).search
    beams = search(network.eval(), network.encode(batch.source), batch)
    best = beams.best_tokens[:, 0]  # (B, T)
    prefix = torch.cat((torch.full_like(best[:, :1], BOS), best), dim=1)  # (B, 1 + T)
    log_probs = network.logits(network.decode(network.encode(batch.source), prefix[:, :-1])).log_softmax(-1)
    own = log_probs.gather(2, prefix[:, 1:, None]).squeeze(2).masked_fill(prefix[:, 1:] == PAD, 0.0)  # (B, T)
    torch.testing.assert_close(beams.scores[:, 0], own.sum(1), atol=1e-4, rtol=1e-4)
    found, expected = (gradient(network, scores.sum()) for scores in (beams.scores[:, 0], own))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_without_a_share_of_the_beam_it_is_teacher_forcing():
    network, batch = network_and_batch()
    network.eval()
    mixed, gold = objective(weight=0.0)(network, batch), TeacherForcing(0.1)(network, batch)
    torch.testing.assert_close(gradient(network, mixed.total), gradient(network, gold.total))


def test_the_gradient_is_that_of_the_beam_loss_until_it_is_clipped():
    network, batch = network_and_batch()
    network.eval()
    wide, narrow = objective(weight=1.0, max_gradient_norm=1e6), objective(weight=1.0, max_gradient_norm=0.01)
    mean = ExpectedReward(Gleu(2))(wide.search(network, network.encode(batch.source), batch), batch).mean()
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
    start = objective(start_step=25)
    aim = objective(
        weight=1.0, unroll=UnrollOptions(beam_size=3, candidates=8, selection=selection), max_gradient_norm=5.0
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for step in range(75):
        loss = (start if step < 25 else aim)(network, batch, step)
        losses.append(loss.figures["beam_loss"].item() / loss.weight if step >= 25 else 1.0)
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[25]
    assert network.training


@pytest.mark.parametrize("selection", ["straight_through", "hard"])
def test_without_dropout_in_the_search_its_gradient_has_none_either(selection):
    gradients = []
    for training in (True, False):
        network, batch = network_and_batch()
        network.train(training)
        loss = objective(weight=1.0, unroll=UnrollOptions(3, 8, selection))(network, batch)
        gradients.append(gradient(network, loss.total))
        assert network.training == training
    torch.testing.assert_close(*gradients)


class DroppingLogits(Transformer):
    """Drops out of what its logits are made of, where the search's gradient runs once more."""

    def logits(self, hidden):
        return super().logits(torch.nn.functional.dropout(hidden, 0.5, self.training))


@pytest.mark.parametrize("selection", ["soft", "hard"])
def test_nor_where_a_network_s_own_logits_are_recomputed(selection):
    gradients = []
    for training in (True, False):
        network, batch = network_and_batch()
        network.__class__ = DroppingLogits
        aim = objective(weight=1.0, unroll=UnrollOptions(3, 8, selection), max_gradient_norm=1e6)
        gradients.append(gradient(network.train(training), aim(network, batch).total))
    torch.testing.assert_close(*gradients)


def test_a_loss_s_own_parameters_have_its_gradient_clipped_with_the_network_s():
    class Scaled(MinimumRisk):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(2.0))

        def forward(self, *beams):
            return self.scale * super().forward(*beams)

    network, batch = network_and_batch()
    network.eval()
    gradients = []
    for gamma in (1e6, 0.1):
        aim = objective(loss=Scaled(), weight=0.5, max_gradient_norm=gamma)
        loss = aim(network, batch)
        gradient(network, loss.total / loss.weight)
        gradients.append(aim.loss.scale.grad.item())
    plain = objective(loss=MinimumRisk()).part(network, batch)[0].item()
    assert gradients[0] == pytest.approx(0.5 * plain, rel=1e-4)
    norm = loss.figures["beam_gradient_norm"].item() / loss.weight
    assert norm > plain and gradients[1] == pytest.approx(gradients[0] * 0.1 / norm, rel=1e-3)


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
        (lambda: objective(start_step=-1), "start_step is -1, but must be 0 or more"),
        (lambda: objective(operator=SoftTopK(sorted=False)), "gives no one row of weights for each rank"),
        (lambda: Annealing(1.0, 0.0, 10), "annealing's final is 0.0, but must be positive"),
        (lambda: Annealing(math.inf, 1.0, 10), "annealing's initial is inf, but must be positive and finite"),
        (lambda: WeightedSum([], []), "losses is empty; give one loss or more, and a weight for each"),
        (lambda: WeightedSum([MinimumRisk()], [1.0, 2.0]), "weights has 2 numbers for 1 losses"),
        (lambda: WeightedSum([MinimumRisk()], [math.nan]), "weights has nan; each must be a finite number"),
        (lambda: OptimalCompletion("each"), "target is 'each'; it must be uniform or any"),
        (lambda: GoldMargin(margin=-1.0), "margin is -1.0, but must be 0 or more"),
        (lambda: GoldMargin(margin=math.inf), "margin is inf, but must be 0 or more, and finite"),
        (lambda: objective(margin=-1), "margin is -1, but must be 0 or more"),
        (lambda: objective(max_gradient_norm=0), "max_gradient_norm is 0, but must be positive"),
        (lambda: Gleu(order=0), "order is 0, but n-grams have at least 1 token"),
        (lambda: ExpectedReward(sharpness=0.0), "sharpness is 0.0, but must be positive"),
        (lambda: LinearBleu(precision=0.0), "precision is 0.0, but must be above 0 and at most 1"),
        (lambda: LinearBleu(decay=1.5), "decay is 1.5, but must be above 0 and at most 1"),
        (lambda: LinearBleu(length_cost=-1.0), "length_cost is -1.0, but must be 0 or more"),
        (lambda: LinearBleu(length_cost=math.nan), "length_cost is nan, but must be 0 or more, and finite"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_gradient_whose_norm_overflows_is_not_taken_for_none():
    """Training skips the step, and counts it."""
    network, batch = small("transformer", 12, layers=1), batch_of([([5, 6, 7], [8, 9]), ([4], [10, 11, 4])])
    loss = objective(loss=SoftSurvival(temperature=1e-30), unroll=UnrollOptions(2, 8, "hard"))(network, batch)
    loss.total.backward()
    assert not all(each.grad.isfinite().all() for each in network.parameters())


@pytest.mark.parametrize("selection", ["hard", "straight_through", "soft"])
@pytest.mark.parametrize(
    "loss",
    [
        ExpectedReward(),
        MinimumRisk(),
        OptimalTransport(),
        PositionCrossEntropy(),
        DescendantCredit(),
        SoftSurvival("reference"),
        WeightedSum([MinimumRisk(), MinimumRisk(LinearBleu())], [1.0, 0.5]),
        WeightedSum([MinimumRisk(), ExpectedReward()], [1.0, 1.0]),
        WeightedSum([MinimumRisk(), PositionCrossEntropy()], [1.0, 1.0]),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_one_beam_is_refused_where_it_would_have_no_gradient(loss, selection):
    if loss.reads_hard_prefixes and selection == "soft":
        return
    aim = objective(loss=loss, unroll=UnrollOptions(2, 8, selection), margin=2)
    aim.unroll = UnrollOptions(1, 8, selection)
    network, batch = small("transformer", 12, layers=1).double(), batch_of([([5, 6, 7], [8, 9]), ([4], [10, 11, 4])])
    mean, _ = aim.part(network, batch)
    gradient = max(each.abs().max().item() for each in gradient_by(list(network.parameters()), mean))
    if gradient > 1e-12:
        BeamTraining(loss, unroll=aim.unroll)
    else:
        with pytest.raises(
            UserError, match=r"unroll\.beam_size is 1, and .* learns which of several beams is the better"
        ):
            BeamTraining(loss, unroll=aim.unroll)


def test_the_best_of_one_beam_is_refused():
    """It is what the network says, whatever its reward."""
    with pytest.raises(UserError, match=r"unroll\.beam_size is 1, and SoftSurvival learns which of several beams"):
        BeamTraining(SoftSurvival(), unroll=UnrollOptions(1, 8))


def test_before_its_start_step_it_is_teacher_forcing():
    network, batch = network_and_batch()
    network.eval()
    aim = objective(start_step=3)
    assert aim(network, batch, step=2).figures.keys() == {"nll"}
    assert "beam_loss" in aim(network, batch, step=3).figures
    assert not aim.needs_trained_network
    assert objective().needs_trained_network


def test_the_temperature_falls_geometrically_from_the_start_step_on():
    network, batch = network_and_batch()
    aim = objective(start_step=2, annealing=Annealing(1.0, 0.01, 10))
    seen = []
    for step in (2, 7, 12, 30):
        aim(network, batch, step)
        seen.append(aim.operator.temperature)
    assert seen == pytest.approx([1.0, 0.1, 0.01, 0.01])


def test_what_is_logged():
    network, batch = network_and_batch()
    loss = objective(max_gradient_norm=0.01)(network, batch)
    figures = {name: value.item() / loss.weight for name, value in loss.figures.items()}
    assert 0 < figures["sharpness"] < 1
    for share in ("reward", "agreement", "recombined"):
        assert 0 <= figures[share] <= 1
    assert figures["pruned"] >= 0
    assert figures["gold_gradient_norm"] > 0
    assert -1 <= figures["gradient_cosine"] <= 1


def test_an_operator_that_draws_draws_anew_and_repeats_with_the_seed():
    network, batch = network_and_batch()
    aim = objective(operator=Gumbel(RelaxedSubset(0.5, None)), unroll=UnrollOptions(3, 8, "soft"))

    def loss(seed):
        torch.manual_seed(seed)
        return aim(network.eval(), batch).figures["beam_loss"].item()

    assert loss(1) == loss(1) != loss(2)


ORDERED = [name for name, maker in SELECTORS.items() if {"order", "gradient"} <= maker(0.5, None).gives]


@pytest.mark.parametrize("name", ORDERED)
@pytest.mark.parametrize("selection", ["soft", "straight_through"])
def test_every_operator_that_gives_an_order_can_be_the_search_s(name, selection):
    network, batch = network_and_batch()
    network.eval()
    aim = objective(operator=SELECTORS[name](0.5, None), unroll=UnrollOptions(3, 8, selection))
    loss = aim(network, batch)
    found = gradient(network, loss.total / loss.weight)
    assert found.isfinite().all() and found.norm() > 0
    assert loss.figures["beam_gradient_norm"] > 0


@pytest.mark.parametrize("selection", ["soft", "straight_through", "hard"])
def test_weights_that_are_no_numbers_make_a_loss_that_is_none(selection):
    """By which the training loop knows the step: it is skipped, not a crash."""
    network, batch = network_and_batch()
    with torch.no_grad():
        network.decoder_norm.bias.fill_(math.nan)
    assert not objective(unroll=UnrollOptions(3, 8, selection))(network, batch).total.isfinite()
