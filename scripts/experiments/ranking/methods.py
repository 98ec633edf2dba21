"""The operators that the tasks compare, by the names of the tables."""

from collections.abc import Callable

import torch
from torch import Tensor

from beamtrain.topk import (
    FastSoftSort,
    Gumbel,
    LapSum,
    NeuralSort,
    Operator,
    RelaxedSubset,
    SinkhornSort,
    SoftSort,
    SoftTopK,
)

Maker = Callable[[float], Operator]  # by temperature


class SoftmaxInTurn(Operator):
    """k times a softmax: row r is the softmax over what is left when the r - 1 best have been taken away."""

    def weights(self, scores: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
        place = scores.argsort(-1, descending=True).argsort(-1)  # (..., M), 0 for the best
        taken = place.unsqueeze(-2) < torch.arange(k, device=scores.device).unsqueeze(-1)  # (..., k, M)
        return (scores / self.temperature).unsqueeze(-2).masked_fill(taken, -torch.inf).softmax(-1)


class AllPairs(Operator):
    """Soft ranks 1/2 + sum_j sigmoid((x_j - x_i) / temperature) (Qin, Liu and Li 2010), in N^2 memory."""

    gives = frozenset({"gradient", "ranks"})

    def __init__(self, temperature: float) -> None:
        super().__init__(temperature, None)

    def rank(self, scores: Tensor) -> Tensor:
        return 0.5 + torch.sigmoid((scores.unsqueeze(-2) - scores.unsqueeze(-1)) / self.temperature).sum(-1)


SETS: dict[str, Maker] = {  # for k of many, where the order of the k does not matter
    "SOFT": lambda t: SoftTopK(t, sorted=False),
    "sorted SOFT": SoftTopK,
    "NeuralSort": lambda t: NeuralSort(t, None),
    "NeuralSort, stochastic": lambda t: Gumbel(NeuralSort(t, None)),
    "SoftSort": lambda t: SoftSort(t, None),
    "Sinkhorn (Cuturi)": lambda t: SinkhornSort(t, None, iterations=20),
    "k softmaxes": lambda t: SoftmaxInTurn(t, None),
    "relaxed subset": lambda t: Gumbel(RelaxedSubset(t, None)),
    "LapSum": lambda t: LapSum(t, None, sorted=False),
    "fast soft rank": FastSoftSort,
}
SORTS: dict[str, Maker] = {  # for a whole permutation of a few
    "NeuralSort": lambda t: NeuralSort(t, None),
    "NeuralSort, stochastic": lambda t: Gumbel(NeuralSort(t, None)),
    "SoftSort": lambda t: SoftSort(t, None),
    "Sinkhorn": lambda t: SinkhornSort(t, None, iterations=20),
    "LapSum": lambda t: LapSum(t, None),
    "sorted SOFT": lambda t: SoftTopK(t, None),
    "fast soft rank": FastSoftSort,
}
