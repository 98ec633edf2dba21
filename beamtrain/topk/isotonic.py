"""Isotonic regression: where a sequence must be pooled so that its blocks' values do not decrease.

Arrays are float64 NumPy, rows one after the other (B, N). Blocks are given by their bounds in the flattened array,
0 = b_0 < b_1 < .. < BN; a block never spans rows.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def quadratic_fit(values: Floats) -> tuple[Floats, Indices]:
    """argmin_v ||v - y||^2, v_1 <= .. <= v_N, for each row y of `values` (B, N), flattened, and its blocks' bounds.

    SciPy's pool-adjacent-violators (Best and Chakravarti 1990), O(BN): a block has its mean. All rows are one
    problem for it: each is shifted above the one before, so that nothing pools across them.
    """
    from scipy.optimize import isotonic_regression  # a slow import, and only this function needs it

    if len(values) == 1:
        fit = isotonic_regression(values[0])
        return fit.x, fit.blocks
    spread = np.ptp(values, axis=1) + 1.0
    shifted = values - values.min(1, keepdims=True) + (spread.cumsum() - spread)[:, None]
    bounds = np.asarray(isotonic_regression(shifted.ravel()).blocks)
    return block_means(values.ravel(), bounds), bounds


def entropic_blocks(values: Floats, weights: Floats) -> Indices:
    """The blocks of argmin_v sum_i exp(s_i - v_i) + exp(w_i) v_i, v rising (Blondel et al. 2020, 5): a block's value is
    logsumexp(s) - logsumexp(w). values: s (B, N); weights: w (N,).

    Pools every run of decreasing neighbours at once, in the log domain, until there is none: any order of pooling gives
    the same blocks. Mostly a few rounds, each over the blocks that are left.
    """
    rows, columns = values.shape
    starts = np.arange(rows * columns)
    above, below = values.ravel(), np.tile(weights, rows)
    while True:
        level = above - below
        pooled = np.empty(len(starts), dtype=bool)  # whether a block joins the one before it
        pooled[:1] = False
        pooled[1:] = (level[:-1] > level[1:]) & (starts[1:] % columns != 0)
        if not pooled.any():
            return np.concatenate([starts, [rows * columns]])
        first = np.flatnonzero(~pooled)
        starts = starts[first]
        above, below = np.logaddexp.reduceat(above, first), np.logaddexp.reduceat(below, first)


def block_sums(values: Floats, bounds: Indices) -> Floats:
    """Every element replaced by its block's sum; values: (BN,)."""
    return np.repeat(np.add.reduceat(values, bounds[:-1]), bounds[1:] - bounds[:-1])


def block_means(values: Floats, bounds: Indices) -> Floats:
    """Every element replaced by its block's mean; values: (BN,)."""
    sizes = bounds[1:] - bounds[:-1]
    return np.repeat(np.add.reduceat(values, bounds[:-1]) / sizes, sizes)


def block_softmax(values: Floats, bounds: Indices) -> tuple[Floats, Floats]:
    """Within each block of values (BN,): the softmax, and its logsumexp at every element."""
    level = np.repeat(np.logaddexp.reduceat(values, bounds[:-1]), bounds[1:] - bounds[:-1])
    return np.exp(values - level), level
