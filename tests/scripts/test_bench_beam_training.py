"""What the bench of the search in the loop measures of memory, where that is a promise."""

import sys
from pathlib import Path

import torch

from beamtrain.data.batch import Batch
from beamtrain.objectives import ParameterSearch, TeacherForcing

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from networks import small

from scripts.bench.beam_training import peak


def test_a_search_among_weights_holds_one_copy_of_them_whatever_the_candidates():
    network = small("transformer", 20000, width=64, layers=1)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    source, target = torch.tensor([[5, 6, 7, 2]]), torch.tensor([[8, 9, 2]])
    batch = Batch.of_pairs(source, target, torch.arange(1))

    def of(aim):
        def step():
            aim(network, batch, 1).total.backward()
            network.zero_grad()

        return peak(step, "cpu")

    held = [of(ParameterSearch(candidates=candidates)) for candidates in (2, 8)]
    assert held[0] == held[1] <= of(TeacherForcing()) + 1.1 * weights
