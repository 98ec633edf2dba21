"""Every operator of the family that selects, by name, and how the tests call one."""

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
    "straight-through": lambda t, c: StraightThrough(SoftTopK(t, c)),
    "straight-through set": lambda t, c: StraightThrough(LapSum(t, c, sorted=False)),
    "hard": lambda t, c: Hard(c),
}

ITERATIVE = {name for name in SELECTORS if name.startswith("sinkhorn")}  # slow to converge when almost hard
DRAWING = {name for name, maker in SELECTORS.items() if maker(1.0, None).draws}


def select(name: str, scores: Tensor, k: int, temperature: float = 0.3, candidates: int | None = None) -> Selection:
    """The named operator's selection; operators that draw get the same noise every time."""
    return SELECTORS[name](temperature, candidates).select(scores, k, torch.Generator().manual_seed(7))


def random_scores(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal scores of standard deviation 1."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def spaced_scores(rows: int, columns: int, seed: int = 0) -> Tensor:
    """Every row a random order of 0, 1, 2, .. : no gap below 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(columns, generator=generator) for _ in range(rows)]).double()
