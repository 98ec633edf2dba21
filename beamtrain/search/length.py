"""How long a translation may get, and how its length enters its score."""

from collections.abc import Sequence

import torch
from torch import Tensor

from beamtrain.search.options import LengthPenalty, SearchOptions


def length_penalties(longest: int, kind: LengthPenalty, alpha: float) -> Tensor:
    """lp(n) for n = 0 ... longest, a float32 table (longest + 1,). A hypothesis of n tokens scores log p / lp(n).

    n counts the tokens with EOS, so it is never 0 (and entry 0 is 1).

        none:     lp(n) = 1
        average:  lp(n) = n^alpha              (alpha = 1: the mean log-probability of a token)
        gnmt:     lp(n) = ((5 + n) / 6)^alpha  (Wu et al. 2016, "Google's Neural Machine Translation System", eq. 14)

    alpha > 0 favours longer hypotheses, alpha = 0 is the same as none, alpha < 0 favours shorter ones.
    """
    lengths = torch.arange(longest + 1, dtype=torch.float64)
    lengths[0] = 1
    if kind == "none":
        return torch.ones(longest + 1)
    return (lengths if kind == "average" else (5 + lengths) / 6).pow(alpha).float()


def least(*limits: int | None) -> int | None:
    """The least of the limits, None being none."""
    return min((limit for limit in limits if limit is not None), default=None)


def length_limits(
    source_lengths: Tensor, max_length: int | None, ratio: float, offset: int, at_least: Tensor
) -> Tensor:
    """The most tokens a translation may have, EOS included, for each source length (B,) (EOS included) -> (B,)

    min(max_length, int(ratio * source length) + offset), raised to `at_least` (B,), what is known to be needed.
    """
    limits = (source_lengths * ratio).long() + offset
    return limits.clamp(max=max_length).maximum(at_least) if max_length is not None else limits.maximum(at_least)


def longest_translations(source_lengths: Sequence[int], options: SearchOptions) -> list[int]:
    """The same limits for those who search by other means; lengths with EOS, here as there."""
    at_least = torch.full((len(source_lengths),), max(1, options.min_length))
    bounds = options.max_length, options.max_length_ratio, options.max_length_offset
    return length_limits(torch.tensor(source_lengths), *bounds, at_least).tolist()
