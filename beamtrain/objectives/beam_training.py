"""Training with the beam search in the loop: teacher forcing plus a loss on what the search finds."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import PAD
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.objectives.annealing import Annealing
from beamtrain.objectives.base import Loss, Objective
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.objectives.teacher_forcing import TeacherForcing
from beamtrain.search.unroll.limits import Limits
from beamtrain.search.unroll.log_probs import token_log_probs
from beamtrain.search.unroll.options import UnrollOptions
from beamtrain.search.unroll.parallel import fits, one_hot_beam_search
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.search.unroll.step_by_step import soft_beam_search
from beamtrain.topk.base import Operator
from beamtrain.topk.soft import SoftTopK

LOGGED_REWARD = Gleu()  # as `reward`, whatever the loss


class BeamTraining(Objective):
    """(1 - weight) * teacher forcing + weight * the mean over sentences of a loss on the search's beams.

    The two gradients differ in size by orders of magnitude from batch to batch, so the beam part's is clipped by itself
    before they are added. The search of an untrained network finds nothing that a loss could tell apart: begin with
    teacher forcing alone (`start_step`), or from a trained run.

    Logged, besides the teacher-forced part's figures: `beam_loss`; `reward`, the GLEU of the search's first hypothesis;
    `sharpness`, the mean of the largest weight of each row of the operator's matrices, 1 for a hard choice;
    `agreement`, the share of rows whose largest weight is on the hard search's choice; `recombined`, the share of
    rows that continue another slot than that of their rank; `pruned`, the bound on the mass beyond the M candidates
    (SOFT only); the 2-norms of both parts' gradients, before weighting and clipping, and their cosine.

    Args:
        loss: the loss on the search's beams.
        weight: lambda, the share of the beam part, 0 to 1.
        start_step: optimiser steps of teacher forcing alone, before the beam part enters.
        label_smoothing: of the teacher-forced part.
        unroll: the search inside the loss.
        operator: the differentiable top-k; it must give an order. Sorted SOFT at temperature 0.5 by default.
        annealing: the operator's temperature from `start_step` on; None leaves it.
        margin: a sentence is searched to its gold length plus so many tokens.
        dropout: whether the network drops out in the search too.
        max_gradient_norm: the 2-norm at which the beam part's gradient is clipped.

    Raises:
        UserError: a value out of its range, or an operator without an order.
    """

    def __init__(
        self,
        loss: BeamLoss,
        weight: float = 0.9,
        start_step: int = 0,
        label_smoothing: float = 0.1,
        unroll: UnrollOptions = UnrollOptions(),  # noqa: B008 (frozen)
        operator: Operator | None = None,
        annealing: Annealing | None = None,
        margin: int = 4,
        dropout: bool = False,
        max_gradient_norm: float = 0.5,
    ) -> None:
        super().__init__()
        if not 0 <= weight <= 1:
            raise UserError(f"weight is {weight}, but the beam part's share must be from 0 to 1; 0.9 is usual")
        if start_step < 0:
            raise UserError(f"start_step is {start_step}, but must be 0 or more optimiser steps")
        if margin < 0:
            raise UserError(f"margin is {margin}, but must be 0 or more tokens beyond the gold length")
        if not max_gradient_norm > 0:
            raise UserError(f"max_gradient_norm is {max_gradient_norm}, but must be positive; 0.5 is usual")
        self.operator = operator or SoftTopK(temperature=0.5, candidates=None)
        try:
            self.operator.require("order", "gradient", purpose="a search in the loop")
        except ValueError as error:
            raise UserError(str(error)) from error
        self.teacher_forcing, self.loss = TeacherForcing(label_smoothing), loss
        self.weight, self.start_step, self.annealing = weight, start_step, annealing
        self.unroll, self.margin, self.dropout = unroll, margin, dropout
        self.max_gradient_norm = max_gradient_norm

    @property
    def needs_trained_network(self) -> bool:
        return self.start_step == 0 and self.weight > 0

    @property
    def takes_loss_scale(self) -> bool:
        return not self.weight  # both parts' gradients are taken by themselves

    def forward(self, network: Seq2Seq, batch: Batch, step: int = 0) -> Loss:
        if step < self.start_step or not self.weight:
            return self.teacher_forcing(network, batch)
        if self.annealing is not None:
            self.operator.temperature = self.annealing(step - self.start_step)
        gold = self.teacher_forcing(network, batch)
        if not torch.is_grad_enabled():
            beam, figures = self.beam_part(network, batch)
            total = (1 - self.weight) * gold.total / gold.weight + self.weight * beam
            return _as_sum(total, gold, figures)
        all_of_them = dict.fromkeys((*network.parameters(), *self.parameters()))  # each once
        parameters = [parameter for parameter in all_of_them if parameter.requires_grad]
        of_gold = _gradient(gold.total / gold.weight, parameters)  # one graph is freed before the other is built
        with self._mode_of_search(network):  # in the backward pass too, where parts of the network run again
            beam, figures = self.beam_part(network, batch)
            of_beam = _gradient(beam, parameters)
        norm, gold_norm = get_total_norm(of_beam), get_total_norm(of_gold)
        dot = torch.stack([(one * two).sum() for one, two in zip(of_gold, of_beam, strict=True)]).sum()
        figures |= {
            "beam_gradient_norm": norm,
            "gold_gradient_norm": gold_norm,
            "gradient_cosine": dot / (norm * gold_norm + 1e-12),
        }
        clip = (self.max_gradient_norm / (norm + 1e-6)).clamp(max=1.0)
        mixed = [(1 - self.weight) * one + self.weight * clip * two for one, two in zip(of_gold, of_beam, strict=True)]
        linear = torch.stack([(p * one).sum() for p, one in zip(parameters, mixed, strict=True)]).sum()
        value = (1 - self.weight) * gold.total.detach() / gold.weight + self.weight * beam.detach()
        return _as_sum(value + linear - linear.detach(), gold, figures)  # the gradient of `linear` is `mixed`

    def beam_part(self, network: Seq2Seq, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean over sentences of the loss on the search's beams, and figures to watch."""
        with self._mode_of_search(network):
            memory = network.encode_counted(batch.source, batch.source_lengths)
            beams = self.search(network, memory, batch)
            gold = gold_log_probs(network, memory, batch) if self.loss.reads_gold else None
        mean = self.loss(beams, batch, gold).mean()
        with torch.no_grad():
            return mean, {"beam_loss": mean.detach(), **_figures(beams, batch)}

    @contextmanager
    def _mode_of_search(self, network: Seq2Seq) -> Iterator[None]:
        """Without dropout, unless the search has it too."""
        training = network.training
        network.train(training and self.dropout)
        try:
            yield
        finally:
            network.train(training)

    def search(self, network: Seq2Seq, memory: Memory, batch: Batch) -> SoftBeams:
        """The unroll, in parallel where choices do not depend on one another."""
        lengths = batch.target_lengths + self.margin  # (B,) on the host
        limits = Limits(gold_limits(batch.target_out, self.margin), int(lengths.min()), int(lengths.max()))
        loss, U = self.loss, batch.target_out.size(1)
        reference = batch.target_out if loss.reads_reference else None
        at_least = U if loss.reads_ended or loss.reads_gold else 0
        search = one_hot_beam_search if fits(self.unroll, network) else soft_beam_search
        return search(network, memory, limits, self.unroll, self.operator, reference, at_least, loss.reads_ended)


def _gradient(value: Tensor, parameters: list[torch.nn.Parameter]) -> list[Tensor]:
    found = torch.autograd.grad(value, parameters, allow_unused=True)
    return [torch.zeros_like(p) if one is None else one for p, one in zip(parameters, found, strict=True)]


def gold_log_probs(network: Seq2Seq, memory: Memory, batch: Batch) -> Tensor:
    """(B, U) of each gold token given those before it, 0 at PAD."""
    hidden = batch.at_targets(network.decode(memory, batch.target_in))  # (B, U, D) -> (N, D)
    found = token_log_probs(network, hidden, batch.at_targets(batch.target_out))  # (N,)
    everywhere = found.new_zeros(batch.target_out.numel()).index_copy(0, batch.places, found)
    return everywhere.view_as(batch.target_out)


def _as_sum(mean: Tensor, gold: Loss, figures: dict[str, Tensor]) -> Loss:
    """A mean loss and mean figures as sums over the target tokens, which the training loop divides by."""
    sums = {name: value * gold.weight for name, value in figures.items()}
    return Loss(mean * gold.weight, gold.weight, {**gold.figures, **sums})


def _figures(beams: SoftBeams, batch: Batch) -> dict[str, Tensor]:
    K = beams.matrices.size(2)
    best = beams.matrices.argmax(-1)  # (B, T, K)
    ranks = torch.arange(K, device=best.device)
    seen = beams.open.any(-1, keepdim=True).expand_as(best)  # positions before all slots have finished
    figures = {
        "reward": LOGGED_REWARD.hard(beams, batch)[:, 0].mean(),
        "sharpness": _mean(beams.matrices.amax(-1), seen),
        "agreement": _mean(best == ranks, seen),
        "recombined": _mean(beams.parents.gather(2, best) != ranks, seen),
    }
    if beams.pruned is not None:
        few = beams.open[: beams.pruned.size(0)].any(-1)  # (b, T)
        figures["pruned"] = _mean(beams.pruned, few)
    return figures


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Of the values at some places; picking them would be a wait for a GPU."""
    return torch.where(where, values.float(), 0.0).sum() / where.sum()


def gold_limits(target_out: Tensor, margin: int) -> Tensor:
    """(B,) the gold length (B, T) -> (B,), EOS included, plus `margin` tokens."""
    return (target_out != PAD).sum(1) + margin
