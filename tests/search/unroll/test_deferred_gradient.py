"""Gradients of log-probabilities that the search has found, against those of a plain pass over all prefixes."""

import pytest
import torch
from networks import small

from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.search.step import Candidates
from beamtrain.search.unroll import softmax_gradient
from beamtrain.search.unroll.deferred_gradient import through_tree
from beamtrain.search.unroll.linear_outputs import LinearOutputs
from beamtrain.search.unroll.prefix_tree import PrefixTree
from beamtrain.search.unroll.softmax_gradient import through_logits, through_outputs

B, T, K, M, V = 3, 5, 3, 6, 11


def problem(dtype=torch.float64, frozen=None):
    """A random search, with its outputs; the last slot of the first sentence has ended from position 2 on."""
    random = torch.Generator().manual_seed(3)
    network = small("transformer", V).to(dtype)
    if frozen:
        network.get_parameter(frozen).requires_grad_(False)
    source = torch.randint(4, V, (B, 4), generator=random)
    source[1, 2:] = torch.tensor([EOS, PAD])
    memory = network.encode(source)
    state = network.start(memory, K)
    tokens, visible, parents, outputs = [], [], [], LinearOutputs()
    for t in range(T):
        now = torch.randint(4, V, (B, K), generator=random)
        if t >= 2:
            now[0, K - 1] = EOS if t == 2 else PAD
        with torch.no_grad(), outputs.recording(network):
            network.step(now, state)
        tokens.append(now)
        visible.append(state.ancestry.visible)
        parents.append(torch.randint(K, (B, M), generator=random))
        descends = torch.randint(K - 1, (B, K), generator=random)
        descends[0, K - 1] = K - 1
        state.reorder(descends)
    tree = PrefixTree.of_search(tokens, visible)
    steps = []
    for t in range(T):
        chosen = torch.randint(1, V, (B, M), generator=random)
        if t >= 2:
            chosen[0][parents[t][0] == K - 1] = PAD
        steps.append(Candidates(torch.zeros(B, M), torch.zeros(B, M), parents[t], chosen))
    for each, values in zip(steps, plain(network, memory, tree, steps), strict=True):
        each.log_probs = values.detach()
    return network, memory, tree, steps, outputs


def plain(network, memory, tree, steps):
    hidden = network.decode_tree(memory, tree.tokens, tree.depths, tree.visible)
    log_probs = network.logits(hidden).log_softmax(-1).unflatten(1, (T, K))  # (B, T, K, V)
    found = [log_probs[:, t].flatten(1).gather(1, each.parents * V + each.tokens) for t, each in enumerate(steps)]
    return [values.masked_fill(each.tokens == PAD, 0.0) for values, each in zip(found, steps, strict=True)]


def wanted(share):
    """A gradient for so many of the candidates."""
    random = torch.Generator().manual_seed(4)
    outer = torch.randn(T, B, M, generator=random, dtype=torch.float64)
    return outer * (torch.rand(T, B, M, generator=random) < share)


@pytest.mark.parametrize("share", [1.0, 0.2, 0.03, 0.0])
@pytest.mark.parametrize("at_once", [1, 2 * V, 2**22])  # a prefix, two, all of them
def test_values_and_gradients_are_those_of_a_plain_pass(at_once, share, monkeypatch):
    monkeypatch.setattr(softmax_gradient, "_ENTRIES", at_once)
    network, memory, tree, steps, outputs = problem()
    parameters, outer = list(network.parameters()), wanted(share)
    expected = torch.stack(plain(network, memory, tree, steps))
    found = torch.stack(through_tree(network, memory, tree, steps, outputs))
    torch.testing.assert_close(found, expected)
    given = [torch.autograd.grad(each, parameters, outer, retain_graph=True) for each in (found, expected)]
    for one, other in zip(*given, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("share", [1.0, 0.2, 0.0])
@pytest.mark.parametrize("at_once", [V, 2**22])  # a prefix, all of them
def test_from_outputs_that_have_a_graph_they_are_too(at_once, share, monkeypatch):
    monkeypatch.setattr(softmax_gradient, "_ENTRIES", at_once)
    network, memory, tree, steps, _ = problem()
    hidden = network.decode_tree(memory, tree.tokens, tree.depths, tree.visible)
    expected = torch.stack(plain(network, memory, tree, steps))
    found = torch.stack(through_outputs(hidden.unflatten(1, (T, K)), network.output_weight, None, steps))
    torch.testing.assert_close(found, expected)
    parameters, outer = list(network.parameters()), wanted(share)
    given = [torch.autograd.grad(each, parameters, outer, retain_graph=True) for each in (found, expected)]
    for one, other in zip(*given, strict=True):
        torch.testing.assert_close(one, other)


def test_only_prefixes_that_a_gradient_needs_are_computed():
    network, memory, tree, steps, outputs = problem()
    rows = []
    network.decoder_norm.register_forward_hook(lambda _, inputs, __: rows.append(inputs[0].size(0)))
    outer = torch.zeros(T, B, M, dtype=torch.float64)
    steps[3].tokens[1, 0] = 5
    outer[3, 1, 0] = 1.0  # one candidate at position 3: its prefix and the three before it
    found = torch.stack(through_tree(network, memory, tree, steps, outputs))
    assert not rows
    torch.autograd.grad(found, list(network.parameters()), outer)
    assert rows == [4]


@pytest.mark.parametrize("name", ["target_embedding.table.weight", "decoder.1.feed_forward.inner.weight"])
def test_beside_a_frozen_parameter_the_others_get_their_gradient(name):
    gradients = []
    for frozen in (None, name):
        network, memory, tree, steps, outputs = problem(frozen=frozen)
        rest = {key: each for key, each in network.named_parameters() if each.requires_grad}
        total = torch.stack(through_tree(network, memory, tree, steps, outputs)).sum()
        gradients.append(dict(zip(rest, torch.autograd.grad(total, list(rest.values())), strict=True)))
    gradients[0].pop(name)
    torch.testing.assert_close(gradients[1], gradients[0])


def test_a_candidate_that_does_not_exist_harms_no_gradient():
    network, memory, tree, steps, outputs = problem()
    steps[0].log_probs[1, 2] = -torch.inf
    found = torch.stack(through_tree(network, memory, tree, steps, outputs))
    loss = found.masked_fill(found == -torch.inf, 0.0).sum()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, list(network.parameters())))


def test_in_a_lower_precision_the_products_are_and_the_softmax_is_not():
    random = torch.Generator().manual_seed(5)
    hidden, weight = torch.randn(7, 6, generator=random), torch.randn(V, 6, generator=random)
    rows, tokens = torch.randint(7, (12,), generator=random), torch.randint(V, (12,), generator=random)
    outer = torch.randn(12, generator=random)
    exact, rounded = (
        through_logits(hidden, weight, None, rows, tokens, outer, dtype) for dtype in (None, torch.bfloat16)
    )
    for one, other in zip(rounded, exact, strict=True):
        assert one.dtype == torch.float32
        assert 0 < (one - other).abs().max() < 0.05 * other.abs().max()


def test_under_autocast_the_network_runs_under_it_again():
    network, memory, tree, steps, outputs = problem(torch.float32)
    parameters = list(network.parameters())
    expected = torch.autograd.grad(torch.stack(through_tree(network, memory, tree, steps, outputs)).sum(), parameters)
    memory = memory._replace(states=memory.states.detach().requires_grad_())
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.stack(through_tree(network, memory, tree, steps, outputs)).sum()
    own = network.decoder[0].feed_forward.inner.weight
    place = [parameter is own for parameter in parameters].index(True)
    gradient = torch.autograd.grad(found, own)[0]
    assert gradient.dtype == torch.float32
    assert 0 < (gradient - expected[place]).abs().max() < 0.1 * expected[place].abs().max()
