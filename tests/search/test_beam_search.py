"""The beam search against tables worked out by hand, exhaustive enumeration, and a search one candidate at a time."""

import math
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import each_network, small
from table_model import TableModel, all_sentences, log_prob, moody_table, naive_beam_search, penalty, random_table

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions

A, B_ = 3, 4
PENALTIES = [("none", 1.0), ("average", 1.0), ("average", -0.5), ("gnmt", 1.0), ("gnmt", 2.5), ("gnmt", 0.0)]


def one_source():
    return torch.tensor([[7, EOS]])


def at_most(limit, **options):
    """Options whose length limit is `limit` for every source."""
    return SearchOptions(max_length=limit, max_length_ratio=0, max_length_offset=limit, **options)


def hand_table():
    """
    (start): A .6   B .4          A and B: sentences "A" .6*.1, "B" .4*.9
    A:       EOS .1  A .5  B .4   A A: EOS 1      A B: EOS 1
    B:       EOS .9  A .1         B A: EOS 1
    """
    rows = {
        (): {A: 0.6, B_: 0.4},
        (A,): {EOS: 0.1, A: 0.5, B_: 0.4},
        (B_,): {EOS: 0.9, A: 0.1},
    }

    def probabilities(first, prefix):
        row = rows.get(prefix, {EOS: 1.0})
        return [row.get(token, 0.0) for token in range(5)]

    return TableModel(probabilities, 5)


def test_greedy_search_misses_what_a_beam_finds():
    greedy = beam_search(hand_table(), one_source(), at_most(4, beam_size=1, length_penalty="none"))
    beam = beam_search(hand_table(), one_source(), at_most(4, beam_size=2, n_best=2, length_penalty="none"))
    assert [h.tokens for h in greedy[0]] == [[A, A]]
    assert greedy[0][0].log_prob == pytest.approx(math.log(0.6 * 0.5))
    assert [h.tokens for h in beam[0]] == [[B_], [A, A]]
    assert [h.score for h in beam[0]] == pytest.approx([math.log(0.36), math.log(0.30)])
    assert beam[0][0].token_log_probs == pytest.approx([math.log(0.4), math.log(0.9)])
    assert beam[0][1].token_log_probs == pytest.approx([math.log(0.6), math.log(0.5), 0.0])


def test_length_penalty_changes_the_winner_as_computed_by_hand():
    def best(kind, alpha):
        options = at_most(4, beam_size=3, n_best=3, length_penalty=kind, alpha=alpha)
        return beam_search(hand_table(), one_source(), options)[0][0]

    assert best("gnmt", 0.5).tokens == [B_]  # log .36 / sqrt(7/6) = -.946 > log .30 / sqrt(8/6) = -1.043
    assert best("gnmt", 0.5).score == pytest.approx(math.log(0.36) / math.sqrt(7 / 6))
    assert best("average", 1.0).tokens == [A, A]  # log .30 / 3 = -.401 > log .36 / 2 = -.511
    assert best("average", 1.0).score == pytest.approx(math.log(0.30) / 3)


def test_only_eos_is_allowed_at_the_last_position_and_it_costs_its_probability():
    (hypothesis,) = beam_search(hand_table(), one_source(), at_most(2, beam_size=1))[0]
    assert hypothesis.tokens == [A]
    assert hypothesis.log_prob == pytest.approx(math.log(0.6 * 0.1))


def test_the_limit_follows_each_source():
    endless = TableModel(lambda first, prefix: [0, 0, 0.01, 0.99], 4)
    source = torch.tensor([[9, 9, 9, EOS], [9, EOS, PAD, PAD], [EOS, PAD, PAD, PAD]])
    options = SearchOptions(beam_size=2, max_length_ratio=1.5, max_length_offset=1)
    found = beam_search(endless, source, options)
    assert [len(hypotheses[0].tokens) + 1 for hypotheses in found] == [7, 4, 2]


def test_a_sentence_with_fewer_hypotheses_than_wanted_returns_what_exists():
    found = beam_search(hand_table(), one_source(), at_most(9, beam_size=8, n_best=8, length_penalty="none"))
    sentences = [[B_], [A, A], [A, B_], [A], [B_, A]]
    assert [h.tokens for h in found[0]] == sentences
    assert sum(math.exp(h.log_prob) for h in found[0]) == pytest.approx(1.0)


@pytest.mark.parametrize(("kind", "alpha"), PENALTIES)
def test_a_beam_with_room_for_every_sentence_equals_enumeration(kind, alpha):
    V, limit = 6, 4
    sentences = list(all_sentences(V, limit))
    assert len(sentences) == 1 + 3 + 9 + 27
    for seed in range(4):
        model = random_table(seed, V)
        options = at_most(limit, beam_size=40, n_best=40, length_penalty=kind, alpha=alpha)
        found = beam_search(model, one_source(), options)[0]
        scores = {s: log_prob(model, 7, s) / penalty(len(s), kind, alpha) for s in sentences}
        assert [(*h.tokens, EOS) for h in found] == sorted(sentences, key=lambda s: -scores[s])
        for h in found:
            sentence = (*h.tokens, EOS)
            assert h.score == pytest.approx(scores[sentence], abs=1e-5)
            assert h.log_prob == pytest.approx(log_prob(model, 7, sentence), abs=1e-5)


search_cases = dict(
    seed=st.integers(0, 10_000),
    beam_size=st.integers(1, 6),
    share=st.floats(0, 1),
    limit=st.integers(1, 9),
    kind=st.sampled_from(["none", "average", "gnmt"]),
    alpha=st.floats(-1, 3) | st.floats(-10, 10),
    table=st.sampled_from([moody_table, random_table]),
)


@settings(max_examples=200, deadline=None)
@given(**search_cases)
def test_equals_a_search_one_candidate_at_a_time_run_to_the_very_end(seed, beam_size, share, limit, kind, alpha, table):
    """With the early stop and sentences that leave the batch against without either."""
    model = table(seed, 6)
    n_best = 1 + round(share * (beam_size - 1))
    source = torch.tensor([[5, 5, EOS], [6, EOS, PAD], [7, 7, EOS], [8, EOS, PAD]])
    options = SearchOptions(
        beam_size, n_best, kind, alpha, max_length=limit, max_length_ratio=1, max_length_offset=max(0, limit - 3)
    )
    found = beam_search(model, source, options)
    for row, hypotheses in zip(source.tolist(), found, strict=True):
        size = sum(token != PAD for token in row)
        row_limit = min(limit, size + max(0, limit - 3))
        expected = naive_beam_search(model, row[0], beam_size, row_limit, kind, alpha)[:n_best]
        assert [(*h.tokens, EOS) for h in hypotheses] == [sentence for sentence, _, _ in expected]
        assert [h.score for h in hypotheses] == pytest.approx([score for _, score, _ in expected], abs=1e-4, rel=1e-5)
        assert [h.log_prob for h in hypotheses] == pytest.approx([raw for _, _, raw in expected], abs=1e-4)
        for h in hypotheses:
            assert sum(h.token_log_probs) == pytest.approx(h.log_prob, abs=1e-4)
            assert len(h.token_log_probs) == len(h.tokens) + 1


@settings(max_examples=200, deadline=None)
@given(min_length=st.integers(0, 8), dtype=st.sampled_from([torch.float32, torch.float64]), **search_cases)
def test_stopping_early_never_changes_the_result(min_length, dtype, seed, beam_size, share, limit, kind, alpha, table):
    limit = max(limit, min_length)
    options = at_most(
        limit,
        beam_size=beam_size,
        n_best=1 + round(share * (beam_size - 1)),
        length_penalty=kind,
        alpha=alpha,
        min_length=min_length,
    )
    source = torch.tensor([[5, EOS], [6, EOS], [7, EOS]])
    model = table(seed, 5)
    model.dtype = dtype
    early = beam_search(model, source, options)

    def all_finished(beams, *_):
        return (beams.finished | (beams.scores == -math.inf)).all(1)

    with patch("beamtrain.search.beam.settled", all_finished):
        assert beam_search(model, source, options) == early


def test_an_open_slot_that_a_longer_length_makes_the_winner_is_waited_for():
    rows = {(): [0, 0, 0.55, 0.45], (A,) * 9: [0, 0, 1, 0]}
    model = TableModel(lambda first, prefix: rows.get(prefix, [0, 0, 0, 1]), 4)
    (hypothesis,) = beam_search(model, one_source(), at_most(10, beam_size=2, alpha=1.0))[0]
    assert hypothesis.tokens == [A] * 9  # log .45 / (15 / 6) = -.319 > log .55 = -.598, but log .45 / (7 / 6) = -.684
    assert hypothesis.score == pytest.approx(math.log(0.45) / (15 / 6))


def test_a_finished_hypothesis_that_others_still_push_out_of_the_beam_is_not_final():
    rows = {(): [0, 0, 0.05, 0.95, 0], (A,): [0, 0, 0, 0.6, 0.4]}
    model = TableModel(lambda first, prefix: rows.get(prefix, [0, 0, 1, 0, 0]), 5)
    options = at_most(3, beam_size=2, length_penalty="average", alpha=-4.0)
    (hypothesis,) = beam_search(model, one_source(), options)[0]
    assert hypothesis.tokens == [A, A]  # "" has .05 against .57 and .38 of the two open ones, though it scores best
    assert hypothesis.score == pytest.approx(math.log(0.95 * 0.6) * 3**4)
    assert hypothesis.score < math.log(0.05)


@pytest.mark.parametrize(("kind", "alpha"), [("none", 1.0), ("gnmt", 0.3), ("gnmt", -1.0), ("average", -1.0)])
def test_stops_as_soon_as_the_bound_allows(kind, alpha):
    """The sentence "A" has .9 * .9; every other goes on with .9 at each position and could win by its length only."""
    limit = 40
    rows = {(): [0, 0, 0, 0.9, 0.1], (A,): [0, 0, 0.9, 0.05, 0.05]}
    model = TableModel(lambda first, prefix: rows.get(prefix, [0, 0, 0.1, 0.0, 0.9]), 5)
    (hypothesis,) = beam_search(model, one_source(), at_most(limit, beam_size=2, length_penalty=kind, alpha=alpha))[0]
    assert hypothesis.tokens == [A]

    def a_has_won_after(t):
        best_open = math.log(0.1 * 0.9 ** (t - 1))  # "B B B ..."
        most_favourable = max(penalty(n, kind, alpha) for n in range(t + 1, limit + 1))
        return math.log(0.9 * 0.9) / penalty(2, kind, alpha) > best_open / most_favourable

    assert model.steps == next(t for t in range(2, limit) if a_has_won_after(t))
    assert model.steps < limit


def random_network(kind="transformer", seed=0, V=37, scale=3.0):
    """The scale makes its choices sharp enough to end sentences."""
    network = small(kind, V, seed)
    with torch.no_grad():
        network.target_embedding.table.weight *= scale
        network.target_embedding.table.weight[EOS] *= 2
    return network


def sources(rows=9, longest=8, V=37, seed=3):
    generator = torch.Generator().manual_seed(seed)
    source = torch.full((rows, longest), PAD)
    for row in range(rows):
        length = int(torch.randint(1, longest, (1,), generator=generator))
        source[row, :length] = torch.randint(4, V, (length,), generator=generator)
        source[row, length] = EOS
    return source


def assert_same(found, expected):
    assert [[h.tokens for h in row] for row in found] == [[h.tokens for h in row] for row in expected]
    for row, expected_row in zip(found, expected, strict=True):
        for h, e in zip(row, expected_row, strict=True):
            assert h.score == pytest.approx(e.score, abs=2e-5)
            assert h.token_log_probs == pytest.approx(e.token_log_probs, abs=2e-5)


@each_network
@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_batch_gives_what_its_sentences_give_one_by_one(kind, beam_size):
    network, source = random_network(kind), sources()
    options = SearchOptions(beam_size=beam_size, n_best=beam_size, no_repeat_ngram=3)
    together = beam_search(network, source, options)
    assert len({len(row[0].tokens) for row in together}) > 2  # they leave the batch at different times
    alone = [beam_search(network, row[row != PAD].unsqueeze(0), options)[0] for row in source]
    assert_same(together, alone)


@each_network
def test_decoding_a_hypothesis_at_once_gives_the_log_probabilities_of_the_search(kind):
    network, source = random_network(kind, 1), sources(seed=4)
    found = beam_search(network, source, SearchOptions(beam_size=4, n_best=4, max_length=14))
    for row, hypotheses in zip(source, found, strict=True):
        memory = network.encode(row.unsqueeze(0))
        for h in hypotheses:
            log_probs = network.logits(network.decode(memory, torch.tensor([[BOS, *h.tokens]]))).log_softmax(-1)
            rescored = log_probs[0].gather(1, torch.tensor([*h.tokens, EOS]).unsqueeze(1)).squeeze(1)
            assert h.token_log_probs == pytest.approx(rescored.tolist(), abs=2e-5)
            assert h.log_prob == pytest.approx(rescored.sum().item(), abs=1e-4)


@each_network
def test_beam_one_is_greedy(kind):
    network, source = random_network(kind, 2), sources(seed=5)
    found = beam_search(network, source, SearchOptions(beam_size=1, max_length=12))
    for row, (h,) in zip(source, found, strict=True):
        memory, tokens = network.encode(row.unsqueeze(0)), [BOS]
        while tokens[-1] != EOS:
            logits = network.logits(network.decode(memory, torch.tensor([tokens])))[0, -1]
            logits[[PAD, BOS]] = -math.inf
            size = int((row != PAD).sum())
            tokens.append(EOS if len(tokens) == min(12, 2 * size + 10) else int(logits.argmax()))
        assert h.tokens == tokens[1:-1]


@each_network
@torch.no_grad()
def test_attention_has_a_row_for_every_token_and_equals_that_of_a_single_path(kind):
    network, source = random_network(kind, 3), sources(seed=6)
    found = beam_search(network, source, SearchOptions(beam_size=4, n_best=2, max_length=9), attention=True)
    for index, hypotheses in enumerate(found):
        for h in hypotheses:
            state = network.start(network.encode(source[index : index + 1]), 1)
            state.record_attention = True
            rows = []
            for token in [BOS, *h.tokens]:
                network.step(torch.tensor([[token]]), state)
                rows.append(state.attention[0, 0])
            assert h.attention.shape == (len(h.tokens) + 1, source.size(1))
            torch.testing.assert_close(h.attention, torch.stack(rows), atol=1e-5, rtol=1e-4)


@each_network
def test_bfloat16_keeps_its_scores_in_float32(kind):
    network, source = random_network(kind, 4).bfloat16(), sources(seed=7)
    for row in beam_search(network, source, SearchOptions(beam_size=3, n_best=3, max_length=10)):
        for h in row:
            assert h.log_prob == pytest.approx(sum(h.token_log_probs), abs=1e-5)
            assert h.log_prob <= 0


def test_a_network_that_gives_nan_is_reported():
    network = random_network()
    with torch.no_grad():
        network.target_embedding.table.weight[:] = math.nan
    with pytest.raises(UserError, match="gives no sentence a probability"):
        beam_search(network, sources(), SearchOptions(beam_size=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(beam_size=0), "beam_size is 0; it must be 1 or more"),
        (dict(beam_size=2, n_best=3), r"n_best is 3; it must be from 1 to beam_size \(2\)"),
        (dict(n_best=0), "n_best is 0"),
        (dict(alpha=math.inf), "alpha is inf; it must be a number from -10 to 10"),
        (dict(length_penalty="wu"), "length_penalty is 'wu'; it must be gnmt, average or none"),
        (dict(min_length=9, max_length=8), "min_length 9 is above max_length 8"),
        (dict(max_length_ratio=math.nan), "max_length_ratio is nan"),
        (dict(no_repeat_ngram=-1), "no_repeat_ngram is -1; it must be 1 or more, or 0"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(UserError, match=message):
        SearchOptions(**options)


@pytest.mark.parametrize("shared", ["rows of a table", "expanded"])
def test_logits_that_a_network_keeps_are_left_as_they_are(shared):
    network = small("transformer", 12)
    table = torch.randn(1, 1, 12).repeat(2, 3, 1) if shared == "rows of a table" else torch.randn(12).expand(2, 3, 12)
    before = table.clone()

    class Kept(type(network)):
        def logits(self, hidden):
            return table[: hidden.size(0), : hidden.size(1)]

    network.__class__ = Kept
    beam_search(network, torch.tensor([[7, EOS], [8, EOS]]), at_most(4, beam_size=3))
    assert torch.equal(table, before)
