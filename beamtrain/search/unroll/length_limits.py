"""How far an unroll goes."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LengthLimits:
    """The most tokens of each sentence, EOS included; at the last one only EOS is allowed."""

    each: Tensor
    """(B,)"""
    least: int
    """The least of them, or less: known here, since asking a GPU would be a wait."""
    most: int
    """The greatest of them, or more."""

    @classmethod
    def of(cls, each: Tensor) -> "LengthLimits":
        """LengthLimits (B,) of which nothing is known yet."""
        return cls(each, int(each.min()), int(each.max()))
