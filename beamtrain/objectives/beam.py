"""Training with the beam search in the loop: teacher forcing plus a loss on what the search finds."""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from beamtrain.data.batch import Batch
from beamtrain.errors import UserError
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.model.transformer import Transformer
from beamtrain.objectives.base import Loss, Objective
from beamtrain.objectives.teacher_forcing import TeacherForcing
from beamtrain.search.soft import SoftBeams, UnrollOptions, gold_limits, soft_beam_search
from beamtrain.search.tree import fits, tree_beam_search
from beamtrain.topk.base import Operator
from beamtrain.topk.soft import SoftTopK


class BeamLoss(nn.Module):
    """A loss on the final beams of a batch."""

    @abstractmethod
    def forward(self, beams: SoftBeams, batch: Batch) -> Tensor:
        """(B,) the loss of each sentence."""


class BeamTraining(Objective):
    """(1 - weight) * teacher forcing + weight * the mean over sentences of a loss on the search's final beams.

    The two gradients differ in size by orders of magnitude from batch to batch, so the beam part's is clipped by itself
    before they are added. It wants a network that was trained by likelihood first: the search of an untrained one finds
    nothing that a loss could tell apart.

    Args:
        loss: the loss on the final beams.
        weight: lambda, the share of the beam part, 0 to 1.
        label_smoothing: of the teacher-forced part.
        unroll: the search inside the loss.
        operator: the differentiable top-k; it must give an order.
        margin: a sentence is searched to its gold length plus so many tokens.
        dropout: whether the network drops out in the search too.
        max_gradient_norm: the 2-norm at which the beam part's gradient is clipped.

    Raises:
        UserError: a value out of its range.
    """

    def __init__(
        self,
        loss: BeamLoss,
        weight: float = 0.9,
        label_smoothing: float = 0.1,
        unroll: UnrollOptions = UnrollOptions(),  # noqa: B008 (frozen)
        operator: Operator | None = None,
        margin: int = 4,
        dropout: bool = False,
        max_gradient_norm: float = 0.5,
    ) -> None:
        super().__init__()
        if not 0 <= weight <= 1:
            raise UserError(f"weight is {weight}, but the beam part's share must be from 0 to 1; 0.9 is usual")
        if margin < 0:
            raise UserError(f"margin is {margin}, but must be 0 or more tokens beyond the gold length")
        if not max_gradient_norm > 0:
            raise UserError(f"max_gradient_norm is {max_gradient_norm}, but must be positive; 0.5 is usual")
        self.teacher_forcing, self.loss = TeacherForcing(label_smoothing), loss
        self.weight, self.unroll, self.margin, self.dropout = weight, unroll, margin, dropout
        self.operator = operator or SoftTopK(temperature=0.5, candidates=None)
        self.max_gradient_norm = max_gradient_norm

    def forward(self, network: Seq2Seq, batch: Batch) -> Loss:
        beam, figures = self._beam_part(network, batch)
        gold = self.teacher_forcing(network, batch)
        total = (1 - self.weight) * gold.total + self.weight * gold.weight * beam
        shown = {name: value * gold.weight for name, value in figures.items()}
        return Loss(total, gold.weight, {**gold.figures, **shown})

    def _beam_part(self, network: Seq2Seq, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean beam loss, as a scalar whose gradient is the clipped one, and figures to watch."""
        training = network.training
        network.train(training and self.dropout)
        try:
            beams = self.search(network, network.encode(batch.source), batch)
        finally:
            network.train(training)
        mean = self.loss(beams, batch).mean()
        figures = {"beam_loss": mean.detach(), "sharpness": _sharpness(beams), "recombined": _recombined(beams)}
        if not mean.requires_grad:
            return mean, figures
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        found = torch.autograd.grad(mean, parameters, allow_unused=True)
        pairs = [(p, gradient) for p, gradient in zip(parameters, found, strict=True) if gradient is not None]
        norm = get_total_norm([gradient for _, gradient in pairs])
        scale = (self.max_gradient_norm / (norm + 1e-6)).clamp(max=1.0)
        linear = torch.stack([(p * (gradient * scale)).sum() for p, gradient in pairs]).sum()
        return mean.detach() + linear - linear.detach(), {**figures, "beam_gradient_norm": norm.detach()}

    def search(self, network: Seq2Seq, memory: Memory, batch: Batch) -> SoftBeams:
        """The unroll, in parallel where its graph is not recurrent."""
        limits = gold_limits(batch.target_out, self.margin)
        if fits(self.unroll) and isinstance(network, Transformer):
            return tree_beam_search(network, memory, limits, self.unroll, self.operator)
        return soft_beam_search(network, memory, limits, self.unroll, self.operator)


def _sharpness(beams: SoftBeams) -> Tensor:
    """The mean of the largest weight of each row: 1 is a hard choice."""
    return beams.weights.detach().amax(-1).mean()


def _recombined(beams: SoftBeams) -> Tensor:
    """The share of positions and slots whose row's best candidate does not continue the slot of the same rank."""
    K = beams.matrices.size(2)
    best = beams.matrices.argmax(-1)  # (B, T, K)
    ranks = torch.arange(K, device=best.device)
    return (beams.parents.gather(2, best) != ranks).float().mean()
