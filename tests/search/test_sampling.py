"""Samples follow the distribution that they claim, and depend on nothing but their seed."""

import math
from collections import Counter

import pytest
import torch
from table_model import TableModel, all_sentences, log_prob, random_table

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.model.transformer import Transformer
from beamtrain.search.sampling import draw, keep_likely, sample

SOURCE = torch.tensor([[5, EOS], [6, EOS], [7, EOS]])
SHORT = dict(max_length=3, max_length_ratio=0, max_length_offset=3)


def chi_square(counts, expected):
    """Pearson's statistic, and the value that it stays below with probability 0.999 (Wilson and Hilferty 1931)."""
    statistic = sum((counts[s] - mean) ** 2 / mean for s, mean in expected.items())
    degrees = len(expected) - 1
    return statistic, degrees * (1 - 2 / (9 * degrees) + 3.09 * math.sqrt(2 / (9 * degrees))) ** 3


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_sentences_are_drawn_with_the_probability_of_the_model(temperature):
    """At each position softmax(log p / temperature) over EOS and the subwords, and EOS alone at the third."""
    V, samples = 5, 20_000
    model = random_table(2, V, concentration=2.0)
    found = sample(model, SOURCE[:1], seeds=[11], samples=samples, temperature=temperature, **SHORT)[0]
    counts = Counter((*h.tokens, EOS) for h in found)
    expected = {}
    for sentence in all_sentences(V, 3):
        probability = 1.0
        for t, token in enumerate(sentence[:2]):
            row = [p ** (1 / temperature) for p in model.probabilities(5, sentence[:t])]
            probability *= row[token] / sum(row[EOS:])
        expected[sentence] = samples * probability
    assert sum(expected.values()) == pytest.approx(samples)
    assert min(expected.values()) > 5
    statistic, bound = chi_square(counts, expected)
    assert statistic < bound


def test_scores_are_log_probabilities_of_the_model_whatever_the_draw():
    model = random_table(3, 6)
    found = sample(model, SOURCE, seeds=[1, 2, 3], samples=20, temperature=3.0, top_k=3, top_p=0.9, **SHORT)
    for first, hypotheses in zip((5, 6, 7), found, strict=True):
        for h in hypotheses:
            assert h.log_prob == pytest.approx(log_prob(model, first, (*h.tokens, EOS)), abs=1e-5)
            assert h.score == h.log_prob == pytest.approx(sum(h.token_log_probs), abs=1e-5)


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [
        (0, 1.0, [0, 1, 2, 3, 4]),
        (2, 1.0, [1, 3]),
        (3, 1.0, [0, 1, 3]),
        (9, 1.0, [0, 1, 2, 3, 4]),
        (0, 0.39, [3]),
        (0, 0.41, [1, 3]),
        (0, 0.7, [1, 3]),
        (0, 0.75, [0, 1, 3]),
        (2, 0.57, [3]),  # .4 of the .7 that top-k leaves is .571
        (2, 0.58, [1, 3]),
        (0, 1e-9, [3]),
    ],
)
def test_top_k_and_top_p_keep_the_tokens_counted_by_hand(top_k, top_p, kept):
    probs = torch.tensor([0.13, 0.3, 0.05, 0.4, 0.12])
    found = keep_likely(probs.double().log(), top_k, top_p)
    assert found.isfinite().nonzero().flatten().tolist() == kept
    torch.testing.assert_close(found[kept].exp().float(), probs[kept])


def test_samples_stay_within_top_k_and_reach_all_of_it():
    row = [0, 0, 0.3, 0.1, 0.28, 0.12, 0.2]
    model = TableModel(lambda first, prefix: row, 7)
    found = sample(model, SOURCE[:1], seeds=[0], samples=500, top_k=3, **SHORT)[0]
    assert {token for h in found for token in h.tokens} == {4, 6}
    assert {len(h.tokens) for h in found} == {0, 1, 2}


def test_draw_inverts_the_running_sum_and_never_meets_a_zero():
    probs = torch.tensor([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    below_one = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0)).item()
    uniform = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, below_one])
    assert draw(probs.expand(6, 6), uniform).tolist() == [1, 1, 3, 3, 4, 4]
    assert draw(probs.expand(6, 6) * 0.3, uniform)[-1] == 4  # sums need not be 1


def network_and_source():
    torch.manual_seed(0)
    network = Transformer(30, width=16, inner_width=32, heads=2, encoder_layers=1, decoder_layers=1).eval()
    with torch.no_grad():
        network.target_embedding.table.weight *= 3
    generator = torch.Generator().manual_seed(1)
    source = torch.randint(4, 30, (6, 7), generator=generator)
    for row, length in enumerate((2, 6, 4, 5, 2, 3)):
        source[row, length] = EOS
        source[row, length + 1 :] = PAD
    return network, source


def test_samples_depend_on_the_seed_of_their_sentence_alone():
    network, source = network_and_source()
    seeds = [3, 1, 4, 1, 5, 9]
    together = sample(network, source, seeds=seeds, samples=3, temperature=3.0, top_p=0.9)
    assert together == sample(network, source, seeds=seeds, samples=3, temperature=3.0, top_p=0.9)
    rows = [4, 1, 2]
    some = sample(network, source[rows], seeds=[seeds[row] for row in rows], samples=3, temperature=3.0, top_p=0.9)
    assert [[h.tokens for h in row] for row in some] == [[h.tokens for h in together[row]] for row in rows]
    other = sample(network, source, seeds=[seed + 10 for seed in seeds], samples=3, temperature=3.0, top_p=0.9)
    assert all(a != b for a, b in zip(together, other, strict=True))
    assert len({tuple(h.tokens) for h in together[1]}) == 3


def test_a_draw_does_not_depend_on_how_many_there_are():
    network, source = network_and_source()
    many = sample(network, source, seeds=range(6), samples=40, temperature=3.0)
    for samples in (1, 7):
        few = sample(network, source, seeds=range(6), samples=samples, temperature=3.0)
        assert [[h.tokens for h in row] for row in few] == [[h.tokens for h in row[:samples]] for row in many]
    assert len({tuple(h.tokens) for row in many for h in row}) > 200


def test_samples_respect_the_limit_of_their_source_and_their_prefix():
    network, source = network_and_source()
    prefix = torch.tensor([[5, 6], [7, PAD]] * 3)
    found = sample(network, source, seeds=range(6), max_length_ratio=1, max_length_offset=0, prefix=prefix)
    for row, forced, (h,) in zip(source, prefix.tolist(), found, strict=True):
        forced = [token for token in forced if token != PAD]
        assert h.tokens[: len(forced)] == forced
        assert len(h.tokens) + 1 <= max(int((row != PAD).sum()), len(forced) + 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(samples=0), "samples is 0; it must be 1 or more"),
        (dict(temperature=0.0), "temperature is 0.0; it must be above 0"),
        (dict(temperature=math.nan), "temperature is nan"),
        (dict(top_k=-1), "top_k is -1; it must be 1 or more, or 0"),
        (dict(top_p=0.0), "top_p is 0.0; it must be above 0 and at most 1"),
        (dict(top_p=1.1), "top_p is 1.1"),
        (dict(max_length=0), "max_length is 0"),
        (dict(seeds=[1]), "1 seeds for 3 sentences; give one for each"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(UserError, match=message):
        sample(random_table(0, 5), SOURCE, **{"seeds": [1, 2, 3], **options})


def test_weights_that_are_no_numbers_are_told_of():
    network, source = network_and_source()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(math.nan)
    with pytest.raises(UserError, match="gives no sentence a probability: are its weights finite"):
        sample(network, source, seeds=range(6))
