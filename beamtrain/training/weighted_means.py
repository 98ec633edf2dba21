"""Means over batches that weigh differently, such as by their numbers of tokens."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class WeightedMeans:
    """Running means of named figures, kept where the figures are: nothing waits for a device.

    Batches whose sums are not finite are left out: their steps are skipped, and counted.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], Tensor] = {}  # names -> the weight, and the sum of each figure

    def add(self, names: Sequence[str], weight_and_sums: Tensor) -> None:
        """Add a batch's weight, followed by its sums of the figures `names`, as one tensor."""
        finite = torch.where(weight_and_sums.isfinite().all(), weight_and_sums, 0)
        before = self._sums.get(tuple(names))
        self._sums[tuple(names)] = finite if before is None else before + finite

    def means(self) -> dict[str, Tensor]:
        """The mean of every figure over the batches that had it."""
        sums: dict[str, Tensor] = {}
        for names, (weight, *totals) in self._sums.items():
            for name, total in zip(names, totals, strict=True):
                sums[name] = sums.get(name, 0) + torch.stack([total, weight])
        return {name: total / weight for name, (total, weight) in sums.items()}

    def clear(self) -> None:
        """Begin anew."""
        self._sums = {}

    def state_dict(self) -> list[Any]:
        """What `load_state_dict` goes on from."""
        return [[list(names), sums.cpu()] for names, sums in self._sums.items()]

    def load_state_dict(self, state: list[Any], device: torch.device) -> None:
        self._sums = {tuple(names): sums.to(device) for names, sums in state}
