"""Hypotheses that a network draws, and their log-probabilities with a gradient: what policy gradients are made of.

A sampler that stays below a length draws from the network's distribution over all tokens but PAD and BOS, and ends with
EOS for certain at the limit. `log_probs` are those of that very distribution, so that

    E_q[R(y) grad log q(y)] = grad E_q[R(y)]

holds exactly, for what is sampled.
"""

import torch
from torch import Tensor

from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.search.beams import Beams
from beamtrain.search.constraints import Constraints
from beamtrain.search.decode import decode
from beamtrain.search.sampling import Sampling
from beamtrain.search.unroll.length_limits import LengthLimits
from beamtrain.search.unroll.log_probs import token_log_probs


@torch.no_grad()
def draw(network: Seq2Seq, memory: Memory, limits: LengthLimits, samples: int) -> Tensor:
    """(B, N, T) tokens of N samples of each sentence, EOS, PAD; the random numbers are those of the CPU's generator."""
    uniform = torch.rand(memory.mask.size(0), samples, limits.most)
    return _decoded(network, memory, limits, samples, _Drawing(uniform.to(memory.mask.device), 1.0, 0, 1.0))


@torch.no_grad()
def greedy(network: Seq2Seq, memory: Memory, limits: LengthLimits) -> Tensor:
    """(B, 1, T) the likeliest token at every position, EOS, PAD."""
    uniform = torch.zeros(memory.mask.size(0), 1, limits.most, device=memory.mask.device)
    return _decoded(network, memory, limits, 1, _Drawing(uniform, 1.0, 1, 1.0))


class _Drawing(Sampling):
    """All that was drawn, also from weights that are no numbers: the loss tells, and training skips the step."""

    def ranking(self, beams: Beams) -> tuple[Tensor, Tensor]:
        slots, scores = super().ranking(beams)
        return slots, torch.zeros_like(scores)


def _decoded(network: Seq2Seq, memory: Memory, limits: LengthLimits, samples: int, sampling: Sampling) -> Tensor:
    beams = Beams.start(memory.mask, samples, attention=False)
    found = decode(
        network,
        memory,
        beams,
        Constraints(limits.each, first_token=network.first_token, first_limit=limits.least),
        sampling,
    )
    rows = pad([[*each.tokens, EOS] for hypotheses in found for each in hypotheses])  # (B * N, T)
    return rows.to(memory.mask.device).unflatten(0, (len(found), samples))


def log_probs(network: Seq2Seq, memory: Memory, hypotheses: Tensor, limits: LengthLimits) -> Tensor:
    """(B, N) log q of hypotheses (B, N, T), with a gradient; each distinct one is computed once."""
    B, N, T = hypotheses.shape
    sentences = torch.arange(B, device=hypotheses.device).repeat_interleave(N).unsqueeze(1)  # (B * N, 1)
    distinct, places = torch.cat((sentences, hypotheses.flatten(0, 1)), dim=1).unique(dim=0, return_inverse=True)
    sentences, tokens = distinct[:, 0], distinct[:, 1:]  # (R,), (R, T)
    before = torch.cat((torch.full_like(tokens[:, :1], BOS), tokens[:, :-1]), dim=1)  # (R, T)
    before = before.masked_fill(before == EOS, PAD)
    hidden = network.decode(Memory(memory.states[sentences], memory.mask[sentences]), before)  # (R, T, D)
    position = torch.arange(1, T + 1, device=tokens.device)
    free = (tokens != PAD) & (position < limits.each[sentences].unsqueeze(1))  # (R, T), at the limit EOS is certain
    if network.first_token is not None:
        free &= position > 1  # it is given
    forbidden = torch.tensor([PAD, BOS], device=tokens.device)
    found = token_log_probs(network, hidden[free], tokens[free], forbidden)  # (n,)
    every = found.new_zeros(tokens.shape).masked_scatter(free, found)  # (R, T)
    return every.sum(1)[places].view(B, N)


def first_of_each(hypotheses: Tensor) -> Tensor:
    """(B, N) whether no earlier hypothesis (B, N, T) of its sentence is the same."""
    same = (hypotheses.unsqueeze(1) == hypotheses.unsqueeze(2)).all(-1)  # (B, N, N)
    return ~same.tril(-1).any(-1)
