"""Isotonic regression: where a sequence must be pooled so that its blocks' values do not decrease.

Arrays are float64 NumPy, rows one after the other (B, N); blocks are given by the flat index of their first element.
A block never spans rows.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def quadratic_blocks(values: Floats) -> Indices:
    """The blocks of argmin_v ||v - y||^2, v_1 <= .. <= v_N, for each row y of `values` (B, N): a block's value is its
    mean.

    SciPy's pool-adjacent-violators (Best and Chakravarti 1990), O(BN). All rows are one problem for it: each is
    shifted above the one before, so that nothing pools across them.
    """
    from scipy.optimize import isotonic_regression  # a slow import, and only this function needs it

    if len(values) > 1:
        spread = np.ptp(values, axis=1) + 1.0
        values = values - values.min(1, keepdims=True) + (spread.cumsum() - spread)[:, None]
    return np.asarray(isotonic_regression(values.ravel()).blocks[:-1], dtype=np.int64)


def entropic_blocks(values: Floats, weights: Floats) -> Indices:
    """The blocks of argmin_v sum_i exp(s_i - v_i) + exp(w_i) v_i, v rising (Blondel et al. 2020, 5): a block's value
    is logsumexp(s) - logsumexp(w). values: s (B, N); weights: w (N,).

    Pools every run of decreasing neighbours at once, in the log domain, until there is none: any order of pooling
    gives the same blocks. Seldom more than 30 rounds, each over the blocks that are left.
    """
    rows, columns = values.shape
    starts = np.arange(rows * columns)
    above, below = values.ravel(), np.tile(weights, rows)
    while True:
        level = above - below
        pooled = np.empty(len(starts), dtype=bool)  # whether a block joins the one before it
        pooled[0] = False
        pooled[1:] = (level[:-1] > level[1:]) & (starts[1:] % columns != 0)
        if not pooled.any():
            return starts
        first = np.flatnonzero(~pooled)
        starts = starts[first]
        above, below = np.logaddexp.reduceat(above, first), np.logaddexp.reduceat(below, first)


def block_sizes(starts: Indices, total: int) -> Indices:
    """How many elements each block has."""
    return np.diff(starts, append=total)


def block_sums(values: Floats, starts: Indices) -> Floats:
    """Every element replaced by its block's sum; values: (total,)."""
    return np.repeat(np.add.reduceat(values, starts), block_sizes(starts, len(values)))


def block_means(values: Floats, starts: Indices) -> Floats:
    """Every element replaced by its block's mean; values: (total,)."""
    sizes = block_sizes(starts, len(values))
    return np.repeat(np.add.reduceat(values, starts) / sizes, sizes)


def block_softmax(values: Floats, starts: Indices) -> tuple[Floats, Floats]:
    """Within each block of values (total,): the softmax, and its logsumexp at every element."""
    level = np.repeat(np.logaddexp.reduceat(values, starts), block_sizes(starts, len(values)))
    return np.exp(values - level), level
