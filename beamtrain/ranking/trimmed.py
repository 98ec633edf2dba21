"""Soft least trimmed squares: the mean of all losses but the largest (Blondel et al. 2020, section 6.4).

    1/(n - t) sum_{r > t} l_(r),        l_(1) >= l_(2) >= .. softly sorted, t trimmed

Operators that select instead of sorting keep each loss with the weight 1 - its membership in the t largest, normalised.
Between the mean (t = 0) and a robust fit there is also the operator's temperature: as it rises, all losses count alike.
"""

import torch
from torch import Tensor

from beamtrain.ranking.checks import check_operator, check_whole, checked_scores
from beamtrain.ranking.reading import membership, sorted_values
from beamtrain.topk import Operator


def soft_trimmed_mean(
    losses: Tensor, trimmed: int, operator: Operator, generator: torch.Generator | None = None
) -> Tensor:
    """The mean (...) of losses (..., N) without the `trimmed` largest. Raises ValueError unless 0 <= trimmed < N, and
    for operators that only rank."""
    check_operator(operator)
    losses = checked_scores(losses)
    check_whole("trimmed", trimmed, 0, losses.shape[-1] - 1, "the number of losses less one,")
    if trimmed == 0:
        return losses.mean(-1)
    if "values" in operator.gives:
        return sorted_values(losses, operator, generator)[..., trimmed:].mean(-1)
    operator.require("weights", purpose="a trimmed mean without softly sorted values")
    kept = (1.0 - membership(losses, trimmed, operator, generator)).clamp_min(0.0)
    return (kept * losses).sum(-1) / kept.sum(-1)
