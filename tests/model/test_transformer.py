"""The two readings of the network agree: all positions at once, and one position at a time with beams."""

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.errors import UserError
from beamtrain.model.layers import sinusoids
from beamtrain.model.transformer import Transformer

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


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_steps_with_reordered_beams_equal_decoding_each_history_at_once(norm):
    network, generator = make(norm), torch.Generator().manual_seed(2)
    memory = network.encode(sources())
    state = network.start(memory, K)
    histories = torch.full((B, K, 1), BOS)
    for _ in range(T):
        hidden = network.step(histories[:, :, -1], state)
        at_once = network.decode(
            type(memory)(memory.states.repeat_interleave(K, 0), memory.mask.repeat_interleave(K, 0)),
            histories.flatten(0, 1),
        )[:, -1].unflatten(0, (B, K))
        torch.testing.assert_close(hidden, at_once, atol=2e-5, rtol=1e-4)
        parents = torch.randint(K, (B, K), generator=generator)
        tokens = torch.randint(4, V, (B, K, 1), generator=generator)
        state.reorder(parents)
        histories = torch.cat((histories.gather(1, parents[:, :, None].expand_as(histories)), tokens), dim=2)


def test_sentences_that_leave_do_not_change_the_others():
    network, source = make(), sources()
    whole, kept = network.start(network.encode(source), K), network.start(network.encode(source), K)
    kept.record_attention = whole.record_attention = True
    tokens = torch.randint(4, V, (T, B, K), generator=torch.Generator().manual_seed(3))
    rows = torch.tensor([2, 0])
    for t in range(3):
        network.step(tokens[t], whole)
        network.step(tokens[t], kept)
    kept.keep(rows)
    for t in range(3, T):
        hidden = network.step(tokens[t], whole)
        torch.testing.assert_close(network.step(tokens[t][rows], kept), hidden[rows])
    torch.testing.assert_close(kept.attention, whole.attention[rows])


def test_a_token_and_its_embedding_are_the_same_input():
    network = make()
    memory = network.encode(sources())
    tokens = torch.randint(4, V, (B, K))
    by_id = network.step(tokens, network.start(memory, K))
    by_vector = network.step(network.target_embedding.table(tokens), network.start(memory, K))
    assert torch.equal(by_id, by_vector)


def test_padding_of_the_source_and_of_the_target_changes_nothing():
    network = make()
    source, target = sources()[1:2, :4], torch.tensor([[BOS, 5, 6]])
    padded_source, padded_target = sources()[1:2], torch.tensor([[BOS, 5, 6, PAD]])
    alone = network.decode(network.encode(source), target)
    padded = network.decode(network.encode(padded_source), padded_target)
    torch.testing.assert_close(padded[:, :3], alone, atol=1e-6, rtol=1e-5)


def test_recorded_attention_is_a_distribution_over_real_source_tokens():
    network, source = make(), sources()
    state = network.start(network.encode(source), K)
    assert state.attention is None
    state.record_attention = True
    network.step(torch.full((B, K), BOS), state)
    assert state.attention.shape == (B, K, S)
    torch.testing.assert_close(state.attention.sum(-1), torch.ones(B, K))
    assert (state.attention[1, :, 4:] == 0).all()


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


def test_tables_are_shared_with_a_joint_vocabulary_and_apart_without():
    joint, apart = make(), make(source_vocab_size=11)
    assert joint.source_embedding is joint.target_embedding
    assert apart.source_embedding.table.num_embeddings == 11
    assert apart.num_parameters() == joint.num_parameters() + 11 * 16


def test_positions_follow_the_formula():
    table = sinusoids(50, 8)
    assert table[3, 1].item() == pytest.approx(torch.sin(torch.tensor(3 / 10_000 ** (2 / 8))).item(), abs=1e-6)
    assert table[3, 5].item() == pytest.approx(torch.cos(torch.tensor(3 / 10_000 ** (2 / 8))).item(), abs=1e-6)


@pytest.mark.parametrize("width, heads", [(30, 4), (15, 3)])
def test_a_width_that_does_not_fit_the_heads_is_refused(width, heads):
    with pytest.raises(UserError, match=rf"width {width} .* multiple of heads \({heads}\); \d+ would do"):
        Transformer(V, width=width, heads=heads)


def test_a_soft_state_that_picks_beams_is_a_hard_state():
    network, generator = make(), torch.Generator().manual_seed(4)
    memory = network.encode(sources())
    hard, soft = network.start(memory, K), network.start_soft(memory, K)
    for _ in range(T):
        tokens = torch.randint(4, V, (B, K), generator=generator)
        torch.testing.assert_close(network.step(tokens, soft), network.step(tokens, hard), atol=1e-5, rtol=1e-4)
        parents = torch.randint(K, (B, K), generator=generator)
        hard.reorder(parents)
        soft.mix(torch.nn.functional.one_hot(parents, K).float())


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
                queries, _, _ = layer.attention._split(y)
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
        visible.append(torch.nn.functional.pad(state.ancestry.visible, (0, (T - len(tokens)) * K)))
        state.reorder(torch.randint(K, (B, K), generator=generator))
    at_once = network.decode_tree(memory, torch.cat(tokens, dim=1), torch.cat(visible, dim=1), beams=K)
    torch.testing.assert_close(at_once, torch.cat(hidden, dim=1), atol=1e-5, rtol=1e-4)
