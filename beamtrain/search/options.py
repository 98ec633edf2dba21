"""How users search. A field here is a setting of `model.search` and an option of the commands that search."""

import math
from dataclasses import dataclass
from typing import Literal

from beamtrain.base.errors import UserError

LengthPenalty = Literal["gnmt", "average", "none"]

MOST = {
    "beam_size": 1000,
    "min_length": 10_000,
    "max_length": 1_000_000,
    "max_length_ratio": 1000,
    "max_length_offset": 1_000_000,
    "no_repeat_ngram": 1_000_000,
}
"""Beyond these a search would do nothing but fill the memory."""


@dataclass(frozen=True)
class SearchOptions:
    """How to search. Lengths count subword tokens with EOS.

    Raises:
        UserError: a value out of its range, or two that contradict each other.
    """

    beam_size: int = 5
    """K, hypotheses kept at each position; 1 is greedy search."""
    n_best: int = 1
    """Hypotheses returned for each sentence; at most beam_size."""
    length_penalty: LengthPenalty = "gnmt"
    """gnmt, average or none. Scores are log_prob / lp, with lp ((5 + length) / 6)^alpha, length^alpha, or 1."""
    alpha: float = 1.0
    """Exponent of the length penalty, -10 to 10; 0 ignores the length."""
    min_length: int = 0
    """Fewest tokens."""
    max_length: int | None = None
    """Most tokens, besides the limit that follows from the source."""
    max_length_ratio: float = 2.0
    """Tokens that a translation may have for each token of its source, besides the offset."""
    max_length_offset: int = 10
    """Tokens that a translation may have whatever its source, besides the ratio."""
    no_repeat_ngram: int = 0
    """No n-gram of this many tokens occurs twice in a hypothesis; 0: any may."""

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            if (getattr(self, name) or 0) > most:
                raise UserError(f"{name} is {getattr(self, name)}; it must be {most:,} or less")
        if self.beam_size < 1:
            raise UserError(f"beam_size is {self.beam_size}; it must be 1 or more")
        if not 1 <= self.n_best <= self.beam_size:
            raise UserError(
                f"n_best is {self.n_best}; it must be from 1 to beam_size ({self.beam_size}): raise beam_size for more"
            )
        if self.no_repeat_ngram < 0:
            raise UserError(f"no_repeat_ngram is {self.no_repeat_ngram}; it must be 1 or more, or 0 to allow repeats")
        check_length_penalty(self.length_penalty, self.alpha)
        check_length_limits(self.max_length, self.max_length_ratio, self.max_length_offset, self.min_length)


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
