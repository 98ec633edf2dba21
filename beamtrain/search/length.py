"""How long a translation may get, and how its length enters its score."""

import math
from typing import Literal

import torch
from torch import Tensor

from beamtrain.base.errors import UserError

LengthPenalty = Literal["gnmt", "average", "none"]


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


def check_length_penalty(kind: str, alpha: float) -> None:
    """Raises UserError unless the penalty is known and alpha is a number that leaves every lp(n) representable."""
    if kind not in ("gnmt", "average", "none"):
        raise UserError(f"length_penalty is {kind!r}; it must be gnmt, average or none")
    if not (math.isfinite(alpha) and abs(alpha) <= 10):
        raise UserError(f"alpha is {alpha}; it must be a number from -10 to 10 (0 ignores the length)")


def check_length_limits(max_length: int | None, ratio: float, offset: int, min_length: int = 0) -> None:
    """Raises UserError unless `length_limits` can be computed from these settings."""
    if min_length < 0:
        raise UserError(f"min_length is {min_length}; it must be 0 or more (it counts the tokens with EOS)")
    if max_length is not None and max_length < 1:
        raise UserError(f"max_length is {max_length}; it must be 1 or more (it counts the tokens with EOS)")
    if max_length is not None and min_length > max_length:
        raise UserError(f"min_length {min_length} is above max_length {max_length}; lower one or raise the other")
    if not (math.isfinite(ratio) and ratio >= 0):
        raise UserError(f"max_length_ratio is {ratio}; it must be a finite number, 0 or more")
    if offset < 0:
        raise UserError(f"max_length_offset is {offset}; it must be 0 or more")


def length_limits(
    source_lengths: Tensor, max_length: int | None, ratio: float, offset: int, at_least: Tensor
) -> Tensor:
    """The most tokens a translation may have, EOS included, for each source length (B,) (EOS included) -> (B,)

    min(max_length, int(ratio * source length) + offset), raised to `at_least` (B,), what is known to be needed.
    """
    limits = (source_lengths * ratio).long() + offset
    return limits.clamp(max=max_length).maximum(at_least) if max_length is not None else limits.maximum(at_least)
