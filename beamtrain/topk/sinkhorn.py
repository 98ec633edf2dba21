"""SOFT top-k by Sinkhorn's iteration, as its authors compute it: the reference and the baseline of `soft_topk`.

Xie et al. 2020, Algorithms 1 and 2; Cuturi 2013. In units where every candidate has mass 1, the plan P (N, k+1) has
row sums 1, column sums (N - k, 1, .., 1) and the form P_ij = u_i exp(x_i y_j / temperature) v_j with the atoms y = 0,
1, .., k; the paper's eps is 2 temperature. Each iteration fits the rows, then the columns.

Failure modes: the plain iteration multiplies by exp(theta / temperature) and overflows when scores spread over more
than some 400 temperatures in float32 (an error says so); the log-domain one is safe but needs one exponential for
every entry. Either needs ever more iterations as the temperature falls: 200 are some hundredths off at 0.1 and useless
at 0.01.

Axes: B problems, N scores, k ranks, J atoms (k + 1, or 2 for the plain operator).
"""

from typing import Any, Literal

import torch
from torch import Tensor

from beamtrain.topk import sinkhorn_iteration
from beamtrain.topk.base import Operator
from beamtrain.topk.checks import check_at_least, check_finite, check_scores, check_sizes
from beamtrain.topk.transforms import Transformable, forward_rule, in_full_precision, over_more_rows, primals


@in_full_precision
def sinkhorn_topk(
    scores: Tensor,
    k: int,
    temperature: float = 0.1,
    *,
    sorted: bool = True,
    iterations: int = 200,
    domain: Literal["log", "plain"] = "log",
    gradient: Literal["kkt", "autograd"] = "kkt",
) -> Tensor:
    """Weights (..., k, N), rank 1 first, of scores (..., N); (..., 1, N) summing to k for sorted=False.

    gradient: "kkt" differentiates the optimality conditions (Xie et al. 2020, Theorem 3), exact only at convergence;
    "autograd" differentiates the iterations and keeps every one of them in memory.
    """
    check_sizes(scores, temperature, k)
    check_at_least(1, iterations=iterations)
    if domain not in ("log", "plain") or gradient not in ("kkt", "autograd"):
        raise ValueError(f'domain must be "log" or "plain" and gradient "kkt" or "autograd", got {domain}, {gradient}')
    check_scores(scores, k)
    flat = scores.reshape(-1, scores.shape[-1])  # (..., N) -> (B, N)
    flat = flat.float() if flat.dtype in (torch.bfloat16, torch.float16) else flat
    flat = flat - flat.topk(k, dim=-1).values[:, -1:]
    atoms = k if sorted else 1
    if gradient == "kkt":
        function = _Kkt if torch.compiler.is_compiling() else _ForwardKkt
        (plan,) = function.apply(flat, k, atoms, float(temperature), iterations, domain)
    else:
        plan = _iterate(_affinity(flat, atoms, temperature), _masses(flat, k, atoms), iterations, domain)
    weights = plan[..., 1:].flip(-1).mT  # (B, N, J) -> (B, k, N), atoms 1..k -> ranks 1..k
    return weights.to(scores.dtype).reshape(*scores.shape[:-1], *weights.shape[1:])


def _affinity(scores: Tensor, atoms: int, temperature: float) -> Tensor:
    """x_i y_j / temperature: (B, N) -> (B, N, J); a masked candidate can only go to atom 0."""
    levels = torch.arange(1, atoms + 1, device=scores.device, dtype=scores.dtype)
    chosen = scores.unsqueeze(-1) * levels / temperature  # (B, N, J - 1)
    return torch.cat([torch.zeros_like(chosen[..., :1]), chosen], -1)


def _masses(scores: Tensor, k: int, atoms: int) -> Tensor:
    """Column sums (J,): N - k candidates stay out, and each rank (or the set of k) has its mass."""
    taken = 1.0 if atoms > 1 else float(k)
    return torch.tensor([scores.shape[-1] - k] + [taken] * atoms, device=scores.device, dtype=scores.dtype)


def _iterate(affinity: Tensor, masses: Tensor, iterations: int, domain: str) -> Tensor:
    """The plan (B, N, J) after so many row and column fits."""
    if domain == "log":
        return sinkhorn_iteration.plan(affinity, torch.zeros_like(affinity[..., 0]), masses.log(), iterations)
    kernel = (affinity - affinity.amax(-1, keepdim=True)).exp()  # a factor of each row is absorbed by its fit
    product = _summed if torch.is_grad_enabled() else torch.matmul  # autocast would cast what is recorded
    right = torch.ones_like(kernel[:, 0]).unsqueeze(-1)  # (B, J, 1)
    for _ in range(iterations):
        left = product(kernel, right).reciprocal()  # (B, N, J) x (B, J, 1) -> (B, N, 1)
        right = masses.unsqueeze(-1) / product(kernel.mT, left)  # (B, J, N) x (B, N, 1) -> (B, J, 1)
    plan = left * kernel * right.mT
    check_finite(
        plan,
        "plain Sinkhorn overflowed: the scores spread over too many temperatures; "
        'use domain="log", a higher temperature, or float64',
    )
    return plan


def _summed(matrix: Tensor, vector: Tensor) -> Tensor:
    """matrix (B, N, J) times vector (B, J, 1), by a sum."""
    return (matrix * vector.mT).sum(-1, keepdim=True)


class _Kkt(Transformable):
    """Sinkhorn forward, derivatives from the optimality conditions: k + 1 multipliers instead of a recorded iteration.
    Without the forward mode."""

    @staticmethod
    def forward(scores: Tensor, k: int, atoms: int, temperature: float, iterations: int, domain: str) -> tuple[Tensor]:
        return (_iterate(_affinity(scores, atoms, temperature), _masses(scores, k, atoms), iterations, domain),)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor]) -> None:
        scores, k, atoms, ctx.temperature, *_ = inputs
        ctx.masses = _masses(scores, k, atoms)
        ctx.save_for_backward(*output)
        ctx.save_for_forward(*output)

    @staticmethod
    @in_full_precision
    def backward(ctx: Any, by_plan: Tensor) -> tuple[Any, ...]:
        (plan,) = ctx.saved_tensors
        by_affinity = _keeping_sums(plan, ctx.masses, by_plan)
        levels = torch.arange(plan.shape[-1], device=plan.device, dtype=plan.dtype)
        return (by_affinity * levels).sum(-1) / ctx.temperature, None, None, None, None, None

    @staticmethod
    def vmap(_: Any, in_dims: Any, scores: Tensor, *settings: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return over_more_rows(_ForwardKkt, in_dims[0], (0,), scores, *settings)


class _ForwardKkt(_Kkt):
    """The same with the forward mode."""

    @staticmethod
    @forward_rule
    @in_full_precision
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor]:
        (plan,) = primals(ctx)
        return (_keeping_sums(plan, ctx.masses, _affinity(tangent, plan.shape[-1] - 1, ctx.temperature)),)


def _keeping_sums(plan: Tensor, masses: Tensor, values: Tensor) -> Tensor:
    """P (V + a_i + b_j) (B, N, J) with a and b such that its rows and columns sum to 0: the derivative of the plan P
    along the affinities V, and its transpose. b_0 = 0 fixes the common constant of a and b."""
    weighted = values * plan
    rows = weighted.sum(-1, keepdim=True)  # (B, N, 1)
    chosen = plan[..., 1:]
    factor = chosen.double() if torch.is_grad_enabled() else chosen  # autocast would cast what is recorded in float32
    constant_is_free = masses[0] == 0  # k = N: nobody goes to atom 0, and adding to b what a loses changes nothing
    system = torch.diag(masses[1:]) - factor.mT @ factor + constant_is_free  # (B, k, k)
    target = (weighted[..., 1:] - chosen * rows).sum(-2)  # (B, k)
    columns = torch.linalg.solve_ex(system.double(), target.double().unsqueeze(-1))[0].mT.to(plan.dtype)  # (B, 1, k)
    rows = rows - (chosen * columns).sum(-1, keepdim=True)
    return weighted - plan * (rows + torch.nn.functional.pad(columns, (1, 0)))


class SinkhornTopK(Operator):
    """sinkhorn_topk as an operator of the family."""

    def __init__(
        self,
        temperature: float = 0.1,
        candidates: int | None = 64,
        *,
        sorted: bool = True,
        iterations: int = 200,
        domain: Literal["log", "plain"] = "log",
        gradient: Literal["kkt", "autograd"] = "kkt",
    ) -> None:
        super().__init__(temperature, candidates)
        self.sorted, self.iterations, self.domain, self.gradient = sorted, iterations, domain, gradient
        if not sorted:
            self.gives = self.gives - {"order"}  # type: ignore[misc]

    def weights(self, scores: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
        return sinkhorn_topk(
            scores,
            k,
            self.temperature,
            sorted=self.sorted,
            iterations=self.iterations,
            domain=self.domain,
            gradient=self.gradient,
        )
