"""Teacher forcing and a part that sees what the network says by itself, each with a gradient of its own size."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import PAD
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives.base import Loss, Objective
from beamtrain.objectives.teacher_forcing import TeacherForcing
from beamtrain.search.unroll.length_limits import LengthLimits


class Mixture(Objective):
    """(1 - weight) * teacher forcing + weight * `part`, a mean over sentences.

    The two gradients differ in size by orders of magnitude from batch to batch, so the part's is clipped by itself
    before they are added. What an untrained network says tells nothing that a loss could tell apart: begin with
    teacher forcing alone (`start_step`), or from a trained run.

    Logged, besides the teacher-forced part's figures and those of `part`: the 2-norms of both gradients before
    weighting and clipping, NAME_gradient_norm and gold_gradient_norm, and their cosine, gradient_cosine.

    Args:
        weight: lambda, the share of the part, 0 to 1.
        start_step: optimiser steps of teacher forcing alone, before the part enters.
        label_smoothing: of the teacher-forced part.
        margin: what a sentence's output may have beyond its gold length, in tokens.
        dropout: whether the network drops out in the part too.
        max_gradient_norm: the 2-norm at which the part's gradient is clipped.

    Raises:
        UserError: a value out of its range.
    """

    name: str
    """Of the part, in the names of figures."""

    def __init__(
        self,
        weight: float,
        start_step: int,
        label_smoothing: float,
        margin: int,
        dropout: bool,
        max_gradient_norm: float,
    ) -> None:
        super().__init__()
        if not 0 <= weight <= 1:
            raise UserError(f"weight is {weight}, but the {self.name} part's share must be from 0 to 1; 0.9 is usual")
        if start_step < 0:
            raise UserError(f"start_step is {start_step}, but must be 0 or more optimiser steps")
        if margin < 0:
            raise UserError(f"margin is {margin}, but must be 0 or more tokens beyond the gold length")
        if not max_gradient_norm > 0:
            raise UserError(f"max_gradient_norm is {max_gradient_norm}, but must be positive; 0.5 is usual")
        self.teacher_forcing = TeacherForcing(label_smoothing)
        self.weight, self.start_step, self.margin, self.dropout = weight, start_step, margin, dropout
        self.max_gradient_norm = max_gradient_norm

    @property
    def needs_trained_network(self) -> bool:
        return self.start_step == 0 and self.weight > 0

    @property
    def takes_loss_scale(self) -> bool:
        return not self.weight  # both parts' gradients are taken by themselves

    @abstractmethod
    def part(self, network: Seq2Seq, batch: Batch, step: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        """The part's mean over sentences, `step` optimiser steps after its start, and figures to watch, detached."""

    def forward(self, network: Seq2Seq, batch: Batch, step: int = 0) -> Loss:
        if step < self.start_step or not self.weight:
            return self.teacher_forcing(network, batch)
        step -= self.start_step
        gold = self.teacher_forcing(network, batch)
        if not torch.is_grad_enabled():
            with self.mode_of_part(network):
                mean, figures = self.part(network, batch, step)
            total = (1 - self.weight) * gold.total / gold.weight + self.weight * mean
            return _as_sum(total, gold, figures)
        all_of_them = dict.fromkeys((*network.parameters(), *self.parameters()))  # each once
        parameters = [parameter for parameter in all_of_them if parameter.requires_grad]
        of_gold = gradient_by(parameters, gold.total / gold.weight)  # one graph is freed before the other is built
        with self.mode_of_part(network):  # in the backward pass too, where parts of the network run again
            mean, figures = self.part(network, batch, step)
            of_part = gradient_by(parameters, mean)
        norm, gold_norm = get_total_norm(of_part), get_total_norm(of_gold)
        dot = torch.stack([(one * two).sum() for one, two in zip(of_gold, of_part, strict=True)]).sum()
        figures |= {
            f"{self.name}_gradient_norm": norm,
            "gold_gradient_norm": gold_norm,
            "gradient_cosine": dot / (norm * gold_norm + 1e-12),
        }
        clip = (self.max_gradient_norm / (norm + 1e-6)).clamp(max=1.0) + 0 * norm  # one that overflows makes no step
        mixed = [(1 - self.weight) * one + self.weight * clip * two for one, two in zip(of_gold, of_part, strict=True)]
        value = (1 - self.weight) * gold.total.detach() / gold.weight + self.weight * mean.detach()
        return _as_sum(with_gradient(value, parameters, mixed), gold, figures)

    @contextmanager
    def mode_of_part(self, network: Seq2Seq) -> Iterator[None]:
        """Without dropout, unless the part has it too."""
        training = network.training
        network.train(training and self.dropout)
        try:
            yield
        finally:
            network.train(training)

    def limits(self, network: Seq2Seq, batch: Batch) -> LengthLimits:
        """How far what the network says may go: to the gold length, EOS included, plus `margin` tokens."""
        return gold_limits(batch, self.margin, network.max_positions)


def gold_limits(batch: Batch, margin: int, max_positions: int | None) -> LengthLimits:
    """The gold length of each sentence, EOS included, plus `margin` tokens, as far as the network has positions."""
    lengths, each = batch.target_lengths + margin, (batch.target_out != PAD).sum(1) + margin  # (B,), on the host too
    if max_positions is not None:
        lengths, each = lengths.clamp(max=max_positions), each.clamp(max=max_positions)
    return LengthLimits(each, int(lengths.min()), int(lengths.max()))


def with_gradient(value: Tensor, parameters: list[torch.nn.Parameter], gradients: list[Tensor]) -> Tensor:
    """A scalar of that value whose gradient by the parameters is the one given."""
    linear = torch.stack([(p * one).sum() for p, one in zip(parameters, gradients, strict=True)]).sum()
    return value + linear - linear.detach()


def gradient_by(parameters: list[torch.nn.Parameter], value: Tensor) -> list[Tensor]:
    """Of a scalar, 0 for what it does not depend on."""
    found = torch.autograd.grad(value, parameters, allow_unused=True)
    return [torch.zeros_like(p) if one is None else one for p, one in zip(parameters, found, strict=True)]


def _as_sum(mean: Tensor, gold: Loss, figures: dict[str, Tensor]) -> Loss:
    """A mean loss and mean figures as sums over the target tokens, which the training loop divides by."""
    sums = {name: value * gold.weight for name, value in figures.items()}
    return Loss(mean * gold.weight, gold.weight, {**gold.figures, **sums})
