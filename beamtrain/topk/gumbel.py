"""Sampled selection: Gumbel noise on the scores turns any operator into a relaxed sample without replacement.

The hard top-k of scores plus independent standard Gumbel noise is a Plackett-Luce sample: k candidates drawn one after
the other with probabilities softmax(scores), without replacement. A soft operator on the same noisy scores is a
relaxed sample with a reparameterised gradient; one on k = 1 is Gumbel-softmax (Jang, Gu and Poole 2017; Maddison,
Mnih and Teh 2017).
"""

import torch
from torch import Tensor

from beamtrain.topk.base import Operator, Selection, Wrapper, split_masked
from beamtrain.topk.checks import check_scores, check_sizes
from beamtrain.topk.hard import one_hot_ranks
from beamtrain.topk.transforms import in_full_precision


def gumbel_noise(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard Gumbel noise of the shape, type and device of `like`; without a generator, by the device's own."""
    return torch.empty_like(like).exponential_(generator=generator).log_().neg_()


@in_full_precision
def gumbel_softmax(scores: Tensor, temperature: float, generator: torch.Generator, *, hard: bool = False) -> Tensor:
    """softmax((scores + Gumbel noise) / temperature): (..., N) -> (..., N), a relaxed one-hot sample from
    softmax(scores).

    hard: one-hot forward, the gradient of the relaxed sample backward. Masked scores are never drawn.
    """
    check_sizes(scores, temperature)
    check_scores(scores)
    soft = ((scores + gumbel_noise(scores, generator)) / temperature).softmax(-1)
    if not hard:
        return soft
    return one_hot_ranks(soft, 1).squeeze(-2) + (soft - soft.detach())


def subset_topk(scores: Tensor, k: int, temperature: float = 0.1) -> Tensor:
    """Weights (..., k, N) of the successive softmax of scores (..., N); see RelaxedSubset."""
    return RelaxedSubset(temperature, None).select(scores, k).weights


class RelaxedSubset(Operator):
    """Successive softmax (Plotz and Roth 2018), the relaxation of Xie and Ermon 2019, Algorithm 2:

        a_r = softmax(alpha_r / temperature),    alpha_{r+1} = alpha_r + log(1 - a_r),    alpha_1 = scores

    Gumbel(RelaxedSubset(...)) is their relaxed subset sampling. log(1 - a) is held above log(1e-300): scores further
    apart than that (690) are chosen twice. So is, at temperatures from 1 up, a best one far ahead: its choice takes the
    lead, divided by the temperature, off its score.
    """

    def weights(self, scores: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
        finite, masked = split_masked(scores.double())
        rows = []
        for _ in range(k):
            row = (finite / self.temperature).masked_fill(masked, -torch.inf).softmax(-1)
            finite = finite + (1.0 - row).clamp_min(1e-300).log()
            rows.append(row)
        return torch.stack(rows, -2).to(scores.dtype)  # k times (..., M) -> (..., k, M)


class Gumbel(Wrapper):
    """`operator` on scores (log-probabilities up to a constant) plus Gumbel noise from the generator given to
    `select`.

    The temperature is the operator's; as it falls the rows become an exact Plackett-Luce sample.
    """

    draws = True

    def __init__(self, operator: Operator) -> None:
        operator.require("weights", purpose="Gumbel")
        if isinstance(operator, Gumbel):
            raise ValueError(
                f"Gumbel({operator}) would add the noise twice, which is no Plackett-Luce sample; "
                "wrap the operator once: Gumbel(operator)"
            )
        super().__init__(operator)

    def select(self, scores: Tensor, k: int, generator: torch.Generator | None = None) -> Selection:
        return self.operator.select(scores + gumbel_noise(scores, self.needed(generator)), k, generator)
