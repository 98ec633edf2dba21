"""The two readings of the network agree: all positions at once, and one position at a time with beams."""

import pytest
import torch

from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.errors import UserError
from beamtrain.model.layers import sinusoids
from beamtrain.model.transformer import Transformer

V, B, K, S, T = 23, 3, 4, 6, 7


def make(norm="pre", **options):
    torch.manual_seed(0)
    network = Transformer(V, width=16, inner_width=32, heads=2, encoder_layers=2, decoder_layers=3, norm=norm, **options)
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
