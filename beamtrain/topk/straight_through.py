"""Hard selection, without and with the gradient of a soft operator."""

import torch
from torch import Tensor

from beamtrain.topk.base import Operator, Selection, Wrapper
from beamtrain.topk.hard import one_hot_ranks


class Hard(Operator):
    """Plain top-k: one-hot rows, no gradient through the choice."""

    gives = frozenset({"weights", "order"})

    def __init__(self, candidates: int | None = 64) -> None:
        super().__init__(candidates=candidates)

    def weights(self, scores: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
        return one_hot_ranks(scores, k)


class StraightThrough(Wrapper):
    """One-hot rows forward, the gradient of `operator` backward (Bengio, Leonard and Courville 2013).

    The gradient is that of the soft weights, taken as if they were what the loss saw: biased, low in variance.
    To draw samples wrap the other way round: Gumbel(StraightThrough(operator)).
    """

    def __init__(self, operator: Operator) -> None:
        operator.require("weights", "gradient", purpose="StraightThrough")
        if operator.draws:
            raise ValueError(
                f"StraightThrough({operator}) would harden the scores and not the sample; "
                "wrap the other way round: Gumbel(StraightThrough(operator))"
            )
        super().__init__(operator)

    def select(self, scores: Tensor, k: int, generator: torch.Generator | None = None) -> Selection:
        soft, indices = self.operator.select(scores, k)
        chosen = scores if indices is None else scores.gather(-1, indices)  # (..., M)
        hard = one_hot_ranks(chosen, k).to(soft.dtype)
        if "order" not in self.gives:
            hard = hard.sum(-2, keepdim=True)  # (..., k, M) -> (..., 1, M)
        return Selection(hard + (soft - soft.detach()), indices)  # the bracket is exactly 0
