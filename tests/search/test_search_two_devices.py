"""No search mixes what it makes on the host with a network on a GPU; and the rules that the tests know it by."""

import pytest
import torch
from networks import each_layout, small
from two_devices import OnHost, as_on_a_gpu

from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import EOS
from beamtrain.search.beam import beam_search
from beamtrain.search.exact import exact_search
from beamtrain.search.options import SearchOptions
from beamtrain.search.sampling import sample

V = 13
PREFIX = torch.tensor([[7], [8]])
SEARCHES = {
    "beam": lambda network, source: beam_search(network, source, SearchOptions(beam_size=3, n_best=2, max_length=6)),
    "greedy": lambda network, source: beam_search(network, source, SearchOptions(beam_size=1, max_length=6)),
    "constrained": lambda network, source: beam_search(
        network,
        source,
        SearchOptions(beam_size=3, max_length=6, min_length=3, no_repeat_ngram=2, length_penalty="gnmt", alpha=1.0),
        prefix=PREFIX,
        attention=True,
    ),
    "exact": lambda network, source: exact_search(network, source, SearchOptions(max_length=3)),
    "samples": lambda network, source: sample(network, source, seeds=[1, 2], samples=2, max_length=6),
    "likely samples": lambda network, source: sample(
        network, source, seeds=[1, 2], top_k=4, top_p=0.9, max_length=6, prefix=PREFIX
    ),
}


@each_layout
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_runs_where_the_network_lies_on_a_gpu(name, kind):
    network, source = small(kind, V), pad([[5, 6, 9, EOS], [9, EOS]])
    with as_on_a_gpu(), torch.no_grad():
        found = SEARCHES[name](network, source)
    with torch.no_grad():
        expected = SEARCHES[name](network, source)
    assert len(found) == 2 and tokens(found) == tokens(expected)


def tokens(found):
    return [[each.tokens for each in (row if isinstance(row, list) else [row])] for row in found if row]


def test_the_rules_are_those_of_a_gpu():
    there = torch.ones(3)
    with as_on_a_gpu():
        here = torch.arange(3)
        assert isinstance(here + 1, OnHost) and not isinstance(here.to(there.device) + there, OnHost)
        assert not isinstance(torch.zeros(3, device=there.device) + there, OnHost)
        assert not isinstance(there * torch.tensor(2), OnHost) and there[here].shape == (3,)  # both are allowed
        for mixing in (
            lambda: there + here,
            lambda: torch.where(there > 0, here, there),
            lambda: torch.stack([there[0], torch.tensor(1.0)]),
            lambda: there.index_select(0, here),
        ):
            with pytest.raises(AssertionError, match=r"device|on the host"):
                mixing()
    assert not isinstance(torch.arange(3), OnHost)
