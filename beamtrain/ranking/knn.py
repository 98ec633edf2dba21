"""k nearest neighbours with a gradient (Grover et al. 2019, section 6.3; Xie et al. 2020, section 3).

The scores of a query are the negative squared distances to the neighbours, s_i = -||q - n_i||^2. With w_i the
operator's weight of neighbour i, summed over the k ranks, the label mass of class c is

    m_c = sum_{i: y_i = c} w_i / sum_i w_i,

the share of class c among the k nearest as the temperature falls. The temperature is in units of squared distance.
Losses: "linear", 1 - m_y, is Grover et al.'s; "log", -log m_y, is the cross-entropy of the label mass, where a mass
below 1e-12 counts as that and has no gradient; "ranks" is for operators that rank but do not select: the mean of
max(0, r_i - k) / N over the k nearest of the right class, r the soft ranks of all neighbours; one that is missing
because there are fewer than k counts 0.
"""

from math import inf
from typing import Literal

import torch
from torch import Tensor, nn

from beamtrain.ranking.checks import (
    check_operator,
    check_points,
    check_shape,
    check_tensor,
    check_whole,
    checked_features,
    checked_labels,
)
from beamtrain.ranking.reading import membership, soft_ranks
from beamtrain.topk import Operator
from beamtrain.topk.checks import check_within
from beamtrain.topk.transforms import in_full_precision

Loss = Literal["log", "linear", "ranks"]


class DifferentiableKNN(nn.Module):
    """kNN classification by any operator that selects or ranks; exact, hard kNN in `predict`.

    operator: any of beamtrain.topk; the soft set (sorted=False) is enough and the cheapest. k: number of neighbours.
    classes: labels are 0 .. classes - 1. Raises ValueError when an operator can neither select nor rank, or has no
    ranks for the loss of them; when called, for fewer than k neighbours, and for other shapes or values than said.
    """

    def __init__(self, operator: Operator, k: int, classes: int, loss: Loss = "log") -> None:
        super().__init__()
        check_operator(operator)
        if loss not in ("log", "linear", "ranks"):
            raise ValueError(f'loss must be "log", "linear" or "ranks", got {loss!r}')
        if "weights" not in operator.gives:
            operator.require("ranks", purpose="kNN")
        if loss == "ranks" and "order" not in operator.gives:
            operator.require("ranks", purpose='kNN with loss="ranks"')
        check_whole("k", k, 1)
        check_whole("classes", classes, 1)
        self.operator, self.k, self.classes, self.form = operator, k, classes, loss

    @in_full_precision
    def forward(
        self,
        queries: Tensor,
        neighbours: Tensor,
        labels: Tensor,
        generator: torch.Generator | None = None,
        excluded: Tensor | None = None,
    ) -> Tensor:
        """The label mass (B, classes) of queries (B, D) among neighbours (N, D) with labels (N,).

        Rows sum to 1; to 0 where an operator that only ranks, at a high temperature, ranks none among the k best.
        excluded: (B, N), true where a neighbour must not be looked at, such as the query itself; at least k must be
        left.
        """
        scores = self._scores(queries, neighbours, excluded)
        labels = checked_labels("labels", labels, neighbours.shape[-2:-1], self.classes)
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
        check_points("queries", queries)
        targets = checked_labels("targets", targets, queries.shape[:-1], self.classes)
        if self.form == "ranks":
            scores = self._scores(queries, neighbours, excluded)
            labels = checked_labels("labels", labels, neighbours.shape[-2:-1], self.classes)
            return self._rank_loss(scores, labels == targets.unsqueeze(-1), generator)
        mass = self(queries, neighbours, labels, generator, excluded)
        right = mass.gather(-1, targets.unsqueeze(-1)).squeeze(-1)  # (B,)
        return 1.0 - right if self.form == "linear" else -right.clamp_min(1e-12).log()

    def _rank_loss(self, scores: Tensor, right: Tensor, generator: torch.Generator | None) -> Tensor:
        """(B,) from scores (B, N) and where the neighbours' class is the right one (B, N)."""
        ranks = soft_ranks(scores, self.operator, generator)
        best, nearest = scores.masked_fill(~right, -torch.inf).topk(self.k, dim=-1)  # (B, k)
        beyond = (ranks.gather(-1, nearest) - self.k).clamp_min(0.0).masked_fill(best == -torch.inf, 0.0)
        return beyond.mean(-1) / scores.shape[-1]

    @torch.no_grad()
    def predict(self, queries: Tensor, neighbours: Tensor, labels: Tensor, block: int = 500) -> Tensor:
        """The classes (B,) by exact kNN, `block` queries at a time, from distances in double precision."""
        check_points("queries", queries)
        check_points("neighbours", neighbours)
        check_whole("block", block, 1)
        labels = checked_labels("labels", labels, neighbours.shape[-2:-1], self.classes)
        exact, nearest = checked_features(neighbours).double(), []
        for part in queries.split(block):
            scores = self._scores(part.double(), exact, None)
            check_within("squared distances", -scores, 0.0, inf)
            nearest.append(scores.topk(self.k, dim=-1).indices)
        return majority(labels[torch.cat(nearest)], self.classes)

    def _scores(self, queries: Tensor, neighbours: Tensor, excluded: Tensor | None) -> Tensor:
        """(B, N), the nearest highest."""
        check_points("queries", queries)
        check_points("neighbours", neighbours)
        scores = -squared_distances(queries, neighbours)
        check_whole("k", self.k, 1, neighbours.shape[-2], "the number of neighbours")
        if excluded is None:
            return scores
        check_shape("excluded", excluded, scores.shape)
        if excluded.dtype != torch.bool:
            raise ValueError(f"excluded must be true or false, got {excluded.dtype}; convert it with .bool()")
        check_within("the number of neighbours that are not excluded", (~excluded).sum(-1), self.k, scores.shape[-1])
        return scores.masked_fill(excluded, -torch.inf)


@in_full_precision
def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """||l - r||^2 for rows l of (..., B, D) and r of (..., N, D): (..., B, N), by one matrix product, about the mean of
    r, which keeps what far points differ in: each is off by as much as rounding is of the points' squared distances to
    that mean. Raises ValueError unless both are floating point and have D features."""
    left, right = checked_features(left), checked_features(right)
    if left.shape[-1] != right.shape[-1]:
        raise ValueError(
            f"queries and neighbours must have as many features, got {left.shape[-1]} and {right.shape[-1]}"
        )
    centre = right.detach().mean(-2, keepdim=True)
    left, right = left - centre, right - centre
    squares = left.square().sum(-1, keepdim=True) + right.square().sum(-1).unsqueeze(-2)
    return (squares - 2 * left @ right.mT).clamp_min(0.0)


def majority(labels: Tensor, classes: int) -> Tensor:
    """The commonest of labels (..., k) in 0 .. classes - 1, nearest first; among equally common ones that whose first
    vote is nearest. Raises ValueError for other labels, and for none."""
    check_tensor("labels", labels)
    labels = checked_labels("labels", labels, labels.shape, classes)
    if labels.dim() == 0 or labels.shape[-1] == 0:
        raise ValueError(f"labels need a last dimension of at least one vote, got {tuple(labels.shape)}")
    given = nn.functional.one_hot(labels, classes)  # (..., k, C)
    return (given.sum(-2) * labels.shape[-1] - given.argmax(-2)).argmax(-1)  # less by where the first vote is, < k
