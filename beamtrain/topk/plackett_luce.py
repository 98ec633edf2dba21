"""The Plackett-Luce distribution over permutations, and gradients of expectations under it (Grover et al. 2019,
section 4).

A permutation is drawn by picking candidates one after the other, each with probability softmax over those left:

    log p(pi | x) = sum_r [ x_pi(r) - logsumexp_{q>=r} x_pi(q) ]

Sorting scores plus Gumbel noise gives a sample. Two estimators of d E_pi[f(P_pi)] / dx, P_pi the permutation matrix:
REINFORCE (unbiased, any f, high variance), and the reparameterised one, which lets f see NeuralSort matrices of the
noisy scores (biased by the relaxation, low variance, f must accept unimodal matrices and be differentiable).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from beamtrain.topk.checks import check_at_least, check_scores, check_sizes
from beamtrain.topk.gumbel import gumbel_noise
from beamtrain.topk.neuralsort import neural_sort
from beamtrain.topk.transforms import in_full_precision

Objective = Callable[[Tensor], Tensor]  # permutation matrices (samples, ..., N, N) -> values (samples, ...)


@in_full_precision
def plackett_luce_log_prob(scores: Tensor, permutation: Tensor) -> Tensor:
    """log p(permutation | scores): scores (..., N) and candidates' indices (..., R), best first -> (...). R < N: the
    probability of that beginning. Masked candidates (-inf) come last, in any order: before any other, -inf."""
    check_sizes(scores)
    floor = torch.finfo(scores.dtype).min / 4  # stands for -inf, but has a derivative: 0
    chosen = scores.gather(-1, permutation)  # (..., R)
    others = scores.scatter(-1, permutation, floor).clamp_min(floor)  # (..., N)
    left = torch.cat([torch.logsumexp(others, -1, keepdim=True), chosen.clamp_min(floor).flip(-1)], -1)  # (..., 1 + R)
    left = running_logsumexp(left)[..., 1:].flip(-1)  # (..., R)
    steps = (chosen.clamp_min(floor) - left).masked_fill(chosen == -torch.inf, -torch.inf)
    return steps.masked_fill(left <= floor / 2, 0.0).sum(-1)


def running_logsumexp(values: Tensor) -> Tensor:
    """torch.logcumsumexp of finite values (..., R), with second derivatives where a first one is 0 (torch's are NaN):
    log R steps, each adding what lies twice as far back."""
    reach = 1
    while reach < values.shape[-1]:
        pairs = torch.stack([values[..., reach:], values[..., :-reach]])
        largest = pairs.detach().amax(0)
        added = largest + (pairs - largest).exp().sum(0).log()
        values = torch.cat([values[..., :reach], added], -1)
        reach *= 2
    return values


@in_full_precision
def plackett_luce_sample(scores: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    """Permutations (samples, ..., N), best first, of scores (..., N); masked candidates come last."""
    check_at_least(1, samples=samples)
    check_sizes(scores)
    check_scores(scores)
    repeated = scores.detach().expand(samples, *scores.shape)
    return (repeated + gumbel_noise(repeated, generator)).argsort(-1, descending=True)


def permutation_matrix(permutation: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """(..., N) -> (..., N, N): row r has 1 at the candidate of rank r."""
    candidates = torch.arange(permutation.shape[-1], device=permutation.device)
    return (permutation.unsqueeze(-1) == candidates).to(dtype)


def reinforce(objective: Objective, scores: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    """An estimate (...) of E_pi[objective(P_pi)] whose gradient by scores (..., N) is the REINFORCE estimate.

    The objective is evaluated without gradient. The mean of the other samples is each sample's baseline, which keeps
    the estimate unbiased; hence samples >= 2. Each sample is weighted with its probability over itself, so that
    derivatives of higher order are unbiased too (Foerster et al. 2018).
    """
    if samples < 2:
        raise ValueError(f"samples must be at least 2 (each one's baseline is the mean of the others), got {samples}")
    drawn = plackett_luce_sample(scores, samples, generator)  # (samples, ..., N)
    with torch.no_grad():
        values = _one_each(objective, permutation_matrix(drawn, scores.dtype))  # (samples, ...)
    log_prob = plackett_luce_log_prob(scores.expand(samples, *scores.shape), drawn)  # (samples, ...)
    advantage = (values - values.mean(0)) * (samples / (samples - 1))
    return values.mean(0) + (advantage * torch.expm1(log_prob - log_prob.detach())).mean(0)


def reparameterised(
    objective: Objective, scores: Tensor, temperature: float, samples: int, generator: torch.Generator
) -> Tensor:
    """An estimate (...) of E_pi[objective(P_pi)] on NeuralSort relaxations of the samples, differentiable by scores
    (..., N) through them; exact as temperature -> 0, when the gradient's variance grows without bound."""
    check_at_least(1, samples=samples)
    repeated = scores.expand(samples, *scores.shape)
    return _one_each(objective, neural_sort(repeated + gumbel_noise(repeated, generator), temperature)).mean(0)


def _one_each(objective: Objective, matrices: Tensor) -> Tensor:
    """The objective's values (samples, ...) of matrices (samples, ..., N, N)."""
    values = objective(matrices)
    wanted, found = matrices.shape[:-2], getattr(values, "shape", ())
    if found != wanted or not values.is_floating_point():
        raise ValueError(
            f"objective must give a floating-point value for each matrix, of shape {tuple(wanted)}; got "
            f"{getattr(values, 'dtype', type(values).__name__)} of shape {tuple(found)}"
        )
    return values
