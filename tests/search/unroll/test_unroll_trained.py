"""On a network that was trained, the unroll returns what its users' beam search returns, to the last token."""

import pytest
import torch
from batches import batch_of
from test_unroll import as_sentences, searched, unrolled

from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import EOS
from beamtrain.model.transformer import Transformer
from beamtrain.objectives.teacher_forcing import TeacherForcing
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions
from beamtrain.search.unroll.length_limits import LengthLimits
from beamtrain.search.unroll.options import UnrollOptions
from beamtrain.search.unroll.step_by_step import soft_beam_search
from beamtrain.search.unroll.two_pass import two_pass_beam_search
from beamtrain.topk import SoftTopK

VOCABULARY, LIMIT = 16, 12


def sentences(count, generator):
    """Token sequences, and what they are translated to: in pairs, the greater token first."""
    for _ in range(count):
        length = int(torch.randint(2, 9, (), generator=generator))
        source = torch.randint(4, VOCABULARY, (length,), generator=generator).tolist()
        target = [token for i in range(0, length, 2) for token in sorted(source[i : i + 2], reverse=True)]
        yield source, target


@pytest.fixture(scope="module")
def trained():
    """A network that has learned most of it, and sources that it has not seen."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    network = Transformer(
        VOCABULARY, width=32, inner_width=64, heads=2, encoder_layers=1, decoder_layers=1, dropout=0.0
    )
    optimizer, objective = torch.optim.Adam(network.parameters(), lr=3e-3), TeacherForcing(0.1)
    for _ in range(300):
        pairs = list(sentences(32, generator))
        batch = batch_of(pairs)
        loss = objective(network, batch)
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        optimizer.step()
    unseen = list(sentences(12, generator))
    return network.double().eval(), pad([[*s, EOS] for s, _ in unseen]), [t for _, t in unseen]


def test_the_network_has_learned_something_but_not_everything(trained):
    network, source, targets = trained
    best = [hypotheses[0].tokens for hypotheses in beam_search(network, source, SearchOptions(beam_size=4))]
    right = [a == b for said, gold in zip(best, targets, strict=True) for a, b in zip(said, gold, strict=False)]
    assert sum(right) / len(right) > 0.6
    assert best != targets


@pytest.mark.parametrize("K", [1, 2, 4, 8])
@pytest.mark.parametrize("penalty", [{"length_penalty": "none"}, {"length_penalty": "gnmt", "alpha": 1.0}])
@pytest.mark.parametrize("search", [soft_beam_search, two_pass_beam_search])
def test_the_hard_unroll_is_the_users_search(trained, K, penalty, search):
    network, source, _ = trained
    beams = unrolled(network, source, LIMIT, search=search, beam_size=K, candidates=16, selection="hard")
    assert as_sentences(beams) == searched(network, source, LIMIT, K, **penalty)


@pytest.mark.parametrize("K", [1, 2, 4, 8])
@pytest.mark.parametrize("penalty", [{"length_penalty": "none"}, {"length_penalty": "gnmt", "alpha": 1.0}])
def test_the_soft_unroll_becomes_the_users_search_as_the_temperature_falls(trained, K, penalty):
    network, source, _ = trained
    operator = SoftTopK(1e-7, None)
    beams = unrolled(network, source, LIMIT, operator, beam_size=K, candidates=16, selection="soft")
    assert as_sentences(beams) == searched(network, source, LIMIT, K, **penalty)


@pytest.mark.parametrize("search", [soft_beam_search, two_pass_beam_search])
def test_the_unroll_ends_when_every_hypothesis_has(trained, search):
    network, source, _ = trained
    limits = LengthLimits.of(torch.full((source.size(0),), 40))
    options = UnrollOptions(beam_size=2, candidates=8)
    short, long = (
        search(network, network.encode(source), limits, options, SoftTopK(0.5, None), at_least=least)
        for least in (0, 20)
    )
    assert short.tokens.size(1) < 20 == long.tokens.size(1)
    torch.testing.assert_close(short.scores, long.scores)
    torch.testing.assert_close(short.lengths, long.lengths)
