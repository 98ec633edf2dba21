"""Random translations: the model's own distribution, or a part of it that leaves out unlikely tokens."""

import math
from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import PAD
from beamtrain.model.base import Seq2Seq
from beamtrain.search.beams import Beams
from beamtrain.search.constraints import Constraints
from beamtrain.search.decode import Strategy, decode
from beamtrain.search.hypothesis import Hypothesis
from beamtrain.search.options import check_length_limits
from beamtrain.search.step import Candidates


class Sampling(Strategy):
    """Every slot goes on by itself, with a token drawn at random."""

    def __init__(self, uniform: Tensor, temperature: float, top_k: int, top_p: float) -> None:
        self.uniform = uniform  # (B, N, longest limit), one number in [0, 1) for each token
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p

    def choose(self, log_probs: Tensor, beams: Beams) -> Candidates:
        kept = keep_likely(log_probs / self.temperature, self.top_k, self.top_p)  # (B, N, V)
        tokens = draw(kept.softmax(-1), self.uniform[..., beams.position]).masked_fill(beams.finished, PAD)
        chosen = log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1).masked_fill(beams.finished, 0.0)  # (B, N)
        slots = torch.arange(tokens.size(1), device=tokens.device).expand_as(tokens)
        return Candidates(scores=beams.scores + chosen, log_probs=chosen, parents=slots, tokens=tokens)

    def settled(self, beams: Beams, limits: Tensor) -> Tensor:
        return beams.finished.all(1) | (beams.position >= limits)  # past them only what is no number goes on

    def ranking(self, beams: Beams) -> tuple[Tensor, Tensor]:
        slots = torch.arange(beams.scores.size(1), device=beams.scores.device).expand(beams.scores.shape)
        return slots, beams.scores

    def keep(self, rows: Tensor) -> None:
        self.uniform = self.uniform[rows]


@torch.no_grad()
def sample(
    network: Seq2Seq,
    source: Tensor,
    *,
    seeds: Sequence[int],
    samples: int = 1,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    max_length: int | None = None,
    max_length_ratio: float = 2.0,
    max_length_offset: int = 10,
    prefix: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """Draw translations of every sentence, one token at a time.

    Tokens are drawn from softmax(log p / temperature) over the allowed ones: the `top_k` likeliest (Fan et al. 2018,
    section 5.2), and of these the fewest that together have a probability of at least `top_p` (Holtzman et al. 2020,
    eq. 2 and 3). `score` and `log_prob` of a hypothesis are the model's log-probability, not that of the draw.

    Each draw has its own random numbers, which follow from the sentence's seed and the draw's place among its draws
    alone: not from the rest of the batch, the number of draws, or the device, up to the rounding of the network.

    Args:
        network: used as it is; put it into eval mode first.
        source: (B, S) ids, each row ending in EOS, padded with PAD.
        seeds: one for each sentence, 0 or more.
        samples: N, translations of each sentence, in the order in which they were drawn.
        temperature: below 1 sharper than the model, above 1 flatter. For the likeliest sentence use `beam_search`.
        top_k: 0 allows every token.
        top_p: 1 allows every token.
        max_length, max_length_ratio, max_length_offset: as in `SearchOptions`; at the limit only EOS is allowed.
        prefix: as in `beam_search`.

    Raises:
        UserError: a setting out of its range, a number of seeds that is not the number of sentences, or a network
            whose output is not a number.
    """
    _check(samples, temperature, top_k, top_p)
    check_length_limits(max_length, max_length_ratio, max_length_offset)
    if len(seeds) != source.size(0):
        raise UserError(f"{len(seeds)} seeds for {source.size(0)} sentences; give one for each")
    memory = network.encode(source)
    constraints = Constraints.for_sources(
        memory.mask,
        network,
        max_length=max_length,
        max_length_ratio=max_length_ratio,
        max_length_offset=max_length_offset,
        prefix=prefix,
    )
    uniform = _uniform(seeds, samples, int(constraints.limits.max())).to(source.device)
    beams = Beams.start(memory.mask, samples, attention=False)
    return decode(network, memory, beams, constraints, Sampling(uniform, temperature, top_k, top_p))


def keep_likely(log_probs: Tensor, top_k: int, top_p: float) -> Tensor:
    """log_probs (..., V), not necessarily normalised, with -inf where top-k or top-p leaves a token out.

    The likeliest token is always kept. Which of equally likely tokens stays at the border is open.
    """
    V = log_probs.size(-1)
    if top_k in range(1, V) or top_p < 1:
        kept = top_k if top_k in range(1, V) else V
        values, tokens = log_probs.topk(kept)  # (..., kept), likeliest first
        if top_p < 1:
            before = values.softmax(-1).cumsum(-1).roll(1, -1)  # (..., kept), probability of the likelier ones
            before[..., 0] = 0.0
            values = values.masked_fill(before >= top_p, -math.inf)
        return torch.full_like(log_probs, -math.inf).scatter(-1, tokens, values)
    return log_probs


def draw(probs: Tensor, uniform: Tensor) -> Tensor:
    """Tokens from probabilities (..., V) by inversion: the first at which their running sum exceeds uniform (...)."""
    running = probs.cumsum(-1)  # (..., V)
    total = running[..., -1:]
    target = (uniform.unsqueeze(-1) * total).minimum(torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(running, target, right=True).squeeze(-1).clamp(max=probs.size(-1) - 1)


def _uniform(seeds: Sequence[int], samples: int, length: int) -> Tensor:
    """Random numbers in [0, 1): (B, samples, length). Those of a draw do not depend on `samples` and `length`."""
    generator, numbers = torch.Generator(), torch.empty(len(seeds), samples, length)
    for seed, row in zip(seeds, numbers, strict=True):
        for number, draw in enumerate(row):
            generator.manual_seed(Random(f"{seed} {number}").getrandbits(63))
            draw.uniform_(generator=generator)
    return numbers


def _check(samples: int, temperature: float, top_k: int, top_p: float) -> None:
    if samples < 1:
        raise UserError(f"samples is {samples}; it must be 1 or more")
    if not (math.isfinite(temperature) and temperature > 0):
        raise UserError(f"temperature is {temperature}; it must be above 0 (for the likeliest output, use beam search)")
    if top_k < 0:
        raise UserError(f"top_k is {top_k}; it must be 1 or more, or 0 to allow every token")
    if not 0 < top_p <= 1:
        raise UserError(f"top_p is {top_p}; it must be above 0 and at most 1 (1 allows every token)")
