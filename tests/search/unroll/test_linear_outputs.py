"""Linear maps whose outputs are known: they are not computed again, and their gradients are the usual ones."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from beamtrain.search.unroll.linear_outputs import LinearOutputs, looking_up


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(5, 8), nn.Linear(8, 4)

    def forward(self, x):
        return self.outer(self.inner(x).relu_()) + x[:, :4]  # in place, as in a Transformer's feed-forward


class CountProducts(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.count += function is linear
        return function(*args, **(kwargs or {}))


@contextmanager
def counted(expected):
    with CountProducts() as products:
        yield
    assert products.count == expected


def recorded(network, *parts):
    outputs = LinearOutputs()
    with torch.no_grad(), outputs.recording(network):
        for part in parts:
            network(part)
    return outputs


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network().double()


def gradients(network, x, *contexts):
    y = network(x)
    return y, torch.autograd.grad(y.pow(2).sum(), [x, *network.parameters()], retain_graph=True)


def test_values_and_gradients_are_those_of_computing_without_a_product(network):
    first, second = torch.randn(2, 3, 5, dtype=torch.float64).unbind(0)
    outputs, rows = recorded(network, first, second), torch.tensor([4, 0, 5])  # of the six, in another order
    x = torch.cat((first, second))[rows].requires_grad_()
    with counted(0), looking_up(outputs, rows):
        found = gradients(network, x)
    with counted(2):
        expected = gradients(network, x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_value_is_the_known_one_and_not_a_new_product(network):
    x = torch.randn(3, 5, dtype=torch.float64)
    outputs = recorded(network, x)
    with torch.no_grad(), looking_up(outputs, torch.arange(3)):
        found = network(torch.zeros_like(x))
    torch.testing.assert_close(found, network(x) - x[:, :4])


def test_what_was_not_recorded_or_has_been_used_is_computed(network):
    x, other = torch.randn(3, 5, dtype=torch.float64), nn.Linear(5, 5).double()
    outputs, expected = recorded(network, x), network(x + 1)
    with counted(3), looking_up(outputs, torch.arange(3)):
        network(x)  # known
        found = network(x + 1)  # used
        other(x)  # not recorded
    torch.testing.assert_close(found, expected)


def test_nothing_is_recorded_afterwards(network):
    x = torch.randn(3, 5, dtype=torch.float64)
    outputs = recorded(network)
    network(x)
    assert network.inner.weight not in outputs


def test_under_autocast_gradients_are_those_of_computing_under_it(network):
    network.float()
    x = torch.randn(64, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = recorded(network, x)
        with looking_up(outputs, torch.arange(64)):
            found = gradients(network, x)
        expected = gradients(network, x)
    assert found[0].dtype == expected[0].dtype
    for one, other in zip(found[1], expected[1], strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.02 * other.abs().max().item())
