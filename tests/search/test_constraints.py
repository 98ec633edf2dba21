"""Length bounds, forced prefixes and repeated n-grams, against a search that checks each hypothesis in plain Python."""

import math

import pytest
import torch
from table_model import TableModel, log_prob, naive_beam_search, random_table

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.search.beam import beam_search
from beamtrain.search.constraints import Constraints
from beamtrain.search.options import SearchOptions

SOURCE = torch.tensor([[5, EOS], [6, EOS], [7, EOS]])


def at_most(limit, **options):
    return SearchOptions(max_length=limit, max_length_ratio=0, max_length_offset=limit, **options)


def repeats(tokens, n):
    ngrams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(ngrams) != len(set(ngrams))


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("min_length", [0, 6])
def test_no_repeated_ngrams_equals_a_plain_python_check(n, min_length):
    V, limit = 7, 9

    def allowed(prefix):
        fresh = [token for token in range(EOS + 1, V) if not repeats((*prefix, token), n)]
        return fresh if fresh and len(prefix) + 1 < min_length else [EOS, *fresh]

    for seed in range(6):
        model = random_table(seed, V)
        options = at_most(limit, beam_size=3, n_best=3, no_repeat_ngram=n, min_length=min_length)
        for first, hypotheses in zip(SOURCE[:, 0].tolist(), beam_search(model, SOURCE, options), strict=True):
            expected = naive_beam_search(model, first, 3, limit, "gnmt", 1.0, allowed)
            assert [(*h.tokens, EOS) for h in hypotheses] == [sentence for sentence, _, _ in expected]
            assert not any(repeats(h.tokens, n) for h in hypotheses)


def test_eos_is_allowed_where_no_other_token_is_left():
    model = random_table(0, 5)  # two subwords, none may repeat: at most two tokens before EOS
    for row in beam_search(model, SOURCE, at_most(9, beam_size=2, no_repeat_ngram=1, min_length=8)):
        assert len(row[0].tokens) == 2


@pytest.mark.parametrize(("min_length", "limit"), [(1, 1), (1, 4), (3, 3), (3, 5), (6, 7)])
def test_lengths_stay_within_their_bounds(min_length, limit):
    lengths = set()
    for seed in range(20):
        model = random_table(seed, 5)
        for row in beam_search(model, SOURCE, at_most(limit, beam_size=3, n_best=3, min_length=min_length)):
            lengths |= {len(h.tokens) + 1 for h in row}
    assert lengths == set(range(min_length, limit + 1))


def test_a_minimum_above_the_limit_of_the_source_raises_it():
    options = SearchOptions(beam_size=2, min_length=7, max_length_ratio=1, max_length_offset=0)
    for row in beam_search(random_table(0, 5), SOURCE, options):
        assert len(row[0].tokens) + 1 == 7


def test_hypotheses_start_with_their_prefix_and_count_its_probability():
    model = random_table(3, 7)
    prefix = torch.tensor([[4, 4, 6], [5, PAD, PAD], [PAD, PAD, PAD]])
    options = at_most(6, beam_size=4, n_best=4, no_repeat_ngram=1)
    free = beam_search(model, SOURCE, options)
    found = beam_search(model, SOURCE, options, prefix=prefix)
    assert found[2] == free[2]
    assert found[0] != free[0]
    for first, forced, row in zip((5, 6, 7), ([4, 4, 6], [5], []), found, strict=True):
        for h in row:
            assert h.tokens[: len(forced)] == forced
            assert h.log_prob == pytest.approx(log_prob(model, first, (*h.tokens, EOS)), abs=1e-5)


def test_a_prefix_may_exceed_the_limit_of_the_source():
    prefix = torch.tensor([[4, 4, 4, 4], [4, PAD, PAD, PAD], [PAD, PAD, PAD, PAD]])
    options = SearchOptions(beam_size=2, max_length_ratio=1, max_length_offset=1)
    found = beam_search(random_table(0, 6), SOURCE, options, prefix=prefix)
    assert found[0][0].tokens == [4, 4, 4, 4]
    assert all(len(row[0].tokens) <= 2 for row in found[1:])


def test_the_most_likely_token_never_matters_if_it_is_pad_or_bos():
    model = TableModel(lambda first, prefix: [0.5, 0.3, 0.1, 0.06, 0.04], 5)
    (hypothesis,) = beam_search(model, SOURCE[:1], at_most(3, beam_size=1))[0]
    assert hypothesis.tokens == []
    assert hypothesis.log_prob == pytest.approx(math.log(0.1))  # the model's own, not rescaled


def test_forbidden_tokens_are_set_in_place_and_others_kept():
    log_probs = torch.arange(-12.0, 0).view(1, 2, 6)
    expected = log_probs.clone()
    constraints = Constraints(torch.tensor([5]), min_length=4, no_repeat_ngram=2)
    constraints.forbid(log_probs, torch.tensor([[[3, 4, 3], [5, 5, 5]]]))
    expected[0, :, [PAD, BOS]] = -math.inf
    expected[0, 0, 4] = expected[0, 1, 5] = -math.inf  # "3 4" and "5 5" again
    assert torch.equal(log_probs, expected)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ([[4], [4]], "one row for each of 3 sentences"),
        ([[PAD, 4], [4, 4], [4, 4]], "PAD between its tokens"),
        ([[4, 4], [BOS, 4], [4, 4]], "holds BOS or EOS"),
        ([[4, EOS], [4, 4], [4, 4]], "holds BOS or EOS"),
        ([[4] * 6, [4] * 6, [4] * 6], "a prefix and its EOS have 7 tokens, max_length is 6"),
    ],
)
def test_wrong_prefixes(prefix, message):
    with pytest.raises(UserError, match=message):
        beam_search(random_table(0, 6), SOURCE, at_most(6, beam_size=2), prefix=torch.tensor(prefix))
