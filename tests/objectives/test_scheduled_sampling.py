"""Scheduled sampling: what the decoder reads, its gradient, its schedules."""

import math

import pytest
import torch
from batches import batch_of
from enumerable import flat_gradient
from networks import each_network, small

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.objectives import GoldShare, ScheduledSampling, TeacherForcing

V = 12
ALL_OWN, ALL_GOLD = GoldShare("linear", half=1e-9), GoldShare(least=1.0)
PAIRS = [([5, 6, 7], [8, 9, 4, 6]), ([4], [10, 11, 4]), ([9, 9], [7])]


@each_network
@pytest.mark.parametrize("own", ["argmax", "sample", "expected"])
def test_with_gold_inputs_only_it_is_teacher_forcing(kind, own):
    network, batch = small(kind, V, layers=1).double(), batch_of(PAIRS)
    found, gold = ScheduledSampling(ALL_GOLD, own)(network, batch, 5), TeacherForcing(0.1)(network, batch)
    torch.testing.assert_close(found.total, gold.total)
    torch.testing.assert_close(flat_gradient(network, found.total), flat_gradient(network, gold.total))


def likeliest(network, memory, read):
    """What the network would read after each of the inputs (B, T)."""
    logits = network.logits(network.decode(memory, read))
    logits[..., [PAD, BOS, EOS]] = -torch.inf
    return logits.argmax(-1)


@each_network
def test_its_own_words_follow_gold_ones_in_two_passes_and_its_own_step_by_step(kind):
    network, batch = small(kind, V, layers=1).double(), batch_of(PAIRS)
    memory = network.encode(batch.source)
    read = batch.target_in.clone()
    for position in range(1, read.size(1)):
        before = batch.target_in if kind == "transformer" else read
        own = likeliest(network, memory, before)[:, position - 1]
        read[:, position] = torch.where(batch.target_in[:, position] == PAD, PAD, own)
    assert not torch.equal(read, batch.target_in)
    batch.target_in, gold_in = read, batch.target_in
    expected = TeacherForcing(0.1)(network, batch)
    batch.target_in = gold_in
    found = ScheduledSampling(ALL_OWN, "argmax")(network, batch, step=1)
    torch.testing.assert_close(found.total, expected.total)
    torch.testing.assert_close(flat_gradient(network, found.total), flat_gradient(network, expected.total))
    apart = [ScheduledSampling(ALL_OWN, "argmax")(network, batch_of([pair]), 1).total for pair in PAIRS]
    torch.testing.assert_close(sum(apart), found.total)


@each_network
def test_expected_embeddings_have_the_gradient_of_their_loss(kind):
    network, batch = small(kind, V, layers=1).double(), batch_of(PAIRS)
    aim = ScheduledSampling(GoldShare("exponential", half=1), "expected", temperature=0.7)

    def loss():
        torch.manual_seed(1)
        return aim(network, batch, step=1).total

    slope = flat_gradient(network, loss())
    torch.manual_seed(2)
    direction = [torch.randn_like(parameter) for parameter in network.parameters()]
    along = slope @ torch.cat([each.flatten() for each in direction])
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            for parameter, each in zip(network.parameters(), direction, strict=True):
                parameter.add_(each, alpha=sign * 1e-5)
            values.append(loss())
            for parameter, each in zip(network.parameters(), direction, strict=True):
                parameter.sub_(each, alpha=sign * 1e-5)
    torch.testing.assert_close((values[0] - values[1]) / 2e-5, along, rtol=1e-5, atol=1e-6)


def test_samples_are_drawn_from_what_can_be_read():
    network = small("transformer", V, layers=1).double()
    hidden = torch.randn(1, 1, 16, dtype=torch.float64).expand(1, 4000, 16)
    aim = ScheduledSampling(own="sample", temperature=2.0)
    drawn = torch.bincount(aim._predicted(network, hidden).flatten(), minlength=V) / 4000
    expected = (network.logits(hidden[0, 0])[EOS + 1 :] / 2).softmax(-1)
    assert drawn[: EOS + 1].sum() == 0
    torch.testing.assert_close(drawn[EOS + 1 :].double(), expected, atol=0.04, rtol=0)


@pytest.mark.parametrize("decay", ["linear", "exponential", "inverse_sigmoid"])
@pytest.mark.parametrize("half", [3, 2000])
def test_schedules_fall_from_all_through_a_half_to_the_least(decay, half):
    share = GoldShare(decay, half, least=0.1)
    values = [share(step) for step in range(0, 100 * half, max(1, half // 3))]
    assert values == sorted(values, reverse=True) and values[-1] == 0.1
    assert share(half) == pytest.approx(0.5) and values[0] == pytest.approx(1, abs=0.3 if half == 3 else 0.01)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GoldShare("cosine"), "decay is 'cosine'; it must be one of linear, exponential, inverse_sigmoid"),
        (lambda: GoldShare(half=0), "half is 0, but must be a positive number of steps"),
        (lambda: GoldShare(least=1.5), "least is 1.5, but must be a probability"),
        (lambda: ScheduledSampling(own="gold"), "own is 'gold'; it must be one of argmax, sample, expected"),
        (lambda: ScheduledSampling(temperature=0.0), "temperature is 0.0, but must be positive"),
        (lambda: ScheduledSampling(temperature=math.inf), "temperature is inf, but must be positive and finite"),
        (lambda: ScheduledSampling(label_smoothing=1.0), "label_smoothing is 1.0, but must be"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
