"""Options of the unroll: choices at random, mixtures that snap to tokens, and a window for open paths."""

import math

import pytest
import torch
from batches import batch_of
from networks import each_network, small

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.objectives.annealing import Annealing
from beamtrain.objectives.beam_training import BeamTraining
from beamtrain.objectives.losses.expected_reward import ExpectedReward
from beamtrain.objectives.losses.minimum_risk import MinimumRisk
from beamtrain.search.unroll.length_limits import LengthLimits
from beamtrain.search.unroll.options import UnrollOptions
from beamtrain.search.unroll.snapping import Snapping
from beamtrain.search.unroll.step_by_step import soft_beam_search
from beamtrain.search.unroll.two_pass import two_pass_beam_search
from beamtrain.topk import SoftTopK

V = 11
PAIRS = [([5, 6, 7], [8, 9]), ([4], [10, 5, 4])]


def network_of(kind, V=V, scale=1.5, layers=1):
    network = small(kind, V, layers=layers)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(scale)
    return network.double()


def unrolled(network, options, limit=5, search=soft_beam_search, sources=None, temperature=0.5):
    source = batch_of(PAIRS).source if sources is None else sources
    limits = LengthLimits.of(torch.full((source.size(0),), limit))
    return search(network, network.encode(source), limits, options, SoftTopK(temperature, None))


def every_hypothesis(network, source, limit):
    """{tokens: (probability, log-probability)} of all that the network can say in so many tokens: the first among what
    is allowed, neither PAD nor BOS and in the end only EOS, the second the network's own."""
    memory, found, beginnings = network.encode(source), {}, {(): (1.0, 0.0)}
    for position in range(limit):
        further = {}
        for prefix, (p, log_p) in beginnings.items():
            hidden = network.decode(memory, torch.tensor([[BOS, *prefix]]))
            own = network.logits(hidden)[0, -1].softmax(-1).tolist()
            allowed = [EOS] if position + 1 == limit else [t for t in range(len(own)) if t not in (PAD, BOS)]
            for token in allowed:
                share = own[token] / sum(own[t] for t in allowed)
                (found if token == EOS else further)[(*prefix, token)] = (p * share, log_p + math.log(own[token]))
        beginnings = further
    return found


@pytest.mark.parametrize("search", [soft_beam_search, two_pass_beam_search])
def test_with_one_beam_and_noise_1_the_search_samples_from_the_network(search):
    network, source, draws = network_of("transformer", V=5), torch.tensor([[4, 3, EOS]]), 4000
    with torch.no_grad():
        expected = every_hypothesis(network, source, 3)
        torch.manual_seed(1)
        beams = unrolled(network, UnrollOptions(1, None, "hard", noise=1.0), 3, search, source.expand(draws, -1))
    said = [tuple(token for token in row if token != PAD) for row in beams.best_tokens[:, 0].tolist()]
    assert set(said) <= expected.keys() and sum(p for p, _ in expected.values()) == pytest.approx(1)
    for hypothesis, (p, _) in expected.items():
        assert abs(said.count(hypothesis) / draws - p) < 4 * math.sqrt(p * (1 - p) / draws)
    assert beams.scores[:, 0].tolist() == pytest.approx([expected[hypothesis][1] for hypothesis in said])  # without it


@pytest.mark.parametrize("selection", ["straight_through", "hard"])
@each_network
def test_with_noise_the_two_unrolls_draw_alike(kind, selection):
    network, found = network_of(kind), []
    for search in (soft_beam_search, two_pass_beam_search):
        torch.manual_seed(3)
        beams = unrolled(network, UnrollOptions(3, 9, selection, noise=0.7), search=search)
        value = (beams.weights * torch.sin(beams.tokens.double()).unsqueeze(2)).sum() + beams.scores.sum()
        found.append((value, torch.autograd.grad(value, network.output_weight)[0], beams.best_tokens))
    torch.testing.assert_close(*found)
    plain = unrolled(network, UnrollOptions(3, 9, selection))
    assert not torch.equal(plain.best_tokens, found[0][2])


@each_network
def test_what_is_read_is_a_token_and_the_gradient_the_mixture_s(kind, monkeypatch):
    network = network_of(kind)
    read, step = [], type(network).step
    monkeypatch.setattr(type(network), "step", lambda self, x, state: (read.append(x), step(self, x, state))[1])
    options = UnrollOptions(3, 9, "soft", ("embeddings",), snapping=0.25)
    beams = unrolled(network, options)
    table = network.embed(torch.arange(V))
    assert all(torch.cdist(x.flatten(0, 1), table).amin(-1).max() < 1e-9 for x in read)
    assert (beams.commitment > 0).all()
    assert torch.autograd.grad(read[2].sum(), read[1])[0].norm() > 0
    cold = unrolled(network, options, temperature=1e-6)
    assert cold.commitment.max() < 1e-6


def test_the_commitment_is_the_distance_of_the_mixtures_that_go_on_with_its_gradient():
    network = network_of("transformer")
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    tokens = torch.randint(4, V, (2, 6), generator=generator)
    finished = torch.tensor([[0.0, 0.5, 1.0], [1.0, 1.0, 1.0]], dtype=torch.float64)

    def commitment(logits):
        snapped = Snapping(network, logits.device)
        A = logits.softmax(-1)
        snapped(A @ network.embed(tokens), A, tokens, finished)
        return snapped.commitment()

    table = network.embed(torch.arange(V))
    mixed = logits.softmax(-1) @ table[tokens]
    distances = torch.cdist(mixed.flatten(0, 1), table).amin(-1).square().view(2, 3)
    expected = (distances[0, 0] + 0.5 * distances[0, 1]) / 1.5
    assert commitment(logits).tolist() == pytest.approx([expected.item(), 0.0])
    assert torch.autograd.gradcheck(commitment, logits)


def test_the_commitment_is_added_by_its_weight_and_logged():
    network, batch, losses = network_of("transformer"), batch_of(PAIRS), []
    for weight in (0.0, 0.5):
        options = UnrollOptions(3, 9, "soft", ("embeddings",), snapping=weight)
        mean, figures = BeamTraining(MinimumRisk(), unroll=options).part(network, batch)
        losses.append(mean)
    assert losses[1].item() == pytest.approx(losses[0].item() + 0.5 * figures["commitment"].item())
    alone = [BeamTraining(MinimumRisk(), unroll=options).part(network, batch_of([pair]))[0] for pair in PAIRS]
    assert losses[1].item() == pytest.approx(sum(each.item() for each in alone) / 2, rel=1e-7)


@each_network
def test_no_gradient_goes_back_beyond_the_window(kind, monkeypatch):
    network = network_of(kind)
    outputs, step = [], type(network).step
    monkeypatch.setattr(
        type(network), "step", lambda self, x, state: (outputs.append(step(self, x, state)), outputs[-1])[1]
    )
    both = ("embeddings", "ancestry")

    def reached(window):
        """For each position, which ones before it its output depends on."""
        outputs.clear()
        unrolled(network, UnrollOptions(3, 9, "soft", both, window=window), limit=5)
        found = [
            torch.autograd.grad(outputs[t].sum(), outputs[:t], allow_unused=True, retain_graph=True)
            for t in range(1, 5)
        ]
        return [[s for s, gradient in enumerate(each) if gradient is not None] for each in found]

    assert reached(None) == reached(9) == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    assert reached(2) == [[0], [], [2], []]


@each_network
@pytest.mark.parametrize("share", [0.25, 0.8])
def test_each_sentence_has_the_temperature_at_which_so_many_of_its_positions_are_undecided(kind, share):
    network, options = network_of(kind), UnrollOptions(2, 9, undecided=share)
    beams = unrolled(network, options, 6, two_pass_beam_search)
    for b in range(2):
        scores = beams.candidate_scores[b].detach()  # (T, M)
        gaps = [(each[1] - each[2]).item() for each in scores if each[2] > -math.inf]
        temperature = torch.tensor(gaps, dtype=torch.float64).quantile(share).item()
        assert sum(gap <= temperature for gap in gaps) == pytest.approx(share * len(gaps), abs=1)
        for t in range(3):
            there = scores[t] > -math.inf
            expected = SoftTopK(temperature, None).select(scores[t, there].unsqueeze(0), 2).weights[0]
            torch.testing.assert_close(beams.matrices[b, t][:, there], expected)
    alone = unrolled(network, options, 6, two_pass_beam_search, batch_of(PAIRS[1:]).source)
    torch.testing.assert_close(alone.matrices[0], beams.matrices[1, : alone.matrices.size(1)])
    assert beams.pruned is None


@pytest.mark.parametrize("search", [soft_beam_search, two_pass_beam_search])
@each_network
def test_the_gradient_through_choices_is_multiplied(kind, search):
    network, loss, batch = network_of(kind), ExpectedReward(), batch_of(PAIRS)

    def gradient(selection, **settings):
        value = loss(unrolled(network, UnrollOptions(3, 9, selection, **settings), search=search), batch).mean()
        return torch.cat([each.flatten() for each in torch.autograd.grad(value, [*network.parameters()])])

    hard, whole = gradient("hard"), gradient("straight_through")
    assert (whole - hard).norm() > 0.1 * hard.norm()
    for factor in (0.0, 0.3, 2.0):
        found = gradient("straight_through", choice_gradient=factor)
        torch.testing.assert_close(found, hard + factor * (whole - hard))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"undecided": 1.0}, "undecided is 1.0; it must be a share of positions, above 0 and below 1"),
        ({"undecided": 0.5, "selection": "soft"}, "undecided looks at all positions of a sentence at once"),
        ({"undecided": 0.5, "open_paths": ("accumulated_score",)}, "undecided looks at all positions"),
        ({"undecided": 0.5, "beam_size": 8, "candidates": 8}, "undecided needs a candidate beyond the K-th"),
        ({"choice_gradient": -1.0}, "choice_gradient is -1.0; it must be 0 or more"),
        ({"choice_gradient": 0.1, "selection": "hard"}, "choice_gradient is 0.1, but no gradient goes through"),
        ({"noise": -1.0}, "noise is -1.0; it must be 0 or more, in nats"),
        ({"window": 0, "open_paths": ("ancestry",)}, "window is 0; it must be 1 or more positions"),
        ({"window": 3}, "window is 3, but the paths it is about are closed: name embeddings or ancestry"),
        ({"snapping": -0.1, "selection": "soft"}, "snapping is -0.1; its weight must be 0 or more"),
        ({"snapping": 0.25}, "snapping needs mixtures, and selection straight_through has none; take soft"),
    ],
)
def test_options_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        UnrollOptions(**settings)


def test_a_share_of_undecided_positions_goes_with_no_annealing_and_no_step_of_its_own():
    options = UnrollOptions(3, 8, undecided=0.5)
    with pytest.raises(UserError, match="annealing sets the temperature, and"):
        BeamTraining(MinimumRisk(), unroll=options, annealing=Annealing(1.0, 0.1, 10))
    with pytest.raises(UserError, match=r"undecided is 0\.5, but Transformer has a step of its own"):
        unrolled(network_of("transformer"), options)
