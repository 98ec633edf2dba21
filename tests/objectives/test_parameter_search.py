"""Search among weights: its directions, its mean against quadrature, its windows and processes."""

import math
import socket

import pytest
import torch
from batches import batch_of
from enumerable import MOST, PAIR, REFERENCE, SENTENCES, V, flat_gradient, hypotheses
from networks import small
from torch import nn
from torch.distributions import Normal

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, EOS
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.model.state import DecoderState
from beamtrain.objectives import Gleu, ParameterSearch, SampledRisk, SelfCritical, TeacherForcing
from beamtrain.objectives.directions import Directions

PAIRS = [([5, 6, 7], [8, 9]), ([4], [10, 11, 4]), ([9, 9], [7, 5]), ([6, 8], [5, 4])]


def gradient(network, aim, batches, seed=3):
    """Of the mean over a window's tokens."""
    total = 0
    for place, batch in enumerate(batches, 1):
        aim.ends_step = place == len(batches)
        torch.manual_seed(seed)
        total = total + flat_gradient(network, aim(network, batch).total)
    return total / sum(batch.num_target_tokens for batch in batches)


@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_a_step_of_the_likelihood_alone_is_half_of_teacher_forcing(kind):
    """The other half stays where it is."""
    network, batch = small(kind, 12, layers=1).double(), batch_of(PAIRS)
    aim = ParameterSearch(candidates=2, noise=1e-9, alpha=1e9)
    before = [parameter.clone() for parameter in network.parameters()]
    of_gold = flat_gradient(network, TeacherForcing(0.1)(network, batch).total / batch.num_target_tokens)
    torch.testing.assert_close(gradient(network, aim, [batch]), of_gold / 2)
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))


def test_directions_are_those_that_their_seeds_say():
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.randn(2, 3, dtype=torch.float64)), nn.Parameter(torch.randn(4, dtype=torch.float64))]
    slopes = [torch.randn_like(weight) for weight in weights]
    flat = torch.cat([slope.flatten() for slope in slopes])
    g, s = -0.5 * flat / flat.norm(), 2.0 * 0.5 / math.sqrt(10)
    seeds, before = torch.arange(4), torch.cat([weight.detach().flatten() for weight in weights])
    directions = Directions(weights, slopes, flat.norm(), radius=0.5, noise=2.0, seeds=seeds)
    moved = []
    with directions.moving() as move:
        for candidate in range(4):
            move(candidate)
            moved.append(torch.cat([weight.detach().flatten() for weight in weights]) - before)
    assert torch.equal(torch.cat([weight.detach().flatten() for weight in weights]), before)
    for candidate, direction in enumerate(moved):
        generator = torch.Generator().manual_seed(candidate)
        noise = torch.cat([torch.randn(w.shape, generator=generator, dtype=w.dtype).flatten() for w in weights])
        torch.testing.assert_close(direction, (candidate >= 2) * g + s * noise)
    around_zero, around_g = (torch.stack([Normal(c, s).log_prob(d).sum() for d in moved]) for c in (0 * g, g))
    q = torch.logaddexp(around_zero, around_g) - math.log(2)
    torch.testing.assert_close(directions.log_ratios(), around_zero - q)
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    mean = torch.cat([each.flatten() for each in directions.mean(shares.tolist())])
    torch.testing.assert_close(mean, shares @ torch.stack(moved))


class Two(Seq2Seq):
    """Two weights: logits w_0 A + w_1 B, with a row of both for each position and token before."""

    def __init__(self):
        super().__init__()
        self.vocab_size = V
        self.weights = nn.Parameter(torch.tensor([0.3, -0.2], dtype=torch.float64))
        self.tables = torch.randn(2, MOST * V, V, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def encode(self, source):
        return Memory(torch.zeros(*source.shape, 1, dtype=torch.float64), source != 0)

    def rows(self, tokens, position):
        return nn.functional.one_hot(position * V + tokens, MOST * V).double()

    def decode(self, memory, target_in):
        return self.rows(target_in, torch.arange(target_in.size(1)))

    def logits(self, hidden):
        return hidden @ torch.einsum("i,irv->rv", self.weights, self.tables)

    def start(self, memory, beams):
        return Length()

    def step(self, inputs, state):
        state.length += 1
        return self.rows(inputs, torch.tensor(state.length - 1).clamp(max=MOST - 1))


class Length(DecoderState):
    length = 0

    def reorder(self, parents):
        pass

    def keep(self, rows):
        pass


def task_losses(weights, network):
    """(G,) 1 - the reward of the greedy output with weights (G, 2), by following its three positions."""
    tables = torch.einsum("gi,irv->grv", weights, network.tables)[..., EOS:]
    lost = dict(zip(map(tuple, SENTENCES), (1 - Gleu(2).of(hypotheses(), batch_of([PAIR]))[0]).tolist(), strict=True))
    every = torch.arange(len(weights))
    first = tables[every, BOS].argmax(-1) + EOS
    second = tables[every, V + first].argmax(-1) + EOS
    found = [(a, EOS) if b == EOS else (a, b, EOS) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    return torch.tensor([lost[(EOS,) if said[0] == EOS else said] for said in found], dtype=torch.float64)


def exact_step(network, g, s, alpha, prior):
    """E[D] under p0(D) exp(-C(theta + D) / alpha), by quadrature."""
    axis = torch.linspace(-5, 5, 201, dtype=torch.float64) * s
    around_zero = torch.cartesian_prod(axis, axis)  # (G, 2)
    points = torch.cat((around_zero, around_zero + g)) if prior == "proposal" else around_zero
    log_p0 = Normal(0, s).log_prob(around_zero).sum(-1)
    density = log_p0.repeat(2) if prior == "proposal" else log_p0  # each half has half of the mass
    weights = (density - task_losses(network.weights.detach() + points, network) / alpha).softmax(0)
    return weights @ points


@pytest.mark.parametrize("prior", ["zero", "proposal"])
def test_the_mean_step_is_that_of_the_tilted_prior_by_quadrature(prior):
    """The weights are normalised by their sum, so the mean is off by an amount that falls as 1 / candidates."""
    assert REFERENCE == [3]
    network, batch = Two(), batch_of([PAIR])
    slope = flat_gradient(network, TeacherForcing(0.0)(network, batch).total / batch.num_target_tokens)
    radius, noise, alpha = 0.4, 1.5, 0.3
    s = noise * radius / math.sqrt(2)
    exact = exact_step(network, -radius * slope / slope.norm(), s, alpha, prior)

    def steps(candidates, draws):
        aim = ParameterSearch(Gleu(2), candidates, alpha, radius, noise, prior, margin=MOST - 2, label_smoothing=0.0)
        return torch.stack([-gradient(network, aim, [batch], seed) * radius / slope.norm() for seed in range(draws)])

    found = steps(60, 16)
    error = found.std(0) / 4
    assert (((found.mean(0) - exact) / error) ** 2).mean() < 3 and error.norm() < 0.3 * exact.norm()


def test_a_window_that_is_pooled_is_one_batch():
    network = small("transformer", 12, layers=1).double()
    aim = ParameterSearch(candidates=4, pooled=True)
    together = gradient(network, aim, [batch_of(PAIRS)])
    torch.testing.assert_close(gradient(network, aim, [batch_of(PAIRS[:1]), batch_of(PAIRS[1:])]), together)
    alone = ParameterSearch(candidates=4)
    apart = gradient(network, alone, [batch_of(PAIRS[:1]), batch_of(PAIRS[1:])])
    assert not torch.allclose(apart, together, rtol=0.01)


def of_process(rank, port, results):
    torch.distributed.init_process_group("gloo", f"tcp://localhost:{port}", rank=rank, world_size=2)
    network = small("transformer", 12, layers=1).double()
    own = gradient(network, ParameterSearch(candidates=4, pooled=True), [batch_of(PAIRS[rank::2])], seed=3 + rank)
    results.put((rank, own.numpy()))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_that_are_pooled_take_the_step_of_one():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    processes = [context.Process(target=of_process, args=(rank, port, results)) for rank in range(2)]
    for process in processes:
        process.start()
    found = dict(results.get() for _ in processes)
    for process in processes:
        process.join()
    network = small("transformer", 12, layers=1).double()
    expected = gradient(network, ParameterSearch(candidates=4, pooled=True), [batch_of(PAIRS)], seed=3)
    for own in found.values():
        torch.testing.assert_close(torch.from_numpy(own), expected)


def test_where_the_likelihood_has_no_gradient_no_step_is_taken():
    """As where each gold token has all of the probability there is in float32."""
    network, batch = small("transformer", 12, layers=1), batch_of(PAIRS)
    weights = list(network.parameters())
    step, figures = ParameterSearch()._search(network, weights, [batch], [torch.zeros_like(each) for each in weights])
    assert not any(each.any() for each in step) and 0 < figures["task_loss"] <= 1


def test_what_is_logged():
    network, batch = small("gru", 12, layers=1), batch_of(PAIRS)
    loss = ParameterSearch(candidates=2)(network, batch)
    figures = {name: value.item() / loss.weight for name, value in loss.figures.items()}
    assert sum(figures[f"candidate_{j}_weight"] for j in (1, 2)) == pytest.approx(1, rel=1e-5)
    assert figures["candidate_2_weight"] == pytest.approx(figures["guided_weight"], rel=1e-5)
    assert (
        0 <= figures["candidate_1_task_loss"] <= 1 and 0 <= figures["task_loss"] <= 1 and figures["search_seconds"] > 0
    )
    assert ParameterSearch(start_step=1)(network, batch).figures.keys() == {"nll"}


@pytest.mark.parametrize("aim", [ParameterSearch(), SelfCritical(), SampledRisk()])
def test_weights_that_are_no_numbers_make_a_loss_that_is_none(aim):
    """By which the training loop knows the step: it is skipped, not a crash; and it shows as many figures."""
    network, batch = small("transformer", 12, layers=1), batch_of(PAIRS)
    names = aim(network, batch).figures.keys()
    with torch.no_grad():
        network.decoder_norm.bias.fill_(math.nan)
    loss = aim(network, batch)
    assert not loss.total.isfinite() and loss.figures.keys() == names


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"candidates": 3}, "candidates is 3, but must be even and 2 or more"),
        ({"alpha": 0.0}, "alpha is 0.0, but must be positive"),
        ({"radius": -1.0}, "radius is -1.0, but must be positive"),
        ({"noise": math.inf}, "noise is inf, but must be positive"),
        ({"prior": "flat"}, "prior is 'flat'; it must be proposal or zero"),
        ({"margin": -1}, "margin is -1, but must be 0 or more"),
        ({"start_step": -1}, "start_step is -1, but must be 0 or more"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        ParameterSearch(**settings)
