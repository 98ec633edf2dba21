"""Aligned cross-entropy, optimal transport and the bag of tokens, against their formulas; the same on gold prefixes."""

import math
from dataclasses import replace
from functools import cache
from itertools import permutations

import pytest
import torch
from batches import batch_of
from certain_beams import hard_beams
from networks import each_network, small
from torch.nn.functional import pad

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import EOS
from beamtrain.objectives.beam_training import BeamTraining
from beamtrain.objectives.losses.aligned_cross_entropy import AlignedCrossEntropy, aligned_cost
from beamtrain.objectives.losses.bag_of_tokens import BagOfTokens
from beamtrain.objectives.losses.expected_reward import ExpectedReward
from beamtrain.objectives.losses.first_beam import FirstBeam
from beamtrain.objectives.losses.minimum_risk import MinimumRisk
from beamtrain.objectives.losses.optimal_transport import OptimalTransport, entropic_transport
from beamtrain.objectives.losses.position_cross_entropy import PositionCrossEntropy
from beamtrain.objectives.losses.weighted_sum import WeightedSum
from beamtrain.objectives.soft_teacher_forcing import SoftTeacherForcing
from beamtrain.objectives.teacher_forcing import TeacherForcing
from beamtrain.search.unroll.options import UnrollOptions
from beamtrain.search.unroll.token_vectors import with_vectors

V = 12
PAIRS = [([5, 6, 7], [8, 9]), ([4], [10, 11, 4]), ([9, 9], [7, 5, 7, 5, 7]), ([8, 7, 6], [])]


def random_first_beam(T=5, U=4, seed=0, ended=1):
    """Two sentences, of which the second ends early, with some mass that had ended before."""
    generator = torch.Generator().manual_seed(seed)
    log_probs = (torch.randn(2, T, U + 3, generator=generator, dtype=torch.float64) * 2).log_softmax(-1)[..., :U]
    going = torch.ones(2, T, dtype=torch.float64)
    going[1, T - ended - 1] = 0.4
    going[1, T - ended :] = 0
    says = going > 0
    return FirstBeam(log_probs.masked_fill(~says.unsqueeze(2), 0.0), says, going)


@pytest.mark.parametrize("skip, skip_token", [(3.0, 1.0), (0.5, 2.0), (6.0, 0.3)])
@pytest.mark.parametrize("seed", range(3))
def test_the_aligned_cost_is_the_least_of_the_dynamic_program(skip, skip_token, seed):
    first = random_first_beam(seed=seed)

    def by_hand(b):
        costs, going = (-first.log_probs[b]).tolist(), first.going[b].tolist()

        @cache
        def least(u, t):  # the first u tokens by the first t positions
            if t == 0:
                return skip_token * sum(costs[0][:u])
            ways = [least(u, t - 1) + skip * going[t - 1]]
            if u and going[t - 1] > 0:
                ways += [least(u - 1, t - 1) + costs[t - 1][u - 1], least(u - 1, t) + skip_token * costs[t - 1][u - 1]]
            return min(ways)

        return [least(u, len(costs)) for u in range(len(costs[0]) + 1)]

    expected = torch.tensor([by_hand(0), by_hand(1)], dtype=torch.float64)
    torch.testing.assert_close(aligned_cost(first, skip, skip_token), expected)


def test_gradcheck_of_the_aligned_cost():
    first = random_first_beam()
    log_probs = first.log_probs.clone().requires_grad_()
    going = first.going.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, y: aligned_cost(first._replace(log_probs=x, going=y), 2.0, 1.0)[:, -1], (log_probs, going)
    )


def saying(words, reference, T, certain=0.9):
    """Beams whose first says these words almost for certain, with the reference's probabilities at each position."""
    beams, gold = hard_beams([words, words], T), batch_of([([4], reference)])
    of_reference = torch.full((1, T, 2, gold.target_out.size(1)), math.log((1 - certain) / V))
    for t, word in enumerate([*words, EOS]):
        of_reference[0, t, :, gold.target_out[0] == word] = math.log(certain)
    return replace(beams, reference_log_probs=of_reference), gold


def test_a_shift_by_a_word_costs_a_skip_and_not_every_word_after_it():
    reference = [4, 5, 6, 7, 8, 9]
    right, shifted, other = ([*reference], [11, *reference], [11, 10, 11, 10, 11, 10])
    values = {
        loss: [loss(*saying(words, reference, T=8)).item() for words in (right, shifted, other)]
        for loss in (AlignedCrossEntropy(), PositionCrossEntropy(), BagOfTokens())
    }
    aligned, by_position, bag = values.values()
    assert aligned[1] - aligned[0] == pytest.approx(3.0 / 7, rel=1e-4)
    assert by_position[1] > by_position[0] + 3.0
    assert aligned[2] > 1.0 and bag[2] > bag[1] > bag[0]


def test_the_order_of_words_is_nothing_to_a_bag_and_their_repetition_no_gain():
    loss, reference = BagOfTokens(), [4, 5, 6]
    straight, turned, again = (
        loss(*saying(words, reference, T=8)).item() for words in ([4, 5, 6], [6, 4, 5], [4, 5, 6, 4, 5, 6])
    )
    assert turned == pytest.approx(straight, rel=1e-5)
    assert abs(again - straight) < 0.35 * straight


@pytest.mark.parametrize("certain", [0.3, 0.9, 0.999999])
def test_the_bag_of_tokens_is_its_formula(certain):
    beams, batch = saying([4, 5, 4, 9], [4, 6, 4], T=6, certain=certain)
    p = beams.reference_log_probs[0, :5, 0].double().exp()  # (5, U) of 4, 6, 4, EOS; the sixth position is over
    columns = {4: p[:, 0], 6: p[:, 1], EOS: p[:, 3]}
    never = {word: (1 - column).prod().item() for word, column in columns.items()}
    right = sum(q / (1 - q) for q in never.values())
    wrong = 5 - sum(column.sum().item() for column in columns.values())
    expected = math.log(1 + max(wrong, 0)) + math.log(1 + right)
    assert BagOfTokens()(beams, batch).item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("loss", [AlignedCrossEntropy(), BagOfTokens()])
@pytest.mark.parametrize("extreme", [-200.0, 0.0])
def test_probabilities_of_nothing_and_of_all_have_finite_gradients(loss, extreme):
    beams, batch = saying([4, 5], [4, 6], T=4)
    log_probs = torch.full_like(beams.reference_log_probs, extreme).requires_grad_()
    value = loss(replace(beams, reference_log_probs=log_probs), batch)
    (found,) = torch.autograd.grad(value.sum(), log_probs)
    assert value.isfinite().all() and found.isfinite().all()
    assert extreme == 0 or found.abs().sum() > 0


def test_as_the_temperature_falls_the_transport_is_the_best_assignment():
    cost = torch.rand(1, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    masses = torch.full((1, 5), 0.2, dtype=torch.float64)
    best = min(sum(cost[0, i, j].item() for i, j in enumerate(order)) / 5 for order in permutations(range(5)))
    assert entropic_transport(cost, masses, masses, 0.003, 3000).item() == pytest.approx(best, abs=0.01)


def test_gradcheck_of_the_transport_by_its_cost_and_masses():
    generator = torch.Generator().manual_seed(1)
    cost = torch.rand(2, 4, 3, generator=generator, dtype=torch.float64).requires_grad_()
    logits = torch.rand(2, 4, generator=generator, dtype=torch.float64).requires_grad_()
    columns = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64)

    def transported(cost, logits):
        return entropic_transport(cost, logits.softmax(-1), columns, 0.5, 100)

    assert torch.autograd.gradcheck(transported, (cost, logits))


def with_table(beams, batch, D=8):
    table = torch.randn(V, D, generator=torch.Generator().manual_seed(2))
    return replace(beams, vectors=beams.weights @ table[beams.tokens], reference_vectors=table[batch.target_out]), batch


def test_a_hypothesis_is_nearest_to_itself_and_without_positions_its_order_is_nothing():
    reference = [4, 5, 6, 7]
    loss, ordered = OptimalTransport(temperature=0.02, iterations=500), OptimalTransport(0.02, 1.0, 500)
    said = ([4, 5, 6, 7], [7, 6, 5, 4], [4, 5, 10, 11])
    free, placed = ([each(*with_table(*saying(w, reference, T=6))).item() for w in said] for each in (loss, ordered))
    assert free[0] == pytest.approx(0.02 * math.log(5), rel=0.05)  # the entropy of the plan; no cost
    assert free[1] == pytest.approx(free[0], rel=1e-3) and free[2] > free[0] + 0.1
    assert placed[0] < placed[1]


def flat_gradient(network, value):
    found = torch.autograd.grad(value, list(network.parameters()), allow_unused=True)
    return torch.cat(
        [(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(network.parameters(), found, strict=True)]
    )


def test_the_transport_moves_the_choices_and_not_the_table():
    network, batch = small("transformer", V, layers=1).double(), batch_of(PAIRS)
    seen = {}
    for selection in ("straight_through", "hard"):
        aim = BeamTraining(OptimalTransport(), unroll=UnrollOptions(3, 8, selection))
        beams = aim.search(network, network.encode(batch.source), batch)
        assert beams.vectors is None
        seen[selection] = flat_gradient(network, aim.part(network, batch)[0])
    assert not torch.allclose(seen["straight_through"], seen["hard"])


def test_the_order_of_the_final_beams_is_nothing_to_the_transport():
    network, batch = small("transformer", V, layers=1).double(), batch_of(PAIRS)
    aim = BeamTraining(OptimalTransport(), unroll=UnrollOptions(3, 8))
    beams = with_vectors(aim.search(network, network.encode(batch.source), batch), network, batch.target_out)
    order = torch.tensor([2, 0, 1])
    moved = replace(
        beams, weights=beams.weights[:, :, order], scores=beams.scores[:, order], vectors=beams.vectors[:, :, order]
    )
    torch.testing.assert_close(aim.loss(moved, batch), aim.loss(beams, batch))
    many = replace(beams, weights=pad(beams.weights, (0, V)), tokens=pad(beams.tokens, (0, V)))
    torch.testing.assert_close(with_vectors(many, network, batch.target_out).vectors, beams.vectors)


@each_network
def test_after_gold_prefixes_position_cross_entropy_is_likelihood(kind):
    network, batch = small(kind, V, layers=1).double(), batch_of(PAIRS)
    found = SoftTeacherForcing(PositionCrossEntropy()).part(network, batch)[0]
    sums = [TeacherForcing(0.0)(network, batch_of([pair])) for pair in PAIRS]
    expected = sum(each.total / each.weight for each in sums) / len(PAIRS)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(flat_gradient(network, found), flat_gradient(network, expected))


@pytest.mark.parametrize(
    "loss",
    [AlignedCrossEntropy(), OptimalTransport(), BagOfTokens(), ExpectedReward()],
    ids=["aligned", "transport", "bag", "reward"],
)
@each_network
def test_after_gold_prefixes_a_sentence_s_loss_is_its_own(kind, loss):
    network = small(kind, V, layers=1).double()
    aim = SoftTeacherForcing(loss, candidates=6)
    together = aim.part(network, batch_of(PAIRS))[0] * len(PAIRS)
    alone = sum(aim.part(network, batch_of([pair]))[0] for pair in PAIRS)
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(flat_gradient(network, together), flat_gradient(network, alone))


@pytest.mark.parametrize("loss", [AlignedCrossEntropy(), OptimalTransport(), BagOfTokens()])
def test_after_gold_prefixes_each_falls_from_random_weights(loss):
    network, batch = small("transformer", V, layers=1), batch_of(PAIRS)
    aim = SoftTeacherForcing(loss, weight=1.0, max_gradient_norm=5.0)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    values = []
    for _ in range(30):
        found = aim(network, batch)
        values.append(found.figures["soft_loss"].item() / found.weight)
        optimizer.zero_grad()
        (found.total / found.weight).backward()
        optimizer.step()
    assert values[-1] < 0.8 * values[0] and not aim.needs_trained_network


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: AlignedCrossEntropy(skip=0.0), "skip is 0.0, but must be positive"),
        (lambda: AlignedCrossEntropy(skip_token=-1.0), "skip_token is -1.0, but must be positive"),
        (lambda: AlignedCrossEntropy(skip=math.inf), "skip is inf, but must be positive and finite"),
        (lambda: OptimalTransport(temperature=0.0), "temperature is 0.0, but must be positive and finite"),
        (lambda: OptimalTransport(position=-1.0), "position is -1.0, but must be 0 or more"),
        (lambda: OptimalTransport(iterations=0), "iterations is 0; Sinkhorn's algorithm needs at least 1"),
        (lambda: SoftTeacherForcing(MinimumRisk()), "MinimumRisk asks what a search chose"),
        (
            lambda: SoftTeacherForcing(WeightedSum([BagOfTokens(), MinimumRisk()], [1.0, 1.0])),
            "WeightedSum asks what a search chose",
        ),
        (lambda: SoftTeacherForcing(BagOfTokens(), candidates=1), "candidates is 1; it must be 2 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
