"""Sinkhorn's iteration in the log domain (Cuturi 2013; Peyre and Cuturi 2019, section 4.4), for whatever transports.

The plan with given row and column sums that is closest to exp(affinity) has the form exp(affinity_ij + r_i + s_j); each
iteration fits r to the rows, then s to the columns. A row or column whose sum has the logarithm -inf has no entries.
"""

import torch
from torch import Tensor


def scalings(affinity: Tensor, log_rows: Tensor, log_columns: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """r (..., N, 1) and s (..., 1, R) after so many iterations, 0 where there is no mass.

    Args:
        affinity: (..., N, R) minus the cost, in temperatures; finite.
        log_rows: (..., N) the logarithms of the row sums, -inf for none.
        log_columns: (..., R) the same of the columns, with the same total.
    """
    affinity = affinity.masked_fill(_empty(log_rows, log_columns), torch.finfo(affinity.dtype).min / 4)
    no_row, no_column = (log_rows == -torch.inf).unsqueeze(-1), (log_columns == -torch.inf).unsqueeze(-2)
    row_sums = log_rows.unsqueeze(-1).masked_fill(no_row, 0.0)
    column_sums = log_columns.unsqueeze(-2).masked_fill(no_column, 0.0)
    rows, columns = torch.zeros_like(affinity[..., :1]), torch.zeros_like(affinity[..., :1, :])
    for _ in range(iterations):
        rows = (row_sums - torch.logsumexp(affinity + columns, -1, keepdim=True)).masked_fill(no_row, 0.0)
        columns = (column_sums - torch.logsumexp(affinity + rows, -2, keepdim=True)).masked_fill(no_column, 0.0)
    return rows, columns


def plan(affinity: Tensor, log_rows: Tensor, log_columns: Tensor, iterations: int) -> Tensor:
    """The plan (..., N, R) itself, with the arguments of `scalings`; its column sums are exact."""
    rows, columns = scalings(affinity, log_rows, log_columns, iterations)
    return (affinity + rows + columns).masked_fill(_empty(log_rows, log_columns), -torch.inf).exp()


def row_shares(affinity: Tensor, log_rows: Tensor, log_columns: Tensor, iterations: int) -> Tensor:
    """The plan's rows (..., N, R) divided by their sums, which are those asked for only once it has converged; anything
    for a row without mass."""
    _, columns = scalings(affinity, log_rows, log_columns, iterations)
    return (affinity + columns).masked_fill((log_columns == -torch.inf).unsqueeze(-2), -torch.inf).softmax(-1)


def _empty(log_rows: Tensor, log_columns: Tensor) -> Tensor:
    """(..., N, R) where either has no mass"""
    return (log_rows == -torch.inf).unsqueeze(-1) | (log_columns == -torch.inf).unsqueeze(-2)
