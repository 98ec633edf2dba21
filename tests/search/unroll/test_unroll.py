"""The unroll is the hard search in the limit, and its gradients are right: against finite differences and itself."""

import math

import pytest
import torch
from networks import each_layout, each_network, small

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.model.base import Memory
from beamtrain.model.gru import GRUEncoderDecoder
from beamtrain.model.transformer import Transformer
from beamtrain.objectives.losses.base import order_weights
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions
from beamtrain.search.unroll.length_limits import LengthLimits
from beamtrain.search.unroll.options import UnrollOptions
from beamtrain.search.unroll.step_by_step import soft_beam_search
from beamtrain.search.unroll.two_pass import two_pass_beam_search
from beamtrain.topk import SoftTopK

V, S = 11, 5
UNROLLS = [(kind, search) for kind in ("transformer", "gru") for search in (soft_beam_search, two_pass_beam_search)]
ALL = ("score_update", "accumulated_score", "embeddings", "ancestry")


def make(kind="transformer", seed=0, scale=2.0, layers=2):
    network = small(kind, V, seed, width=8, layers=layers)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(scale)  # decided enough for beams to differ
    return network.double()


def sources(B=4, seed=1):
    source = torch.randint(4, V, (B, S), generator=torch.Generator().manual_seed(seed))
    source[:, -1] = EOS
    source[0, 2:] = torch.tensor([EOS, PAD, PAD])
    return source


def unrolled(network, source, limit, operator=None, search=soft_beam_search, **options):
    limits = LengthLimits.of(torch.full((source.size(0),), limit))
    return search(network, network.encode(source), limits, UnrollOptions(**options), operator)


def as_sentences(beams):
    """Tokens, scores and lengths of every slot, as sets that do not depend on the order of equal scores."""
    return [
        sorted(
            (tuple(t for t in tokens if t not in (PAD, EOS)), round(score, 4), round(length, 4))
            for tokens, score, length in zip(*sentence, strict=True)
        )
        for sentence in zip(beams.best_tokens.tolist(), beams.scores.tolist(), beams.lengths.tolist(), strict=True)
    ]


def searched(network, source, limit, K, **penalty):
    options = SearchOptions(beam_size=K, n_best=K, max_length=limit, max_length_ratio=100, **penalty)
    return [
        sorted((tuple(h.tokens), round(h.log_prob, 4), round(float(len(h.token_log_probs)), 4)) for h in sentence)
        for sentence in beam_search(network, source, options)
    ]


@pytest.mark.parametrize("K", [1, 2, 4, 8])
@pytest.mark.parametrize("penalty", [{"length_penalty": "none"}, {"length_penalty": "gnmt", "alpha": 1.0}])
@pytest.mark.parametrize("selection", ["hard", "straight_through"])
@pytest.mark.parametrize("kind, search", UNROLLS)
def test_with_hard_choices_the_unroll_is_the_search_that_users_run(K, penalty, selection, kind, search):
    network, source = make(kind), sources()
    beams = unrolled(network, source, 7, search=search, beam_size=K, candidates=16, selection=selection)
    assert as_sentences(beams) == searched(network, source, 7, K, **penalty)
    assert (beams.finished == 1).all()


@pytest.mark.parametrize("search", [soft_beam_search, two_pass_beam_search])
@pytest.mark.parametrize("first_token", [None, 5])
def test_in_a_foreign_layout_it_is_too(search, first_token):
    """Where targets start from another token's vector, and all begin with the same token."""
    network, source = make("foreign", scale=1.5), sources()
    network.first_token = first_token
    beams = unrolled(network, source, 7, search=search, beam_size=4, candidates=16, selection="hard")
    assert as_sentences(beams) == searched(network, source, 7, 4, length_penalty="none")
    begins = {sentence[0][0] for sentence in as_sentences(beams) for sentence in [sentence[0]] if sentence[0]}
    assert first_token is None or begins == {first_token}
    assert all(each.isfinite().all() for each in gradients(network, some_loss(beams)))


@pytest.mark.parametrize("K", [1, 2, 4, 8])
@each_network
def test_as_the_temperature_falls_the_soft_search_becomes_the_hard_one(K, kind):
    network, source = make(kind), sources()
    beams = unrolled(network, source, 7, SoftTopK(1e-6, None), beam_size=K, candidates=16, selection="soft")
    assert as_sentences(beams) == searched(network, source, 7, K)


@each_network
def test_a_warm_search_mixes_and_keeps_its_distributions(kind):
    beams = unrolled(make(kind), sources(), 6, SoftTopK(0.5, None), beam_size=3, candidates=12, selection="soft")
    torch.testing.assert_close(beams.weights.sum(-1), torch.ones_like(beams.weights[..., 0]))
    assert ((beams.weights > 0.05) & (beams.weights < 0.95)).any()
    assert ((beams.finished >= 0) & (beams.finished <= 1 + 1e-9)).all()
    assert ((beams.lengths >= 1) & (beams.lengths <= 6 + 1e-9)).all()
    assert (beams.scores[:, :-1] >= beams.scores[:, 1:] - 1e-9).all()


def test_without_pruning_all_continuations_take_part():
    network, source = make(), sources()
    every, most = (
        unrolled(network, source, 4, SoftTopK(0.5, None), beam_size=2, candidates=count, selection="soft")
        for count in (None, 2 * V)
    )
    torch.testing.assert_close(every.scores, most.scores)
    assert every.tokens.size(2) == 2 * V
    assert every.pruned is None


@pytest.mark.parametrize("selection", ["soft", "straight_through", "hard"])
@pytest.mark.parametrize("more", [1, 10**15])
def test_more_candidates_than_there_are_continuations_are_all_of_them(selection, more):
    network, source = make().float(), sources()
    every, most = (
        unrolled(network, source, 4, SoftTopK(0.5, None), beam_size=2, candidates=count, selection=selection)
        for count in (None, 2 * V + more)
    )
    torch.testing.assert_close(every.scores, most.scores)


@pytest.mark.parametrize("search", [soft_beam_search, two_pass_beam_search])
def test_the_bound_on_what_is_pruned_falls_with_the_candidates(search):
    network, source = make(), sources()
    bounds = [
        unrolled(network, source, 4, SoftTopK(0.5, None), search, beam_size=2, candidates=count).pruned.mean().item()
        for count in (3, 8, 20)
    ]
    assert 2 >= bounds[0] > bounds[1] > bounds[2] >= 0


def some_loss(beams):
    """A scalar that depends on everything the unroll gives."""
    values = torch.sin(beams.tokens.double() * 1.7).unsqueeze(2)  # (B, T, 1, M)
    return (beams.weights * values).sum() + 0.3 * beams.scores.sum() + 0.2 * beams.lengths.square().sum()


def gradients(network, loss):
    found = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    return [torch.zeros(1, dtype=loss.dtype) if gradient is None else gradient for gradient in found]


@pytest.mark.parametrize("selection", ["soft", "straight_through", "hard"])
@pytest.mark.parametrize("kind, search", UNROLLS)
def test_a_slot_that_does_not_exist_has_no_part(kind, search, selection):
    """With one token to say there is one hypothesis: it ends at once, while the other sentences go on."""
    if (search, selection) == (two_pass_beam_search, "soft"):
        return
    network, source = make(kind), sources(B=2)
    options = UnrollOptions(beam_size=3, candidates=10, selection=selection)
    beams = search(network, network.encode(source), LengthLimits.of(torch.tensor([1, 5])), options, SoftTopK(0.5, None))
    only, *others = searched(network, source[:1], 1, 3)[0]
    assert not others and beams.scores[0].tolist() == pytest.approx([only[1], -math.inf, -math.inf], abs=1e-4)
    assert beams.slot_scores[0, :, 0].tolist() == pytest.approx([only[1]] * beams.slot_scores.size(1), abs=1e-4)
    assert beams.best_tokens[0, 0].tolist() == [EOS] + [PAD] * (beams.tokens.size(1) - 1)
    assert not beams.open[0, 1:].any() and beams.scores[1].isfinite().all()
    weights = order_weights(beams, 0.3)
    assert weights[0].tolist() == [1, 0, 0]
    assert all(each.isfinite().all() for each in gradients(network, weights[:, 0].sum() + beams.scores[:, 0].sum()))


@pytest.mark.parametrize("selection", ["straight_through", "hard"])
@pytest.mark.parametrize("open_paths", [(), ("score_update",), ("score_update", "accumulated_score")])
@each_layout
def test_the_parallel_unroll_is_the_sequential_one(kind, selection, open_paths):
    assert_parallel_is_sequential(make(kind), selection, open_paths)


def assert_parallel_is_sequential(network, selection="straight_through", open_paths=()):
    options = {"beam_size": 3, "candidates": 10, "selection": selection, "open_paths": open_paths}
    losses = [
        some_loss(unrolled(network, sources(), 6, SoftTopK(0.5, None), search, **options))
        for search in (soft_beam_search, two_pass_beam_search)
    ]
    torch.testing.assert_close(*losses)
    for one, other in zip(*(gradients(network, loss) for loss in losses), strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-7)


class Capped:
    """Logits that are not the product with the output matrix alone."""

    def logits(self, hidden):
        return 5 * super().logits(hidden).tanh()


class CappedTransformer(Capped, Transformer): ...


class CappedGRU(Capped, GRUEncoderDecoder): ...


@each_network
def test_the_parallel_unroll_heeds_a_network_s_own_logits(kind):
    network = make(kind)
    network.__class__ = CappedGRU if kind == "gru" else CappedTransformer
    assert_parallel_is_sequential(network)


def test_the_forward_pass_of_straight_through_is_hard():
    network, source = make(), sources()
    hard, through = (
        unrolled(network, source, 6, SoftTopK(0.5, None), beam_size=3, selection=selection, candidates=10)
        for selection in ("hard", "straight_through")
    )
    assert torch.equal(hard.best_tokens, through.best_tokens)
    torch.testing.assert_close(hard.scores, through.scores)


@each_layout
@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_the_whole_search_is_that_of_finite_differences(kind, seed):
    """Soft choices with every path open, along random directions in the space of all weights."""
    network, source = make(kind, seed, scale=1.5, layers=1), sources(B=2)
    operator = SoftTopK(0.3, None)
    parameters = list(network.parameters())
    generator = torch.Generator().manual_seed(seed)

    def loss():
        return some_loss(
            unrolled(network, source, 4, operator, beam_size=2, candidates=2 * V, selection="soft", open_paths=ALL)
        )

    exact = gradients(network, loss())
    for _ in range(3):
        direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
        direction[0][PAD] = 0  # the table's PAD row takes no gradient as an input
        step = 1e-6
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                for parameter, d in zip(parameters, direction, strict=True):
                    parameter.add_(sign * step * d)
                values.append(loss().item())
                for parameter, d in zip(parameters, direction, strict=True):
                    parameter.sub_(sign * step * d)
        slope = sum((g * d).sum().item() for g, d in zip(exact, direction, strict=True) if g.shape == d.shape)
        assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=2e-4, abs=1e-6)


@each_network
def test_gradcheck_through_the_source(kind):
    network, source = make(kind, scale=1.5, layers=1), sources(B=1)
    memory = network.encode(source)
    limits = LengthLimits.of(torch.tensor([3]))
    options = UnrollOptions(beam_size=2, candidates=2 * V, selection="soft", open_paths=ALL)

    def search(states):
        beams = soft_beam_search(network, Memory(states, memory.mask), limits, options, SoftTopK(0.3, None))
        return beams.weights, beams.scores, beams.lengths

    assert torch.autograd.gradcheck(search, memory.states.detach().requires_grad_())


@pytest.mark.parametrize("kind, search", UNROLLS)
def test_with_closed_paths_gradients_stay_bounded_over_sixty_steps(kind, search):
    network, source = make(kind, scale=1.5), sources()
    norms = {}
    for limit in (5, 60):
        beams = unrolled(network, source, limit, search=search, beam_size=3, candidates=10)
        norms[limit] = math.sqrt(sum(g.square().sum().item() for g in gradients(network, some_loss(beams) / limit)))
    assert 0 < norms[60] < 10 * norms[5]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"beam_size": 0}, "beam_size is 0; it must be 1 or more"),
        ({"beam_size": 4, "candidates": 3}, r"candidates is 3; it must be at least beam_size \(4\)"),
        ({"selection": "softish"}, "selection is 'softish'; it must be one of soft, straight_through, hard"),
        ({"open_paths": ("embedding",)}, "open_paths names 'embedding'; known: score_update, accumulated_score"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        UnrollOptions(**options)


@pytest.mark.parametrize("options", [{"selection": "soft"}, {"open_paths": ("embeddings",)}])
def test_a_recurrent_graph_is_not_unrolled_in_parallel(options):
    with pytest.raises(UserError, match="the unroll in two passes needs selection straight_through or hard"):
        unrolled(make(), sources(), 4, search=two_pass_beam_search, **options)
