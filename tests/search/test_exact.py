"""Exact search finds what enumeration finds, in every batch, or says that it gave up."""

import math

import pytest
import torch
from networks import each_network, small
from table_model import all_sentences, log_prob, moody_table, penalty, random_table

from beamtrain.data.tokenizer import BOS, EOS
from beamtrain.search.beam import beam_search
from beamtrain.search.exact import exact_search
from beamtrain.search.options import SearchOptions

V, LIMIT = 6, 5
PENALTIES = [("none", 1.0), ("gnmt", 1.0), ("gnmt", -2.0), ("average", 1.0), ("average", -0.5)]


def options(kind: str = "none", alpha: float = 1.0, **others) -> SearchOptions:
    return SearchOptions(
        **{"beam_size": 1, "length_penalty": kind, "alpha": alpha, "max_length": LIMIT, "max_length_ratio": 0, **others}
    )


@pytest.mark.parametrize(("kind", "alpha"), PENALTIES)
@pytest.mark.parametrize("table", [random_table, moody_table])
def test_finds_what_enumeration_finds_of_every_sentence_of_a_batch(table, kind: str, alpha: float):
    missed = 0
    for seed in range(3):
        model = table(seed, V)
        sources = torch.tensor([[first, EOS] for first in range(4, 9)])
        found = exact_search(model, sources, options(kind, alpha), most=10_000)
        greedy = beam_search(model, sources, options(kind, alpha))
        for (first, _), exact, beam in zip(sources.tolist(), found, greedy, strict=True):
            scores = {s: log_prob(model, first, s) / penalty(len(s), kind, alpha) for s in all_sentences(V, LIMIT)}
            best = max(scores, key=scores.__getitem__)
            assert exact is not None
            assert (*exact.tokens, EOS) == best
            assert exact.score == pytest.approx(scores[best], abs=1e-6)
            assert exact.log_prob == pytest.approx(log_prob(model, first, best), abs=1e-6)
            missed += beam[0].score < exact.score - 1e-6
    assert missed, "greedy search finds every optimum: nothing was tested"


@each_network
def test_of_a_network(kind: str):
    network, source = small(kind, V=8), torch.tensor([[4, 5, 6, EOS], [7, EOS, 0, 0]])
    found = exact_search(network, source, options(max_length=4, beam_size=2), most=1000)
    sentences = list(all_sentences(8, 4))
    targets = torch.nn.utils.rnn.pad_sequence([torch.tensor([BOS, *s]) for s in sentences], batch_first=True)
    for row, exact in enumerate(found):
        memory = network.encode(source[row : row + 1, : int((source[row] != 0).sum())])
        many = type(memory)(memory.states.expand(len(sentences), -1, -1), memory.mask.expand(len(sentences), -1))
        with torch.no_grad():
            log_probs = network.logits(network.decode(many, targets[:, :-1])).log_softmax(-1)
        chosen = log_probs.gather(-1, targets[:, 1:, None]).squeeze(-1)  # (N, T)
        totals = chosen.masked_fill(targets[:, 1:] == 0, 0.0).sum(-1)
        best = int(totals.argmax())
        assert exact is not None and (*exact.tokens, EOS) == sentences[best]
        assert exact.log_prob == pytest.approx(float(totals[best]), abs=1e-4)


def test_obeys_what_the_options_allow():
    model, source = moody_table(1, V), torch.tensor([[5, EOS]])
    (exact,) = exact_search(model, source, options(min_length=3, no_repeat_ngram=1), most=10_000)
    allowed = [s for s in all_sentences(V, LIMIT) if len(s) >= 3 and len(set(s)) == len(s)]
    assert exact is not None
    assert (*exact.tokens, EOS) == max(allowed, key=lambda s: log_prob(model, 5, s))


def test_gives_up_one_sentence_and_not_the_others():
    """Sentence 4 has one translation of probability 1, sentence 5 goes on in every way."""
    sure, unsure = [0.0, 0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.01, 0.33, 0.33, 0.33]
    model = random_table(0, V)
    model.probabilities = lambda first, prefix: sure if first == 4 else unsure
    sources = torch.tensor([[5, EOS], [4, EOS], [5, EOS]])
    wide = options(max_length=8)
    assert [h is None for h in exact_search(model, sources, wide, most=20)] == [True, False, True]
    found = exact_search(model, sources, wide, most=5000)
    assert [h.log_prob for h in found if h] == pytest.approx([math.log(0.01), 0.0, math.log(0.01)])


def test_where_the_network_rounds_coarsely_it_is_what_beam_search_found_at_worst():
    network, generator = small("transformer", 40, width=64).to(torch.bfloat16), torch.Generator().manual_seed(0)
    for _ in range(30):
        sources = torch.cat((torch.randint(4, 40, (4, 4), generator=generator), torch.full((4, 1), EOS)), dim=1)
        found = exact_search(network, sources, options(), most=2000)
        greedy = beam_search(network, sources, options())
        for exact, (beam,) in zip(found, greedy, strict=True):
            assert exact is not None and exact.score >= beam.score - 0.1
