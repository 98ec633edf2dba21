"""Soft survival and credit by what follows: against searches by hand, exact gradients, and permutations."""

import math
from dataclasses import replace

import pytest
import torch
from batches import batch_of
from certain_beams import counted_gleu
from networks import each_network, small

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.objectives.beam_training import BeamTraining
from beamtrain.objectives.losses.descendant_credit import DescendantCredit
from beamtrain.objectives.losses.minimum_risk import MinimumRisk
from beamtrain.objectives.losses.soft_survival import SoftSurvival
from beamtrain.objectives.losses.survival import log_membership
from beamtrain.objectives.losses.weighted_sum import WeightedSum
from beamtrain.search.unroll.options import UnrollOptions

V, M, MARGIN = 12, 8, 4
TARGETS = {
    "best": SoftSurvival(),
    "reference": SoftSurvival("reference", temperature=0.8),
    "put back": SoftSurvival("reference", "put_back"),
    "few rivals": SoftSurvival(rivals=1),
}
PAIRS = [([5, 6, 7], [8, 9]), ([4], [10, 11, 4]), ([9, 9], [7, 5, 7, 5, 7]), ([8, 7, 6], [])]


def searched(loss, K=3, selection="hard", kind="transformer", pairs=PAIRS):
    network = small(kind, V, layers=1).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    batch = batch_of(pairs)
    aim = BeamTraining(loss, unroll=UnrollOptions(K, M, selection), margin=MARGIN)
    return network, batch, aim.search(network, network.encode(batch.source), batch)


def search_by_hand(network, source, K, limit, followed=None, keep=False):
    """The final prefixes with their scores, and of each position the candidates {prefix: score} and the K chosen."""
    memory = network.encode(source)

    def continued(prefix, score):
        if prefix and prefix[-1] in (EOS, PAD):
            return {(*prefix, PAD): score}
        log_probs = network.logits(network.decode(memory, torch.tensor([[BOS, *prefix]])))[0, -1].log_softmax(-1)
        allowed = [EOS] if len(prefix) + 1 == limit else [token for token in range(V) if token not in (PAD, BOS)]
        return {(*prefix, token): score + log_probs[token].item() for token in allowed}

    beam, steps = {(): 0.0}, []
    while not all(prefix and prefix[-1] in (EOS, PAD) for prefix in beam):
        position, everything = len(steps), {}
        for prefix, score in beam.items():
            everything |= continued(prefix, score)
        best = sorted(everything, key=everything.get, reverse=True)[:M]
        if followed is not None:
            own = tuple([*followed, *[PAD] * position][: position + 1])
            if own in everything and own not in best:
                best[-1] = own
            if keep and own not in best[:K]:
                best[best.index(own)], best[K - 1] = best[K - 1], own
        candidates = {prefix: everything[prefix] for prefix in best}
        beam = {prefix: candidates[prefix] for prefix in best[:K]}
        steps.append(candidates)
    return beam, steps


def membership_by_hand(candidates, prefix, K, temperature, rivals=None):
    """By bisection for the threshold; 1 where there are no more candidates than places."""
    if len(candidates) <= K:
        return 1.0
    low, high, aim = -1e3, 1e3, candidates[prefix]
    if rivals == 1:
        candidates = dict(sorted(candidates.items(), key=lambda pair: -pair[1])[K - 1 : K + 1])
        K = 1
    for _ in range(200):
        threshold = (low + high) / 2
        total = sum(1 / (1 + math.exp(min(700, (threshold - score) / temperature))) for score in candidates.values())
        low, high = (threshold, high) if total > K else (low, threshold)
    return 1 / (1 + math.exp((low - aim) / temperature))


def beginning(sentence, length):
    return tuple([*sentence, *[PAD] * length][:length])


@pytest.mark.parametrize(
    "name, K", [(name, K) for name, loss in TARGETS.items() for K in (1, 2, 3) if K > 1 or not loss.compares_beams]
)
def test_survival_is_that_of_a_search_by_hand(name, K):
    loss = TARGETS[name]
    network, batch, beams = searched(loss, K)
    falls = 0
    for b, (_, words) in enumerate(PAIRS):
        gold, kept = [*words, EOS], name == "put back"
        source = batch.source[b : b + 1]
        final, steps = search_by_hand(
            network, source[source != PAD][None], K, len(gold) + MARGIN, gold if loss.follows_reference else None, kept
        )
        rewards = {each: counted_gleu([t for t in each if t not in (EOS, PAD)], words, 4) for each in final}
        aim = max(final, key=rewards.get) if loss.target == "best" else gold
        expected = 0.0
        for t, candidates in enumerate(steps):
            prefix = beginning(aim, t + 1)
            if prefix not in candidates:
                break
            expected -= math.log(membership_by_hand(candidates, prefix, K, loss.temperature, loss.rivals))
            falls += sorted(candidates, key=candidates.get, reverse=True).index(prefix) >= K
        assert loss(beams, batch)[b].item() == pytest.approx(expected, rel=1e-6)
        assert loss.target == "best" or beams.followed[b, 0] < M
    assert (falls > 0) == (loss.target != "best")


def test_credit_is_the_return_of_the_descendants_of_each_choice():
    loss = DescendantCredit(temperature=0.7)
    network, batch, beams = searched(loss, K=3)
    shared = 0
    for b, (_, words) in enumerate(PAIRS):
        source = batch.source[b : b + 1]
        final, steps = search_by_hand(network, source[source != PAD][None], 3, len(words) + 1 + MARGIN)
        rewards = {each: counted_gleu([t for t in each if t not in (EOS, PAD)], words, 4) for each in final}
        mean, expected = sum(rewards.values()) / 3, 0.0
        for t, candidates in enumerate(steps):
            for chosen in list(candidates)[:3]:
                those = [reward for each, reward in rewards.items() if each[: t + 1] == chosen]
                if those:
                    log_m = math.log(membership_by_hand(candidates, chosen, 3, 0.7))
                    expected -= len(those) / 3 * (sum(those) / len(those) - mean) * log_m
                shared += len(those) == 2
        assert loss(beams, batch)[b].item() == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert shared


@pytest.mark.parametrize("loss", [*TARGETS.values(), DescendantCredit()], ids=[*TARGETS, "credit"])
def test_gradcheck_by_the_candidates_scores(loss):
    _, batch, beams = searched(loss, pairs=PAIRS[:1])
    scores = beams.candidate_scores.detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(replace(beams, candidate_scores=x), batch), scores)


def test_a_candidate_is_raised_at_the_expense_of_those_around_the_last_place():
    """The gradient of the docstring, and its sum of 0."""
    _, _, beams = searched(TARGETS["best"])
    scores = beams.candidate_scores.detach().requires_grad_()
    temperature, place = 0.5, torch.zeros(4, beams.tokens.size(1), 1, dtype=torch.long)
    log_m = log_membership(replace(beams, candidate_scores=scores), place, temperature)
    (found,) = torch.autograd.grad(log_m[0, 1].sum(), scores)
    every = torch.arange(M).expand(4, beams.tokens.size(1), M)
    m = log_membership(beams, every, temperature)[0, 1].exp()
    assert m.sum().item() == pytest.approx(3)
    w = m * (1 - m)
    expected = (1 - m[0]) / temperature * (torch.eye(M)[0] - w / w.sum())
    torch.testing.assert_close(found[0, 1], expected.to(found))


@pytest.mark.parametrize("loss", [TARGETS["best"], DescendantCredit()], ids=["best", "credit"])
@each_network
def test_the_order_of_the_final_beams_does_not_matter(loss, kind):
    _, batch, beams = searched(loss, kind=kind)
    order = torch.tensor([2, 0, 1])
    moved = replace(
        beams,
        weights=beams.weights[:, :, order],
        scores=beams.scores[:, order],
        finished=beams.finished[:, order],
        origins=beams.origins[:, :, order],
    )
    torch.testing.assert_close(loss(moved, batch), loss(beams, batch))


def test_a_reference_that_is_put_back_is_among_the_final_beams_and_changes_no_others_search():
    _, _, beams = searched(TARGETS["put back"])
    for b, (_, words) in enumerate(PAIRS):
        said = [[t for t in row if t not in (EOS, PAD)] for row in beams.best_tokens[b].tolist()]
        assert words in said
    free = searched(TARGETS["best"])[2]
    followed = searched(TARGETS["reference"])[2]
    torch.testing.assert_close(followed.scores, free.scores)
    assert torch.equal(followed.best_tokens, free.best_tokens)


def test_steps_along_the_gradient_bring_a_fallen_reference_into_the_beam():
    network, batch, _ = searched(TARGETS["put back"])
    aim = BeamTraining(TARGETS["put back"], weight=1.0, unroll=UnrollOptions(3, M, "hard"), max_gradient_norm=5.0)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    free = SoftSurvival("reference")

    def survived():
        beams = BeamTraining(free, unroll=UnrollOptions(3, M, "hard")).search(
            network, network.encode(batch.source), batch
        )
        return int((beams.followed[:, -1] < 3).sum())

    before = survived()
    for _ in range(15):
        loss = aim(network, batch)
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        optimizer.step()
    assert before < 4 == survived()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SoftSurvival("gold"), "target is 'gold'; it must be best or reference"),
        (lambda: SoftSurvival(after_fall="go_on"), "after_fall is 'go_on'; it must be stop or put_back"),
        (lambda: SoftSurvival(after_fall="put_back"), "the best of the final beams never falls"),
        (lambda: SoftSurvival(temperature=0.0), "temperature is 0.0, but must be positive, in nats"),
        (lambda: SoftSurvival(rivals=0), "rivals is 0; it must be 1 or more on each side of the last place"),
        (lambda: DescendantCredit(temperature=math.inf), "temperature is inf, but must be positive, in nats"),
        (
            lambda: BeamTraining(SoftSurvival(), unroll=UnrollOptions(3, 8, "soft")),
            "SoftSurvival asks whether a hypothesis stays in the beam, and selection soft mixes hypotheses",
        ),
        (
            lambda: BeamTraining(DescendantCredit(), unroll=UnrollOptions(4, 4)),
            "unroll.candidates is 4, as many as there are beams; DescendantCredit needs some that can fall out",
        ),
        (
            lambda: BeamTraining(
                WeightedSum([MinimumRisk(), DescendantCredit()], [1.0, 1.0]), unroll=UnrollOptions(3, 8, "soft")
            ),
            "selection soft mixes hypotheses",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
