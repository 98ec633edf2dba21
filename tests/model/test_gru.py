"""The recurrent network against its own equations, and its one way to hold beams."""

import pytest
import torch
from networks import small

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.model.gru import GRUEncoderDecoder

V, B, K, S, D = 19, 2, 3, 5, 8


def make(**options):
    return small("gru", V, width=D, **options).double()


def sources():
    return torch.tensor([[5, 6, 7, 8, EOS], [9, 4, EOS, PAD, PAD]])


def cell(gru, x, h, suffix=""):
    """Cho et al. 2014, equations 5 to 8, with PyTorch's reset gate (after the product): x (N,), h (D,) -> (D,)"""
    from_x = getattr(gru, f"weight_ih_l0{suffix}") @ x + getattr(gru, f"bias_ih_l0{suffix}")
    from_h = getattr(gru, f"weight_hh_l0{suffix}") @ h + getattr(gru, f"bias_hh_l0{suffix}")
    (xr, xz, xn), (hr, hz, hn) = from_x.chunk(3), from_h.chunk(3)
    reset, update = (xr + hr).sigmoid(), (xz + hz).sigmoid()
    return (1 - update) * (xn + reset * hn).tanh() + update * h


def run(gru, xs, suffix=""):
    h, outputs = torch.zeros(gru.hidden_size, dtype=torch.float64), []
    for x in xs:
        h = cell(gru, x, h, suffix)
        outputs.append(h)
    return outputs


@torch.no_grad()
def test_the_network_computes_its_equations():
    """Position after position, one sentence at a time, without padding."""
    network, target = make(layers=3), [BOS, 10, 11, 12]
    batch = network.logits(network.decode(network.encode(sources()), torch.tensor([target] * B)))
    decoder, table = network.decoder, network.target_embedding.table.weight
    attention = decoder.attention
    for row, source in enumerate(sources()):
        xs = [table[token] * D**0.5 for token in source if token != PAD]
        forward, backward = run(network.encoder.gru, xs), run(network.encoder.gru, xs[::-1], "_reverse")[::-1]
        states = torch.stack([torch.cat(both) for both in zip(forward, backward, strict=True)])  # (S, D)
        hidden = list(decoder.beginning(states.mean(0)).tanh().chunk(3))
        for position, token in enumerate(target):
            x = hidden[0] = cell(decoder.lowest, table[token] * D**0.5, hidden[0])
            keys, values = attention.project(states).chunk(2, dim=-1)
            context = []
            for q, k, v in zip(attention.query(x).chunk(2), keys.chunk(2, 1), values.chunk(2, 1), strict=True):
                context.append((k @ q / (D / 2) ** 0.5).softmax(0) @ v)
            context = attention.output(torch.cat(context))
            for layer, gru in enumerate(decoder.upper, start=1):
                hidden[layer] = cell(gru, torch.cat((x, context)), hidden[layer])
                x = x + hidden[layer]
            logits = table @ decoder.output(torch.cat((x, context))).tanh()
            torch.testing.assert_close(batch[row, position], logits)


def test_mixing_beams_mixes_their_hidden_vectors():
    network, generator = make(), torch.Generator().manual_seed(1)
    state = network.start_soft(network.encode(sources()), K)
    network.step(torch.randint(4, V, (B, K), generator=generator), state)
    before, parents = state.hidden, torch.rand(B, K, K, generator=generator).double().softmax(-1)
    state.mix(parents)
    for b in range(B):
        for r in range(K):
            expected = sum(parents[b, r, j] * before[:, b, j] for j in range(K))
            torch.testing.assert_close(state.hidden[:, b, r], expected)


@pytest.mark.parametrize("dropped", ["encoder", "decoder"])
def test_dropout_is_applied_in_training_only(dropped):
    network, target = make(dropout=0.5), torch.tensor([[BOS, 5, 6]] * B)
    getattr(network, dropped).train()
    torch.manual_seed(0)
    first, second = (network.decode(network.encode(sources()), target) for _ in range(2))
    assert not torch.equal(first, second)
    network.eval()
    first, second = (network.decode(network.encode(sources()), target) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("layers", ["encoder_layers", "decoder_layers"])
def test_a_network_without_layers_is_refused(layers):
    with pytest.raises(UserError, match=f"{layers} is 0; it must be 1 or more"):
        GRUEncoderDecoder(V, **{layers: 0})


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("gradient", [True, False])
def test_what_has_a_gradient_runs_in_the_mode_in_which_cudnn_gives_one(training, gradient, monkeypatch):
    """Without dropout, as evaluation has it; else the search in the loop fails on a GPU."""
    network = GRUEncoderDecoder(V, width=D, encoder_layers=2, decoder_layers=2, dropout=0.5).train(training)
    modes, forward = [], torch.nn.GRU.forward

    def spied(module, *inputs):
        modes.append((module.training, module.dropout))
        return forward(module, *inputs)

    monkeypatch.setattr(torch.nn.GRU, "forward", spied)
    with torch.set_grad_enabled(gradient):
        network.decode(network.encode(sources()), torch.tensor([[BOS, 4], [BOS, 5]]))
    encoder, *decoder = modes
    assert encoder == (training or gradient, 0.5 if training or not gradient else 0.0)
    assert decoder == [(training or gradient, 0.0)] * 2
    assert [module.training for module in network.modules()] == [training] * len(list(network.modules()))
    assert network.encoder.gru.dropout == 0.5
