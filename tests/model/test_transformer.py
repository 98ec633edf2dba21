"""The Transformer's own: positions of any length, and its two ancestries. See test_networks for the rest."""

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.model.positions import sinusoids
from beamtrain.model.state import _attend_to_mixture
from beamtrain.model.transformer import Transformer
from beamtrain.search.unroll.prefix_tree import PrefixTree

V, B, K, S, T = 23, 3, 4, 6, 7


def make(norm="pre", **options):
    torch.manual_seed(0)
    network = Transformer(
        V, width=16, inner_width=32, heads=2, encoder_layers=2, decoder_layers=3, norm=norm, **options
    )
    return network.eval()


def sources():
    source = torch.randint(4, V, (B, S), generator=torch.Generator().manual_seed(1))
    source[:, -1] = EOS
    source[1, 3:] = torch.tensor([EOS, PAD, PAD])
    return source


def test_any_length_can_be_decoded():
    network = make()
    target = torch.randint(4, V, (1, 600))
    assert network.decode(network.encode(sources()[:1]), target).shape == (1, 600, 16)


def test_averaged_weights_survive_a_sentence_longer_than_any_before():
    network = make()
    averaged = AveragedModel(network, use_buffers=True)
    network.decode(network.encode(sources()[:1]), torch.randint(4, V, (1, 600)))
    averaged.update_parameters(network)
    for mine, theirs in zip(network.buffers(), averaged.module.buffers(), strict=True):
        theirs.copy_(mine)


def test_a_table_that_a_search_made_longer_is_of_use_in_training():
    network = make()
    with torch.inference_mode():
        network.decode(network.encode(sources()[:1]), torch.randint(4, V, (1, 600)))
    table = network.target_embedding.positions.up_to(600, like=network.output_weight)
    assert not table.is_inference()


def test_positions_follow_the_formula():
    table = sinusoids(50, 8)
    assert table[3, 1].item() == pytest.approx(torch.sin(torch.tensor(3 / 10_000 ** (2 / 8))).item(), abs=1e-6)
    assert table[3, 5].item() == pytest.approx(torch.cos(torch.tensor(3 / 10_000 ** (2 / 8))).item(), abs=1e-6)


def test_mixing_ancestries_is_mixing_the_caches():
    """Against a state of one beam whose cached keys and values are mixed by hand, position after position."""
    network, generator = make(), torch.Generator().manual_seed(5)
    memory = network.encode(sources())
    soft = network.start_soft(memory, K)
    written = [[] for _ in soft.layers]  # layer -> position -> keys and values (B, H, K, D/H), mixed to this day
    for position in range(T):
        tokens = torch.randint(4, V, (B, K), generator=generator)
        hidden = network.step(tokens, soft)
        x = network.target_embedding.at(tokens, position)
        for layer, cache, past in zip(network.decoder, soft.layers, written, strict=True):
            past.append(cache.past._positions[-1])
            around_attention, around_cross, around_feed_forward = layer.residuals

            def by_hand(y, layer=layer, past=past):
                queries, _, _ = layer.attention._split(layer.attention.project(y))
                keys, values = (torch.stack(each, dim=3) for each in zip(*past, strict=True))  # (B, H, K, T, D/H)
                weights = ((queries.unsqueeze(3) * keys).sum(-1) / keys.size(-1) ** 0.5).softmax(-1)
                return layer.attention.output((weights.unsqueeze(-1) * values).sum(3).transpose(1, 2).flatten(2))

            x = around_attention(x, by_hand)
            x = around_cross(x, lambda y, layer=layer, cache=cache: layer.cross(y, cache.source, soft.source_mask))
            x = around_feed_forward(x, layer.feed_forward)
        torch.testing.assert_close(hidden, network.decoder_norm(x), atol=1e-5, rtol=1e-4)
        parents = torch.rand(B, K, K, generator=generator).softmax(-1)
        soft.mix(parents)
        mix = parents.unsqueeze(1)
        written = [[(mix @ keys, mix @ values) for keys, values in past] for past in written]


def test_a_tree_of_prefixes_at_once_is_the_search_step_by_step():
    network, generator = make(), torch.Generator().manual_seed(6)
    memory = network.encode(sources())
    state = network.start(memory, K)
    tokens, hidden, visible = [], [], []
    for _ in range(T):
        tokens.append(torch.randint(4, V, (B, K), generator=generator))
        hidden.append(network.step(tokens[-1], state))
        visible.append(state.ancestry.visible)
        state.reorder(torch.randint(K, (B, K), generator=generator))
    tree = PrefixTree.of_search(tokens, visible)
    at_once = network.decode_tree(memory, tree.tokens, tree.depths, tree.visible)
    torch.testing.assert_close(at_once, torch.cat(hidden, dim=1), atol=1e-5, rtol=1e-4)


def test_a_tree_leaves_out_what_has_ended():
    network, generator, rows = make(), torch.Generator().manual_seed(7), []
    network.decoder_norm.register_forward_hook(lambda _, inputs, __: rows.append(inputs[0].size(0)))
    memory = network.encode(sources())
    state = network.start(memory, K)
    tokens, hidden, visible, ended = [], [], [], []
    for t in range(T):
        ended.append(torch.tensor([[False] * K, [False] * (K - 1) + [t > 1], [t > 3] * K]))
        end = torch.tensor(EOS if t in (2, 4) else PAD)
        tokens.append(torch.where(ended[-1], end, torch.randint(4, V, (B, K), generator=generator)))
        hidden.append(network.step(tokens[-1], state))
        visible.append(state.ancestry.visible)
        parents = torch.randint(K - 1, (B, K), generator=generator)  # an open beam descends from open ones
        parents[:, K - 1] = K - 1
        state.reorder(parents)
    rows.clear()
    tree = PrefixTree.of_search(tokens, visible)
    at_once = network.decode_tree(memory, tree.tokens, tree.depths, tree.visible)
    open_ones = ~torch.cat(ended, dim=1)  # (B, T * K)
    assert rows == [open_ones.sum()]
    torch.testing.assert_close(at_once[open_ones], torch.cat(hidden, dim=1)[open_ones], atol=1e-5, rtol=1e-4)
    assert at_once.isfinite().all()


def dropping(p):
    """In training mode, where nothing but the weights of the decoder's attention to its past drop out."""
    network = make(attention_dropout=p, dropout=0.0).double().train()
    for layer in network.encoder:
        layer.attention.dropout = 0.0
    for layer in network.decoder:
        layer.cross.dropout = 0.0
    return network


def after_three(network, kind):
    """Decoder outputs (B, K, D) of K beams after three tokens each, by each kind of search."""
    tokens = torch.randint(4, V, (B, 3, K), generator=torch.Generator().manual_seed(8))
    memory = network.encode(sources())
    if kind == "tree":
        visible = torch.eye(K, dtype=torch.bool).tile(3, 3).tril().expand(B, -1, -1)  # position s of beam j: s * K + j
        depths = torch.arange(3).repeat_interleave(K).expand(B, -1)
        return network.decode_tree(memory, tokens.flatten(1), depths, visible)[:, -K:]
    state = (network.start if kind == "hard" else network.start_soft)(memory, K)
    return [network.step(tokens[:, t], state) for t in range(3)][-1]


@pytest.mark.parametrize("kind", ["hard", "tree", "soft"])
def test_attention_to_the_past_drops_out_in_every_search(kind):
    whole, draws = after_three(dropping(0.0), kind), [after_three(dropping(0.3), kind) for _ in range(2)]
    torch.testing.assert_close(whole, after_three(make().double(), "hard"))
    assert draws[0].equal(draws[1])  # made with the same seed
    assert not draws[0].allclose(whole)


def test_weights_that_drop_out_of_a_soft_past_are_made_up_for_by_the_others():
    generator = torch.Generator().manual_seed(9)
    queries, *past = torch.randn(5, 1, 2, K, 8, generator=generator).double()  # two positions
    share = torch.rand(1, K, 2 * K, generator=generator).double()
    torch.manual_seed(0)
    many = [each.expand(20_000, -1, -1, -1) for each in (queries, *past)]
    mean = _attend_to_mixture(many[0], share, 0.3, *many[1:]).mean(0, keepdim=True)
    torch.testing.assert_close(mean, _attend_to_mixture(queries, share, 0.0, *past), atol=0.03, rtol=0.03)


def test_a_soft_search_is_differentiated_with_the_weights_that_it_dropped():
    network = dropping(0.3)
    weight = network.decoder[0].attention.project.weight

    def loss():
        torch.manual_seed(1)
        return after_three(network, "soft").square().mean()

    value = loss()
    torch.manual_seed(2)
    (found,) = torch.autograd.grad(value, weight)
    with torch.no_grad():
        step, values = 1e-6 / found.norm(), []
        for sign in (1, -1):
            weight += sign * step * found
            values.append(loss().item())
            weight -= sign * step * found
    assert (values[0] - values[1]) / (2 * step.item()) == pytest.approx(found.square().sum().item(), rel=1e-4)


def test_an_orthogonal_start_has_orthonormal_rows_or_columns_and_others_are_refused():
    network = Transformer(
        9, width=16, inner_width=32, heads=2, encoder_layers=1, decoder_layers=1, initialisation="orthogonal"
    )
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            tall = module.weight if module.weight.size(0) >= module.weight.size(1) else module.weight.t()
            torch.testing.assert_close(tall.t() @ tall, torch.eye(tall.size(1)), atol=1e-5, rtol=0)
            assert not module.bias.any()
    with pytest.raises(UserError, match="initialisation is 'glorot'; it must be one of xavier, orthogonal"):
        Transformer(9, width=16, heads=2, initialisation="glorot")
