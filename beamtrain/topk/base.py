"""The contract of the family: scores (B, N) and k -> weights over candidates, one row for each rank, best first.

Every operator is a small object with plain settings. `select` gives a Selection; what an operator cannot give is
declared in `gives`, and asking for it is an error that names the operators that can. Leading dimensions are free:
(..., N).
"""

from abc import ABC
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from beamtrain.topk.checks import check_best, check_scores, check_sizes, check_temperature
from beamtrain.topk.hard import hard_topk
from beamtrain.topk.transforms import in_full_precision

Ability = Literal["weights", "order", "gradient", "ranks", "values"]

MEANING: dict[Ability, str] = {
    "weights": "weights over the candidates",
    "order": "one row of weights for each rank",
    "gradient": "gradient",
    "ranks": "soft ranks",
    "values": "softly sorted values",
}


class Selection(NamedTuple):
    """weights (B, k, M), rank 1 first (one row (B, 1, M) summing to k from operators without order); indices (B, M)
    into N, or None where M = N in the scores' own order."""

    weights: Tensor
    indices: Tensor | None

    def dense(self, columns: int) -> Tensor:
        """The weights over all N = columns candidates: (B, k, N)."""
        if self.indices is None:
            return self.weights
        shape = (*self.weights.shape[:-1], columns)
        target = self.indices.unsqueeze(-2).expand(self.weights.shape)  # (B, M) -> (B, k, M)
        return self.weights.new_zeros(shape).scatter_add_(-1, target, self.weights)


class Operator(ABC):  # noqa: B024 - which of the methods a subclass implements is what `gives` declares
    """Base of all operators. temperature: in the unit of the scores; as it falls the weights become hard top-k.
    candidates: only the best M scores take part, all others get weight 0; None: all N take part."""

    gives: ClassVar[frozenset[Ability]] = frozenset({"weights", "order", "gradient"})
    draws: ClassVar[bool] = False  # whether it needs a generator

    def __init__(self, temperature: float = 0.1, candidates: int | None = 64) -> None:
        check_temperature(temperature)
        kind = type(self)
        if "weights" in self.gives and kind.weights is Operator.weights and kind.select is Operator.select:
            raise TypeError(f"{kind.__name__} has neither `weights` nor `select` of its own: choose one that has")
        if candidates is not None and candidates < 1:
            raise ValueError(f"candidates must be None (all) or at least 1, got {candidates}")
        self.temperature = temperature
        self.candidates = candidates

    @in_full_precision
    def select(self, scores: Tensor, k: int, generator: torch.Generator | None = None) -> Selection:
        """Weights over the best candidates of scores (..., N). generator: for operators that draw; others ignore it.

        Raises ValueError for NaN, +inf, k out of range, fewer than k finite scores, and for what is not in `gives`.
        """
        self.require("weights")
        check_sizes(scores, self.temperature, k, self.candidates)
        if self.draws:
            self.needed(generator)
        if self.candidates is None:
            check_scores(scores, k)
            return Selection(self._in_own_type(scores, k, generator), None)
        best, indices = hard_topk(scores, min(self.candidates, scores.shape[-1]))  # (..., N) -> (..., M)
        check_best(best, k)
        return Selection(self._in_own_type(scores.gather(-1, indices), k, generator), indices)

    def rank(self, scores: Tensor) -> Tensor:
        """Soft ranks (..., N) of scores (..., N), 1 for the best."""
        self.require("ranks")
        raise NotImplementedError

    def sort(self, scores: Tensor) -> Tensor:
        """Softly sorted scores (..., N), best first."""
        self.require("values")
        raise NotImplementedError

    def require(self, *abilities: Ability, purpose: str = "this use") -> None:
        """Raise ValueError unless the operator gives all of `abilities`."""
        for ability in abilities:
            if ability not in self.gives:
                raise ValueError(
                    f"{self} gives no {MEANING[ability]}, which {purpose} needs; it gives "
                    f"{', '.join(sorted(self.gives)) or 'nothing'}. Operators that do: {', '.join(giving(*abilities))}"
                )

    def needed(self, generator: torch.Generator | None) -> torch.Generator:
        """The generator, or ValueError: an operator that draws never uses a hidden global state."""
        if generator is None:
            raise ValueError(f"{self} draws noise: pass generator=torch.Generator(scores.device).manual_seed(...)")
        return generator

    def weights(self, scores: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
        """The operator itself: finite or masked scores (..., M), in any order, at least float32 -> (..., k, M)."""
        raise NotImplementedError

    def _in_own_type(self, scores: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
        wide = scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores
        return self.weights(wide, k, generator).to(scores.dtype)

    def __str__(self) -> str:
        return type(self).__name__


class Wrapper(Operator):
    """An operator around another one, whose settings it shares."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.gives = operator.gives - {"ranks", "values"}  # type: ignore[misc]
        super().__init__(operator.temperature, operator.candidates)

    @property
    def temperature(self) -> float:
        return self.operator.temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        self.operator.temperature = value

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.operator})"


def giving(*abilities: Ability) -> list[str]:
    """The names of the operators here that have all of the abilities."""
    found, classes = [], Operator.__subclasses__()
    while classes:
        ours = [each for each in classes if each.__module__.startswith("beamtrain.topk.") and each is not Wrapper]
        found += [operator.__name__ for operator in ours if set(abilities) <= operator.gives]
        classes = [below for operator in classes for below in operator.__subclasses__()]
    return sorted(found)


def split_masked(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Scores with 0 in place of -inf, so that no gradient becomes inf * 0, and where that was: (..., N) both."""
    masked = scores == -torch.inf
    return scores.masked_fill(masked, 0.0), masked


def ranked(scores: Tensor, k: int) -> Tensor:
    """The k best scores in order (..., N) -> (..., k), with gradient."""
    return scores.topk(k, dim=-1).values
