"""What search and training ask of every network: its two readings agree, and its states follow the beams.

The readings are all positions at once, and one position at a time with beams.
"""

import math

import pytest
import torch
from batches import batch_of
from networks import each_layout, small
from torch.nn.functional import cross_entropy, one_hot

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.model import GRUEncoderDecoder, Transformer
from beamtrain.model.base import Memory
from beamtrain.objectives import TeacherForcing

V, B, K, S, T = 23, 3, 4, 6, 7


def sources():
    source = torch.randint(4, V, (B, S), generator=torch.Generator().manual_seed(1))
    source[:, -1] = EOS
    source[1, 3:] = torch.tensor([EOS, PAD, PAD])
    return source


@pytest.mark.parametrize("beams_at_first", [1, K])
@pytest.mark.parametrize(
    "kind, options",
    [
        ("transformer", {}),
        ("transformer", {"norm": "post"}),
        ("foreign", {}),
        ("gru", {"layers": 1}),
        ("gru", {"layers": 3}),
        ("gru", {"source_vocab_size": 31}),
    ],
)
def test_steps_with_reordered_beams_equal_decoding_each_history_at_once(kind, options, beams_at_first):
    network, generator = small(kind, V, **options), torch.Generator().manual_seed(2)
    memory = network.encode(sources())
    repeated = Memory(memory.states.repeat_interleave(K, 0), memory.mask.repeat_interleave(K, 0))
    state = network.start(memory, beams_at_first)
    histories = torch.full((B, beams_at_first, 1), BOS)
    for t in range(T):
        hidden = network.step(histories[:, :, -1], state)
        assert state.length == t + 1
        now = histories.size(1)
        at_once = network.decode(repeated, histories.expand(-1, K, -1).flatten(0, 1))[:, -1].unflatten(0, (B, K))
        torch.testing.assert_close(hidden, at_once[:, :now], atol=2e-5, rtol=1e-4)
        parents = torch.randint(now, (B, K), generator=generator)
        tokens = torch.randint(4, V, (B, K, 1), generator=generator)
        state.reorder(parents)
        index = parents[:, :, None].expand(-1, -1, histories.size(2))
        histories = torch.cat((histories.gather(1, index), tokens), dim=2)


@each_layout
def test_beams_that_have_ended_cost_nothing_and_leave_the_others_as_they_were(kind):
    network, generator = small(kind, V), torch.Generator().manual_seed(7)
    memory = network.encode(sources())
    whole, thinned = network.start(memory, K), network.start(memory, K)
    ended = torch.zeros(B, K, dtype=torch.bool)
    rows = []
    of_each_slot = network.decoder.lowest if kind == "gru" else network.decoder[0].feed_forward
    of_each_slot.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0].size(0)))
    for t in range(T):
        tokens = torch.randint(4, V, (B, K), generator=generator)
        expected = network.step(tokens, whole)
        hidden = network.step(tokens.masked_fill(ended, EOS if t == 3 else PAD), thinned)
        assert hidden.isfinite().all()
        assert rows[-1] == (~ended).sum()
        torch.testing.assert_close(hidden[~ended], expected[~ended], atol=1e-5, rtol=1e-4)
        parents = torch.arange(K).expand(B, K).clone()
        parents[:, 0] = 1  # the first beam is always a copy of the second: no open beam descends from an ended one
        ended = torch.tensor([[False, False, t >= 2, t >= 2], [False] * K, [t >= 4] * K])
        whole.reorder(parents)
        thinned.reorder(parents)


@each_layout
def test_sentences_that_leave_do_not_change_the_others(kind):
    network, source = small(kind, V), sources()
    whole, kept = network.start(network.encode(source), K), network.start(network.encode(source), K)
    kept.record_attention = whole.record_attention = True
    tokens = torch.randint(4, V, (T, B, K), generator=torch.Generator().manual_seed(3))
    rows = torch.tensor([2, 0])
    for t in range(3):
        network.step(tokens[t], whole)
        network.step(tokens[t], kept)
    kept.keep(rows)
    torch.testing.assert_close(kept.attention, whole.attention[rows])
    for t in range(3, T):
        hidden = network.step(tokens[t], whole)
        torch.testing.assert_close(network.step(tokens[t][rows], kept), hidden[rows])
    torch.testing.assert_close(kept.attention, whole.attention[rows])


@each_layout
def test_a_token_and_its_embedding_are_the_same_input(kind):
    network = small(kind, V)
    memory = network.encode(sources())
    tokens = torch.randint(4, V, (B, K))
    by_id = network.step(tokens, network.start(memory, K))
    by_vector = network.step(network.embed(tokens), network.start(memory, K))
    assert torch.equal(by_id, by_vector)


@each_layout
def test_padding_of_the_source_and_of_the_target_changes_nothing(kind):
    network = small(kind, V)
    source, target = sources()[1:2, :4], torch.tensor([[BOS, 5, 6]])
    padded_source, padded_target = sources()[1:2], torch.tensor([[BOS, 5, 6, PAD]])
    alone = network.decode(network.encode(source), target)
    padded = network.decode(network.encode(padded_source), padded_target)
    torch.testing.assert_close(padded[:, :3], alone, atol=1e-6, rtol=1e-5)


@each_layout
def test_recorded_attention_is_a_distribution_over_real_source_tokens(kind):
    network, source = small(kind, V), sources()
    state = network.start(network.encode(source), K)
    assert state.attention is None
    state.record_attention = True
    network.step(torch.full((B, K), BOS), state)
    assert state.attention.shape == (B, K, S)
    torch.testing.assert_close(state.attention.sum(-1), torch.ones(B, K))
    assert (state.attention[1, :, 4:] == 0).all()


@each_layout
def test_a_soft_state_that_picks_beams_is_a_hard_state(kind):
    network, generator = small(kind, V), torch.Generator().manual_seed(4)
    memory = network.encode(sources())
    hard, soft = network.start(memory, K), network.start_soft(memory, K)
    for _ in range(T):
        tokens = torch.randint(4, V, (B, K), generator=generator)
        torch.testing.assert_close(network.step(tokens, soft), network.step(tokens, hard), atol=1e-5, rtol=1e-4)
        parents = torch.randint(K, (B, K), generator=generator)
        hard.reorder(parents)
        soft.mix(one_hot(parents, K).float())


@each_layout
def test_training_in_bfloat16_has_the_gradient_of_float32_but_for_rounding(kind):
    network, source = small(kind, V, dropout=0.0).train(), sources()
    target = torch.randint(4, V, (B, T), generator=torch.Generator().manual_seed(6))
    directions = []
    for enabled in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            logits = network.logits(network.decode(network.encode(source), target))
        cross_entropy(logits.float().flatten(0, 1), target.flatten()).backward()
        directions.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    assert torch.cosine_similarity(*directions, dim=0) > 0.99
    assert directions[1].norm().item() == pytest.approx(directions[0].norm().item(), rel=0.05)


@each_layout
def test_tables_are_shared_with_a_joint_vocabulary_and_apart_without(kind):
    joint, apart = small(kind, V), small(kind, V, source_vocab_size=11)
    assert joint.source_embedding.table is joint.target_embedding.table
    assert apart.source_embedding.table.num_embeddings == 11
    weights = [sum(parameter.numel() for parameter in network.parameters()) for network in (joint, apart)]
    assert weights[1] == weights[0] + 11 * 16


def test_what_is_never_said_has_no_probability_and_no_part_in_smoothing():
    network = small("foreign", V)
    batch = batch_of([([5, 6], [7, 8, 9]), ([10], [11])])
    hidden = network.decode(network.encode(batch.source), batch.target_in)
    logits = network.logits(hidden)
    assert (logits[..., BOS] == -math.inf).all() and logits[..., 2:].isfinite().all()
    others = [token for token in range(V) if token != BOS]
    places = batch.target_out != PAD
    gold = batch.target_out[places] - 1  # among the others, PAD aside
    expected = cross_entropy(logits[places][:, others], gold, label_smoothing=0.1, reduction="sum")
    found = TeacherForcing(label_smoothing=0.1)(network, batch).total
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        *(torch.autograd.grad(each, list(network.parameters())) for each in (found, expected)), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("network", [Transformer, GRUEncoderDecoder])
@pytest.mark.parametrize("width, heads", [(30, 4), (15, 3)])
def test_a_width_that_does_not_fit_the_heads_is_refused(network, width, heads):
    with pytest.raises(UserError, match=rf"width {width} .* multiple of heads \({heads}\); \d+ would do"):
        network(V, width=width, heads=heads)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"positions": "learned"}, "positions are learned and position_rows is None: such positions need a table"),
        ({"position_rows": 9}, "positions are sinusoidal and position_rows is 9: such positions have no table"),
        ({"start_token": V}, "start_token is 23; it must be a token of the vocabulary, from 0 to 22"),
        ({"source_vocab_size": 9, "source_end": 9}, "source_end is 9; .* from 0 to 8"),
        ({"positions": "fixed", "position_rows": 2, "first_position": 2}, "first_position is 2; .* below 2"),
    ],
)
def test_choices_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Transformer(V, width=16, heads=2, **options)


def test_beyond_the_last_position_there_is_a_clear_end():
    network = small("foreign", V)
    text = torch.full((1, 68), 5)
    memory = network.encode(text)
    assert network.max_positions == 68 and network.decode(memory, text).size(1) == 68
    with pytest.raises(UserError, match="a text of 69 tokens, but the network has positions for 68 only"):
        network.encode(torch.full((1, 69), 5))
