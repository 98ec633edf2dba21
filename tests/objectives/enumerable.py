"""A network so small that all it can say is known: expectations over its output are sums."""

import itertools
import random

import torch
from batches import batch_of
from networks import small

from beamtrain.data.tokenizer import BOS, EOS, PAD

V, MOST = 5, 3  # tokens 3 and 4, EOS; at most so many in a sentence, EOS included
SENTENCES = [[*words, EOS] for n in range(MOST) for words in itertools.product(range(EOS + 1, V), repeat=n)]
REFERENCE = [3]  # its gold length is 2, so that a margin of 1 allows MOST
PAIR = ([4, 3], REFERENCE)


def network(kind="transformer", seed=4):
    """Its weights are Python's random numbers, which are the same with every PyTorch: how far a biased gradient is off
    depends on them."""
    made, numbers = small(kind, V, width=8, layers=1).double(), random.Random(seed)
    with torch.no_grad():
        for parameter in (each for each in made.parameters() if each.dim() > 1):
            drawn = [numbers.uniform(-1, 1) for _ in range(parameter.numel())]
            parameter.copy_(torch.tensor(drawn).view_as(parameter))
        for name, parameter in made.named_parameters():
            if parameter.dim() == 1:
                parameter.fill_(1.7 if name.endswith("norm.weight") else 0.0)
    return made


def hypotheses(sentences=SENTENCES):
    """(1, K, MOST)"""
    return torch.tensor([[each + [PAD] * (MOST - len(each)) for each in sentences]])


def sampler_log_probs(network):
    """(K,) of every sentence under what is sampled: no PAD, no BOS, and EOS for certain at the end."""
    memory = network.encode(batch_of([PAIR]).source)
    found = []
    for sentence in SENTENCES:
        logits = network.logits(network.decode(memory, torch.tensor([[BOS, *sentence[:-1]]])))[0]
        allowed = logits[:, EOS:].log_softmax(-1)
        free = [(t, token) for t, token in enumerate(sentence) if t + 1 < MOST]
        found.append(sum((allowed[t, token - EOS] for t, token in free), torch.zeros((), dtype=logits.dtype)))
    return torch.stack(found)


def flat_gradient(network, value):
    found = torch.autograd.grad(value, list(network.parameters()), allow_unused=True, retain_graph=True)
    named = zip(network.parameters(), found, strict=True)
    return torch.cat([(torch.zeros_like(p) if one is None else one).flatten() for p, one in named])


def draws(objective, network, rounds, copies):
    """(rounds, parameters) gradients of the part, each the mean over so many draws."""
    batch = batch_of([PAIR] * copies)
    torch.manual_seed(5)
    return torch.stack([flat_gradient(network, objective.part(network, batch)[0]) for _ in range(rounds)])


def chi_square(found, exact):
    """Mean over parameters of the squared distance of the mean of the draws from `exact` in standard errors: about 1
    where that is their expectation; and the norm of those standard errors in that of `exact`."""
    error = found.std(0) / len(found) ** 0.5
    seen = error > 1e-9 * exact.abs().max()
    return (((found.mean(0) - exact)[seen] / error[seen]) ** 2).mean().item(), (error.norm() / exact.norm()).item()


def tuples(count):
    """All ways to draw `count` sentences one after another, as places in SENTENCES."""
    return itertools.product(range(len(SENTENCES)), repeat=count)
