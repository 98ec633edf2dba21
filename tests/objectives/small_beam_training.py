"""A small network, three pairs, and training with the search on them."""

import torch
from batches import batch_of
from networks import small

from beamtrain.objectives.beam_training import BeamTraining
from beamtrain.objectives.losses.expected_reward import ExpectedReward
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.search.unroll.options import UnrollOptions

V = 12


def network_and_batch(kind="transformer"):
    network = small(kind, V, layers=1, dropout=0.1).train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    return network, batch_of([([5, 6, 7], [8, 9]), ([4], [10, 11, 4]), ([9, 9], [7, 5])])


def objective(**settings):
    options = {"loss": ExpectedReward(Gleu(2)), "unroll": UnrollOptions(beam_size=3, candidates=8), **settings}
    return BeamTraining(**options)


def gradient(network, value):
    network.zero_grad()
    value.backward()
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
