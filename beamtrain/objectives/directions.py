"""Candidate directions in weight space, drawn from seeds again and again instead of being kept."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Generator, Tensor, nn

_AT_ONCE = 2**18  # weights, of which the noise is held


class Directions:
    """D_j = c_j g + s n_j, n_j of standard normal entries: c_j is 0 for the first half of them and 1 for the second.

    Args:
        parameters: the weights that are moved.
        gradient: of the loss by each of them; -g but for its length, and overwritten by `mean`.
        length: the gradient's 2-norm.
        radius: that of g.
        noise: the expected 2-norm of s n_j, as a share of the radius.
        seeds: (J,) of the candidates.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        gradient: list[Tensor],
        length: Tensor,
        radius: float,
        noise: float,
        seeds: Tensor,
    ) -> None:
        self._parameters, self._seeds = parameters, seeds.tolist()
        self._gradient = [
            slope.contiguous() if p.is_contiguous() else slope for slope, p in zip(gradient, parameters, strict=True)
        ]
        self._toward = -radius / float(length) if length else 0.0  # g is so many times the gradient
        self._radius = radius
        self._deviation = noise * radius / math.sqrt(sum(parameter.numel() for parameter in parameters))
        self._along = [0.0] * len(self._seeds)  # n_j g

    def is_guided(self, candidate: int) -> bool:
        """c_j."""
        return 2 * candidate >= len(self._seeds)

    @contextmanager
    def moving(self) -> Iterator[Callable[[int], None]]:
        """A function that moves the weights to a candidate. At the end they are what they were, to the bit."""
        weights = [parameter.detach().clone() for parameter in self._parameters]

        @torch.no_grad()
        def move(candidate: int) -> None:
            generator, along = self._generator(candidate), []
            for weight, parameter, slope in self._pieces(weights, self._parameters, self._gradient):
                noise = _normal(slope, generator)
                along.append((noise * slope).sum(dtype=torch.float64))
                parameter.copy_(weight).add_(noise, alpha=self._deviation)
                if self.is_guided(candidate):
                    parameter.add_(slope, alpha=self._toward)
            self._along[candidate] = float(torch.stack(along).sum() * self._toward)

        try:
            yield move
        finally:
            with torch.no_grad():
                for weight, parameter in zip(weights, self._parameters, strict=True):
                    parameter.copy_(weight)

    def log_ratios(self) -> Tensor:
        """(J,) log N(D_j; 0, s^2) - log(N(D_j; 0, s^2) / 2 + N(D_j; g, s^2) / 2), of candidates that were moved to."""
        squared = self._radius**2
        dots = [self.is_guided(j) * squared + self._deviation * along for j, along in enumerate(self._along)]  # D_j g
        exponents = (torch.tensor(dots, dtype=torch.float64) - squared / 2) / self._deviation**2
        return math.log(2) - torch.logaddexp(exponents, torch.zeros_like(exponents))

    @torch.no_grad()
    def mean(self, weights: list[float]) -> list[Tensor]:
        """sum_j weights[j] D_j, in the place of the gradient."""
        generators = [self._generator(candidate) for candidate in range(len(weights))]
        guided = sum(weight for candidate, weight in enumerate(weights) if self.is_guided(candidate))
        for slope, _ in self._pieces(self._gradient, self._parameters):
            slope.mul_(guided * self._toward)
            for weight, generator in zip(weights, generators, strict=True):
                slope.add_(_normal(slope, generator), alpha=weight * self._deviation)
        return self._gradient

    def _pieces(self, *tensors: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
        """Corresponding parts of tensors that are like the weights: noise is drawn, and kept, for one at a time."""
        for parameter, like in zip(self._parameters, zip(*tensors, strict=True), strict=True):
            if parameter.is_contiguous():
                yield from zip(*(each.detach().view(-1).split(_AT_ONCE) for each in like), strict=True)
            else:
                yield tuple(each.detach() for each in like)

    def _generator(self, candidate: int) -> Generator:
        return Generator(self._parameters[0].device).manual_seed(self._seeds[candidate])


def _normal(like: Tensor, generator: Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
