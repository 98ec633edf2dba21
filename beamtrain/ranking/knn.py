"""k nearest neighbours with a gradient (Grover et al. 2019, section 6.3; Xie et al. 2020, section 3).

The scores of a query are the negative squared distances to the neighbours, s_i = -||q - n_i||^2. With w_i the
operator's weight of neighbour i, summed over the k ranks, the label mass of class c is

    m_c = sum_{i: y_i = c} w_i / sum_i w_i,

the share of class c among the k nearest as the temperature falls. The temperature is in units of squared distance.
Losses: "linear", 1 - m_y, is Grover et al.'s; "log", -log m_y, is the cross-entropy of the label mass.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from beamtrain.ranking.reading import membership
from beamtrain.topk import Operator

Loss = Literal["log", "linear"]


class DifferentiableKNN(nn.Module):
    """kNN classification by any operator that selects or ranks; exact, hard kNN in `predict`.

    operator: any of beamtrain.topk; the soft set (sorted=False) is enough and the cheapest. k: number of neighbours.
    classes: labels are 0 .. classes - 1. Raises ValueError when an operator can neither select nor rank.
    """

    def __init__(self, operator: Operator, k: int, classes: int, loss: Loss = "log") -> None:
        super().__init__()
        if "weights" not in operator.gives:
            operator.require("ranks", purpose="kNN")
        if loss not in ("log", "linear"):
            raise ValueError(f'loss must be "log" or "linear", got {loss!r}')
        if k < 1 or classes < 1:
            raise ValueError(f"k and classes must be at least 1, got k = {k} and classes = {classes}")
        self.operator, self.k, self.classes, self.form = operator, k, classes, loss

    def forward(
        self,
        queries: Tensor,
        neighbours: Tensor,
        labels: Tensor,
        generator: torch.Generator | None = None,
        excluded: Tensor | None = None,
    ) -> Tensor:
        """The label mass (B, classes) of queries (B, D) among neighbours (N, D) with labels (N,); rows sum to 1.

        excluded: (B, N), true where a neighbour must not be looked at, such as the query itself; for operators that
        select.
        """
        scores = -squared_distances(queries, neighbours)  # (B, N)
        if excluded is not None:
            scores = scores.masked_fill(excluded, -torch.inf)
        weights = membership(scores, self.k, self.operator, generator)
        mass = weights @ nn.functional.one_hot(labels, self.classes).to(weights.dtype)  # (B, N) x (N, C) -> (B, C)
        return mass / mass.sum(-1, keepdim=True).clamp_min(torch.finfo(mass.dtype).tiny)

    def loss(
        self,
        queries: Tensor,
        targets: Tensor,
        neighbours: Tensor,
        labels: Tensor,
        generator: torch.Generator | None = None,
        excluded: Tensor | None = None,
    ) -> Tensor:
        """(B,), for queries (B, D) of the classes `targets` (B,)."""
        mass = self(queries, neighbours, labels, generator, excluded)
        right = mass.gather(-1, targets.unsqueeze(-1)).squeeze(-1)  # (B,)
        return 1.0 - right if self.form == "linear" else -right.clamp_min(1e-12).log()

    @torch.no_grad()
    def predict(self, queries: Tensor, neighbours: Tensor, labels: Tensor, block: int = 1000) -> Tensor:
        """The classes (B,) by exact kNN, `block` queries at a time."""
        nearest = [
            squared_distances(part, neighbours).topk(self.k, dim=-1, largest=False).indices
            for part in queries.split(block)
        ]
        return majority(labels[torch.cat(nearest)], self.classes)


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """||l - r||^2 for rows l of (..., B, D) and r of (..., N, D): (..., B, N), by one matrix product."""
    squares = left.square().sum(-1, keepdim=True) + right.square().sum(-1).unsqueeze(-2)
    return (squares - 2 * left @ right.mT).clamp_min(0.0)


def majority(labels: Tensor, classes: int) -> Tensor:
    """The commonest of labels (..., k), nearest first; among equally common ones that whose first vote is nearest."""
    places = torch.arange(labels.shape[-1], device=labels.device)
    earliness = torch.exp2(-(places + 2.0))  # they sum to less than half a vote, and an earlier one outweighs all later
    votes = nn.functional.one_hot(labels, classes) * (1.0 + earliness.double()).unsqueeze(-1)  # (..., k, C)
    return votes.sum(-2).argmax(-1)
