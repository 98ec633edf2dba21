"""The logarithm of how much a beam has of a slot."""

import math

from torch import Tensor

_SMALLEST = 1e-9  # where the logarithm is taken; a share of 0 has no part


def log_share(share: Tensor) -> Tensor:
    """log of shares from 0 to 1, exactly -inf at 0, with a bounded gradient."""
    return share.clamp(min=_SMALLEST).log().masked_fill(share <= 0, -math.inf)
