"""Every operator of the family that selects, and every function of the family, by name; how the tests call one."""

from collections.abc import Callable

import torch
from torch import Tensor

from beamtrain.topk import (
    Gumbel,
    Hard,
    LapSum,
    NeuralSort,
    Operator,
    Peaked,
    Perturbed,
    RelaxedSubset,
    Selection,
    SinkhornSort,
    SinkhornTopK,
    SoftSort,
    SoftTopK,
    StraightThrough,
    gumbel_softmax,
    neural_sort,
    plackett_luce_log_prob,
    reinforce,
    reparameterised,
    sinkhorn_quantile,
    sinkhorn_rank,
    sinkhorn_sort,
    sinkhorn_topk,
    soft_rank,
    soft_sort,
    soft_topk,
)

Maker = Callable[[float, int | None], Operator]

SELECTORS: dict[str, Maker] = {
    "soft": SoftTopK,
    "soft set": lambda t, c: SoftTopK(t, c, sorted=False),
    "sinkhorn": lambda t, c: SinkhornTopK(t, c, iterations=1000),
    "sinkhorn set": lambda t, c: SinkhornTopK(t, c, sorted=False, iterations=1000),
    "sinkhorn autograd": lambda t, c: SinkhornTopK(t, c, iterations=200, gradient="autograd"),
    "sinkhorn sort": lambda t, c: SinkhornSort(t, c, iterations=300),
    "neuralsort": NeuralSort,
    "softsort": SoftSort,
    "peaked": Peaked,
    "lapsum": LapSum,
    "lapsum set": lambda t, c: LapSum(t, c, sorted=False),
    "subset": RelaxedSubset,
    "perturbed": lambda t, c: Perturbed(t, c, samples=64),
    "gumbel softsort": lambda t, c: Gumbel(SoftSort(t, c)),
    "gumbel subset": lambda t, c: Gumbel(RelaxedSubset(t, c)),
    "gumbel neuralsort": lambda t, c: Gumbel(NeuralSort(t, c)),
    "gumbel straight-through": lambda t, c: Gumbel(StraightThrough(SoftTopK(t, c))),
    "gumbel perturbed": lambda t, c: Gumbel(Perturbed(t, c, samples=64)),
    "straight-through": lambda t, c: StraightThrough(SoftTopK(t, c)),
    "straight-through set": lambda t, c: StraightThrough(LapSum(t, c, sorted=False)),
    "hard": lambda t, c: Hard(c),
}

ITERATIVE = {name for name in SELECTORS if name.startswith("sinkhorn")}  # slow to converge when almost hard
DRAWING = {name for name, maker in SELECTORS.items() if maker(1.0, None).draws}


def select(name: str, scores: Tensor, k: int, temperature: float = 0.3, candidates: int | None = None) -> Selection:
    """The named operator's selection; operators that draw get the same noise every time."""
    return SELECTORS[name](temperature, candidates).select(scores, k, generator())


def random_scores(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal scores of standard deviation 1."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def spaced_scores(rows: int, columns: int, seed: int = 0) -> Tensor:
    """Every row a random order of 0, 1, 2, .. : no gap below 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(columns, generator=generator) for _ in range(rows)]).double()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def first_goes_first(permutation: Tensor) -> Tensor:
    """An objective for permutation matrices (..., N, N): whether candidate 0 has rank 1, and the others' ranks."""
    ranks = torch.arange(permutation.shape[-1], dtype=permutation.dtype, device=permutation.device)
    return permutation[..., 0, 0] + (permutation[..., 1:] * ranks.square().unsqueeze(-1)).sum((-1, -2)) / 100


def weights(name: str, scores: Tensor, candidates: int | None) -> Tensor:
    """Those of the named operator over all N; what records its iterations makes few of them, for any will do."""
    operator = SELECTORS[name](0.5, candidates and min(candidates, scores.shape[-1]))
    if isinstance(operator, SinkhornTopK | SinkhornSort):
        operator.iterations = 300 if "autograd" not in name and "sort" not in name else 20
    return operator.select(scores, 3, generator()).dense(scores.shape[-1])


# scores (..., N), N >= 3 -> a differentiable output (..., anything); what draws, draws the same at each call
FAMILY: dict[str, Callable[[Tensor], Tensor]] = {
    **{name: lambda x, name=name: weights(name, x, None) for name in SELECTORS},
    **{f"{name} of the best": lambda x, name=name: weights(name, x, 6) for name in SELECTORS},
    "soft_topk thresholds": lambda x: soft_topk(x, 3, 0.5, candidates=None).thresholds,
    "soft_topk thresholds of the best": lambda x: soft_topk(x, 3, 0.5, candidates=min(6, x.shape[-1])).thresholds,
    "sinkhorn_topk plain": lambda x: sinkhorn_topk(x, 3, 0.5, domain="plain", iterations=300),
    "sinkhorn_topk plain autograd": lambda x: sinkhorn_topk(
        x, 3, 0.5, domain="plain", gradient="autograd", iterations=20
    ),
    "sinkhorn_rank": lambda x: sinkhorn_rank(x, 0.5, iterations=20),
    "sinkhorn_sort": lambda x: sinkhorn_sort(x, 0.5, iterations=20),
    "sinkhorn_quantile": lambda x: sinkhorn_quantile(x, 0.4, 0.5, iterations=20),
    "neural_sort": lambda x: neural_sort(x, 0.5),
    "soft_rank": lambda x: soft_rank(x, 0.5),
    "soft_rank entropic": lambda x: soft_rank(x, 0.5, "entropic"),
    "soft_sort": lambda x: soft_sort(x, 0.5),
    "soft_sort entropic": lambda x: soft_sort(x, 0.5, "entropic"),
    "gumbel_softmax": lambda x: gumbel_softmax(x, 0.5, generator()),
    "gumbel_softmax hard": lambda x: gumbel_softmax(x, 0.5, generator(), hard=True),
    "plackett_luce_log_prob": lambda x: plackett_luce_log_prob(
        x, torch.arange(x.shape[-1], device=x.device).expand(x.shape)
    ),
    "reinforce": lambda x: reinforce(first_goes_first, x, 8, generator()),
    "reparameterised": lambda x: reparameterised(first_goes_first, x, 0.5, 8, generator()),
}
ESTIMATES = {name for name in FAMILY if "perturbed" in name or name == "reinforce"}  # gradients that are draws, too
HARDENED = {name for name in FAMILY if "straight" in name or name == "gumbel_softmax hard"}  # not of their output
WITHOUT_GRADIENT = {name for name in FAMILY if name.startswith("hard")}
