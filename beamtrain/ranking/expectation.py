"""Expectations over Plackett-Luce permutations, with the gradient by either of two estimators (Grover et al. 2019,
section 4)."""

from typing import Literal

import torch
from torch import Tensor

from beamtrain.ranking.checks import check_whole, checked_scores
from beamtrain.topk import reinforce, reparameterised
from beamtrain.topk.plackett_luce import Objective
from beamtrain.topk.transforms import in_full_precision

Estimator = Literal["reinforce", "reparameterised"]


@in_full_precision
def permutation_expectation(
    objective: Objective,
    scores: Tensor,
    generator: torch.Generator,
    estimator: Estimator = "reinforce",
    samples: int = 8,
    temperature: float = 1.0,
) -> Tensor:
    """An estimate (...) of E[objective(P)], P the matrix of a permutation drawn by scores (..., N), with a gradient.

    objective: matrices (samples, ..., N, N), row r for rank r -> (samples, ...). "reinforce" needs no gradient of it,
    is unbiased and noisy; "reparameterised" shows it NeuralSort relaxations at `temperature` (unit of the scores;
    the other ignores it), biased and much less noisy. Raises ValueError for other estimators, too few samples, no
    generator, and an objective that does not give one number for each matrix.
    """
    scores = checked_scores(scores)
    check_whole("samples", samples, 1)
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"generator must be a torch.Generator(scores.device), got {type(generator).__name__}")
    if estimator == "reinforce":
        return reinforce(objective, scores, samples, generator)
    if estimator == "reparameterised":
        return reparameterised(objective, scores, temperature, samples, generator)
    raise ValueError(f'estimator must be "reinforce" or "reparameterised", got {estimator!r}')
