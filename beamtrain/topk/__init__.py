"""Differentiable top-k: choosing, ranking and sorting with a gradient. PyTorch only (SciPy for `soft_rank`).

Functions for those who come for an operator alone; classes with one method, `select`, for code that exchanges them.
Every `temperature` is in the unit of the scores unless said; every operator becomes hard top-k as it falls.
docs/topk.md compares them.
"""

from beamtrain.topk.base import Operator, Selection
from beamtrain.topk.checks import unchecked
from beamtrain.topk.fast_soft_sort import FastSoftSort, soft_rank, soft_sort
from beamtrain.topk.gumbel import Gumbel, RelaxedSubset, gumbel_softmax, subset_topk
from beamtrain.topk.hard import hard_topk
from beamtrain.topk.lapsum import LapSum, lapsum_topk
from beamtrain.topk.neuralsort import NeuralSort, neural_sort, neural_topk
from beamtrain.topk.peaked import Peaked, peaked_topk
from beamtrain.topk.perturbed import Perturbed, perturbed_topk
from beamtrain.topk.plackett_luce import (
    plackett_luce_log_prob,
    plackett_luce_sample,
    reinforce,
    reparameterised,
)
from beamtrain.topk.sinkhorn import SinkhornTopK, sinkhorn_topk
from beamtrain.topk.sinkhorn_sort import SinkhornSort, sinkhorn_quantile, sinkhorn_rank, sinkhorn_sort
from beamtrain.topk.soft import SoftSelection, SoftTopK, soft_topk
from beamtrain.topk.softsort import SoftSort, softsort_topk
from beamtrain.topk.straight_through import Hard, StraightThrough

__all__ = [
    "FastSoftSort",
    "Gumbel",
    "Hard",
    "LapSum",
    "NeuralSort",
    "Operator",
    "Peaked",
    "Perturbed",
    "RelaxedSubset",
    "Selection",
    "SinkhornSort",
    "SinkhornTopK",
    "SoftSelection",
    "SoftSort",
    "SoftTopK",
    "StraightThrough",
    "gumbel_softmax",
    "hard_topk",
    "lapsum_topk",
    "neural_sort",
    "neural_topk",
    "peaked_topk",
    "perturbed_topk",
    "plackett_luce_log_prob",
    "plackett_luce_sample",
    "reinforce",
    "reparameterised",
    "sinkhorn_quantile",
    "sinkhorn_rank",
    "sinkhorn_sort",
    "sinkhorn_topk",
    "soft_rank",
    "soft_sort",
    "soft_topk",
    "softsort_topk",
    "subset_topk",
    "unchecked",
]
