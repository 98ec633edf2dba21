"""A task on which likelihood and reward disagree by known amounts: a copy that is always noisy.

The target of four words is noise (two words that no source has) with probability .3, else the copy of the source with
one of its words, each as often, replaced by a wrong one. The likeliest sentence is the noise; what shares most with
what may be meant is not.
"""

import itertools
import math
from functools import cache

import torch
from batches import batch_of
from networks import small

from beamtrain.objectives import Gleu, TeacherForcing
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions

V, NOISE, WRONG = 14, 12, 13
SOURCES = [[4, 5, 6, 7], [8, 4, 9, 10], [11, 10, 5, 8]]
REWARD = Gleu(2)


def targets(source):
    """Target -> how often of 40."""
    replaced = [[WRONG if place == wrong else word for place, word in enumerate(source)] for wrong in range(4)]
    return [([NOISE, NOISE], 12), *((target, 7) for target in replaced)]


ALL = [(source, target) for source in SOURCES for target, count in targets(source) for _ in range(count)]
BATCH = batch_of(ALL)  # the whole distribution: its means are expectations


def expected_reward(said):
    """Of one hypothesis for each source, or of many for the first one."""
    rows = [(source, target, count / 40) for source in SOURCES for target, count in targets(source)]
    if len(said) != len(SOURCES):
        rows = rows[:5]
        found = sum(share * REWARD.of(batch_of([([4], s) for s in said]).target_out[None], batch_of([(source, target)]))
                    for source, target, share in rows)  # fmt: skip
        return found[0]
    return sum(
        share * REWARD.of(batch_of([([4], said[SOURCES.index(source)])]).target_out[None], batch_of([(source, target)]))
        for source, target, share in rows
    ).item() / len(SOURCES)


@cache
def optimum():
    """The reward of the best of all hypotheses, the same for every source, whose words all differ."""
    words = [*SOURCES[0], NOISE, WRONG]
    every = [list(said) for n in range(1, 6) for said in itertools.product(words, repeat=n)]
    rewards = expected_reward(every)
    return rewards.max().item(), every[rewards.argmax()]


def decoded(network):
    """What users get."""
    found = beam_search(network.eval(), batch_of([(source, [4]) for source in SOURCES]).source, SearchOptions())
    network.train()
    return [best.tokens for best, *_ in found]


ENTROPY = -(0.3 * math.log(0.3) + 0.7 * math.log(0.175))  # of a target, in nats


def teacher_forced(kind):
    """A network at the optimum of likelihood: its nll is the entropy."""
    network = small(kind, V, seed=1, width=32, layers=1, dropout=0.0).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 120)
    for _ in range(120):
        loss = TeacherForcing(0.0)(network, BATCH)
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        optimizer.step()
        schedule.step()
    return network, loss.total.item() / len(ALL)
