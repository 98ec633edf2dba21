"""The contract of a training objective, so that another one is one class and one line of config."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from beamtrain.data.batch import Batch
from beamtrain.model.base import Seq2Seq


class Loss(NamedTuple):
    """A loss over one batch."""

    total: Tensor  # scalar, the sum over the batch; a step's totals, over all its weights, are back-propagated
    weight: int  # what `total` counts, usually non-padding target tokens
    figures: dict[str, Tensor]  # further sums over the same items, shown divided by `weight`; detached scalars


class Objective(nn.Module, ABC):
    """A differentiable objective of a network on a batch."""

    ends_step: bool = True
    """Whether the batch that comes is the last one of its accumulation window; training says."""

    @property
    def needs_trained_network(self) -> bool:
        """Whether it makes no sense to begin with random weights."""
        return False

    @property
    def takes_loss_scale(self) -> bool:
        """Whether a loss multiplied by a scale, as float16 needs it, keeps all its gradients from vanishing."""
        return True

    @abstractmethod
    def forward(self, network: Seq2Seq, batch: Batch, step: int = 0) -> Loss:
        """The loss of `network` on `batch`, after `step` optimiser steps."""
