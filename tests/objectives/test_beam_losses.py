"""The losses of a search: against searches by hand, and against their slope."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from batches import batch_of
from certain_beams import counted_gleu, hard_beams
from hypothesis import given, settings
from hypothesis import strategies as st
from small_beam_training import gradient, network_and_batch, objective

from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.objectives.losses.aligned_cross_entropy import AlignedCrossEntropy
from beamtrain.objectives.losses.bag_of_tokens import BagOfTokens
from beamtrain.objectives.losses.descendant_credit import DescendantCredit
from beamtrain.objectives.losses.expected_reward import ExpectedReward
from beamtrain.objectives.losses.gold_margin import GoldMargin
from beamtrain.objectives.losses.minimum_risk import MinimumRisk
from beamtrain.objectives.losses.optimal_completion import OptimalCompletion, optimal_next
from beamtrain.objectives.losses.optimal_transport import OptimalTransport
from beamtrain.objectives.losses.position_cross_entropy import PositionCrossEntropy
from beamtrain.objectives.losses.soft_survival import SoftSurvival
from beamtrain.objectives.losses.weighted_sum import WeightedSum
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.objectives.rewards.linear_bleu import LinearBleu
from beamtrain.search.unroll.options import UnrollOptions


def searched(loss, K=3, selection="hard", dtype=torch.float64):
    network, batch = network_and_batch()
    network = network.to(dtype).eval()
    aim = objective(loss=loss, unroll=UnrollOptions(K, 8, selection))
    return network, batch, aim.search(network, network.encode(batch.source), batch)


@pytest.mark.parametrize("loss", [MinimumRisk(), MinimumRisk(LinearBleu())])
def test_minimum_risk_gives_the_choices_no_gradient(loss):
    network, batch = network_and_batch()
    network.double().eval()
    by_selection = [
        gradient(network, objective(loss=loss, unroll=UnrollOptions(3, 8, selection)).part(network, batch)[0])
        for selection in ("straight_through", "hard")
    ]
    assert torch.equal(*by_selection) and by_selection[0].norm() > 0


@pytest.mark.parametrize(
    "loss, selection",
    [
        *product(
            [
                ExpectedReward(),
                PositionCrossEntropy(),
                OptimalCompletion(),
                GoldMargin(),
                AlignedCrossEntropy(),
                OptimalTransport(),
                BagOfTokens(),
            ],
            ["soft", "straight_through", "hard"],
        ),
        *product([SoftSurvival(), SoftSurvival("reference", "put_back"), DescendantCredit()], ["hard"]),
    ],
)
def test_a_reference_without_a_word_has_one_hypothesis(loss, selection):
    network, _ = network_and_batch()
    aim = objective(loss=loss, unroll=UnrollOptions(4, 8, selection), margin=0)
    found = aim(network.eval(), batch_of([([5, 6], []), ([4], [5, 6, 7])]))
    assert all(figure.isfinite() for figure in (found.total, *found.figures.values()))
    assert gradient(network, found.total).isfinite().all()


def test_minimum_risk_is_the_expected_loss_of_the_final_beams():
    loss = MinimumRisk(Gleu(2))
    _, batch, beams = searched(loss)
    normalised = beams.scores / ((5 + beams.lengths) / 6)
    expected = []
    for b, reference in enumerate(batch.target_out.tolist()):
        gold = [token for token in reference if token not in (EOS, PAD)]
        said = [[token for token in row if token not in (EOS, PAD)] for row in beams.best_tokens[b].tolist()]
        share = (normalised[b] / 0.3).softmax(-1).tolist()
        expected.append(sum(w * (1 - counted_gleu(s, gold, 2)) for w, s in zip(share, said, strict=True)))
    assert loss(beams, batch).tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.allclose(Gleu(2).hard(beams, batch), Gleu(2).soft(beams, batch))


def of_prefix(network, source, prefix):
    """Next-token log-probabilities after a prefix, by an uncached pass."""
    hidden = network.decode(network.encode(source), torch.tensor([[BOS, *prefix]]))
    return network.logits(hidden)[0, -1].log_softmax(-1)


def test_position_cross_entropy_asks_the_search_s_own_prefixes_for_the_gold_tokens():
    loss = PositionCrossEntropy()
    network, batch, beams = searched(loss, K=1)
    for b, reference in enumerate(batch.target_out.tolist()):
        gold = [token for token in reference if token != PAD]
        said = beams.best_tokens[b, 0].tolist()
        if EOS in said[: len(gold) - 1]:
            continue  # after its end the network's input is PAD
        wanted = -sum(of_prefix(network, batch.source[b : b + 1], said[:t])[g] for t, g in enumerate(gold)) / len(gold)
        assert loss(beams, batch)[b].item() == pytest.approx(wanted.item(), rel=1e-6)


def edit_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (x != y)))
        row = new
    return row[-1]


def closest(prefix, reference, words, longest):
    """The least edit distance to the reference of any sentence that begins with `prefix`."""
    best, frontier = edit_distance(prefix, reference), [prefix]
    for _ in range(longest):
        frontier = [[*each, word] for each in frontier for word in words]
        best = min([best, *(edit_distance(each, reference) for each in frontier)])
    return best


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(4, 6), min_size=0, max_size=4), st.lists(st.integers(4, 6), min_size=1, max_size=4))
def test_optimal_next_tokens_are_those_that_keep_the_least_distance_in_reach(prefix, reference):
    beams = hard_beams([prefix], T=6)
    t, words = len(prefix), [4, 5, 6]
    gold = torch.tensor([[*reference, EOS, PAD]])
    marked = optimal_next(beams, gold)[0, t, 0]
    found = [gold[0, u].item() for u in range(gold.size(1)) if marked[u]]
    least = closest(prefix, reference, words, 4)
    expected = {w for w in words if closest([*prefix, w], reference, words, 4) == least}
    if edit_distance(prefix, reference) == least:
        expected.add(EOS)
    assert set(found) == expected & {*reference, EOS}
    assert set(found) and len(found) == len(set(found))


@pytest.mark.parametrize("selection", ["straight_through", "hard"])
@pytest.mark.parametrize("target", ["uniform", "any"])
@pytest.mark.parametrize("K", [1, 4])
def test_optimal_completion_is_the_mean_over_open_slots(target, K, selection):
    """Slot r goes on with candidate r, whatever the operator's own matrix has most of."""
    loss = OptimalCompletion(target)
    network, batch, beams = searched(loss, K, selection)
    values = loss(beams, batch)
    for b, padded in enumerate(batch.target_out.tolist()):
        reference, prefixes, terms = [token for token in padded if token != PAD], [[] for _ in range(K)], []
        for t in range(beams.tokens.size(1)):
            for prefix in (prefixes[slot] for slot in range(K) if beams.open[b, t, slot]):
                log_probs = of_prefix(network, batch.source[b : b + 1], prefix)
                distances = [edit_distance(prefix, reference[:u]) for u in range(len(reference))]
                optimal = {reference[u] for u, each in enumerate(distances) if each == min(distances)}
                chosen = [log_probs[token].item() for token in optimal]
                of_any = math.log(sum(map(math.exp, chosen)))
                terms.append(-of_any if target == "any" else -sum(chosen) / len(chosen))
            chosen = zip(beams.parents[b, t, :K].tolist(), beams.tokens[b, t, :K].tolist(), strict=True)
            prefixes = [[*prefixes[parent], token] for parent, token in chosen]
        assert values[b].item() == pytest.approx(sum(terms) / len(terms), rel=1e-6)


@pytest.mark.parametrize("K", [1, 2, 3])
def test_the_gold_margin_is_that_of_a_search_by_hand(K):
    loss = GoldMargin(margin=1.0)
    network, batch, beams = searched(loss, K)
    gold = torch.zeros_like(batch.target_out, dtype=torch.float64)
    expected = []
    for b, reference in enumerate(batch.target_out.tolist()):
        tokens = [token for token in reference if token != PAD]
        total, sofar = 0.0, 0.0
        for t, token in enumerate(tokens):
            gold[b, t] = of_prefix(network, batch.source[b : b + 1], tokens[:t])[token]
            sofar += gold[b, t].item()
            scores = beams.slot_scores[b, t].tolist()
            others = [score for score in scores if score != pytest.approx(sofar, abs=1e-9)]
            if others:
                total += max(0.0, 1.0 + (others[0] if t == len(tokens) - 1 else others[-1]) - sofar)
            if sofar < scores[-1] - 1e-9:
                break
        expected.append(total / len(tokens))
    assert loss(beams, batch, gold).tolist() == pytest.approx(expected, rel=1e-6)
    mine = objective(loss=loss, unroll=UnrollOptions(K, 8, "hard")).part(network, batch)[0].item()
    assert mine == pytest.approx(sum(expected) / 3, rel=1e-5)


def led(lead, margin=1.0, slot=0):
    """The gold margin and its gradients by the slots' scores and the gold's, where gold ends in a slot of three."""
    beams = hard_beams([[5, 6], [5, 7], [8, 6]], T=3)
    batch = batch_of([([4], [[5, 6], [5, 7], [8, 6]][slot])])
    others = [-3.0, -4.0]
    slots = torch.tensor([*others[:slot], -3.0 + lead, *others[slot:]]).expand(1, 3, 3).clone().requires_grad_()
    gold = torch.tensor([[-1.0, -1.0, -1.0 + lead]], requires_grad=True)  # in sum as the slot, and so before the end
    value = GoldMargin(margin)(replace(beams, slot_scores=slots), batch, gold).sum()
    by_slots, by_gold = torch.autograd.grad(value, [slots, gold])
    return value.item(), by_slots[0, -1].tolist(), by_gold[0, -1].item()


@pytest.mark.parametrize("lead", [0.01, 0.9])
def test_gold_that_leads_is_pushed_until_it_leads_by_the_margin(lead):
    value, by_slots, by_gold = led(lead)
    assert by_slots == pytest.approx([0.0, 1 / 3, 0.0]) and by_gold == pytest.approx(-1 / 3)
    assert value == pytest.approx((1.0 - lead) / 3)


def test_gold_that_leads_by_the_margin_costs_nothing():
    assert led(5.0)[0] == led(1.0)[0] == 0


def test_gold_in_the_last_slot_is_pushed_past_the_one_before():
    value, by_slots, by_gold = led(-2.0, slot=2)
    assert by_slots[0] == pytest.approx(1 / 3) and by_gold < 0 and value >= 3.0 / 3


def test_a_gold_sentence_in_the_last_slot_has_not_left_the_beam():
    """Its score there and as the gold sentence differ by rounding, either way. With one slot there is no rival."""
    network, batch = network_and_batch()
    network.eval()
    aim = objective(loss=GoldMargin(margin=1.0), unroll=UnrollOptions(1, 8, "hard"), margin=0)
    found = aim.search(network, network.encode(batch.source), batch).best_tokens[:, 0]  # (B, T)
    greedy = Batch.of_pairs(batch.source, found, batch.index)
    assert aim.part(network, greedy)[0].item() == 0


def test_a_sum_of_losses_asks_for_what_its_parts_need():
    parts = [OptimalCompletion(), GoldMargin(), MinimumRisk()]
    network, batch = network_and_batch()
    network.eval()
    values = [objective(loss=part).part(network, batch)[0].item() for part in parts]
    total = objective(loss=WeightedSum(parts, [1.0, 0.5, 2.0])).part(network, batch)[0].item()
    assert total == pytest.approx(values[0] + 0.5 * values[1] + 2 * values[2], rel=1e-5)


OF_ANY_SELECTION = [
    MinimumRisk(),
    PositionCrossEntropy(),
    OptimalCompletion(),
    OptimalCompletion("any"),
    GoldMargin(),
    AlignedCrossEntropy(),
    BagOfTokens(),
]


@pytest.mark.parametrize(
    "loss, selection, open_paths",
    [
        *product(
            OF_ANY_SELECTION,
            ["soft"],
            [("score_update", "accumulated_score", "embeddings", "ancestry")],
        ),
        *product(
            [
                *OF_ANY_SELECTION,
                SoftSurvival(),
                SoftSurvival("reference"),
                SoftSurvival("reference", "put_back"),
                DescendantCredit(),
            ],
            ["hard"],
            [()],
        ),
    ],
)
def test_the_slope_of_every_loss_along_its_gradient_is_the_gradient_s_square(loss, selection, open_paths):
    """With every path open, or nothing to choose, the gradient is that of the loss itself."""
    network, batch = network_and_batch()
    network.double().eval()
    aim = objective(loss=loss, unroll=UnrollOptions(3, 8, selection, open_paths))
    parameters = list(network.parameters())
    before = aim.part(network, batch)[0]
    found = torch.autograd.grad(before, parameters, allow_unused=True)
    found = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
    found[0][PAD] = 0  # the table's PAD row takes no gradient as an input
    step = 1e-7 / sum(g.square().sum() for g in found).sqrt()
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            for parameter, gradient in zip(parameters, found, strict=True):
                parameter.add_(sign * step * gradient)
            values.append(aim.part(network, batch)[0].item())
            for parameter, gradient in zip(parameters, found, strict=True):
                parameter.sub_(sign * step * gradient)
    slope = (values[0] - values[1]) / (2 * step.item())
    assert slope == pytest.approx(sum(g.square().sum().item() for g in found), rel=1e-3)
