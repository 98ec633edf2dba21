"""Training with the beam search in the loop: teacher forcing plus a loss on what the search finds."""

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.objectives.annealing import Annealing
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.objectives.losses.reading import asked_of_search, loss_on_beams
from beamtrain.objectives.mixture import Mixture
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.search.unroll.options import UnrollOptions
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.search.unroll.step_by_step import soft_beam_search
from beamtrain.search.unroll.two_pass import allows_two_passes, two_pass_beam_search
from beamtrain.topk.base import Operator
from beamtrain.topk.soft import SoftTopK

LOGGED_REWARD = Gleu()  # as `reward`, whatever the loss


class BeamTraining(Mixture):
    """(1 - weight) * teacher forcing + weight * the mean over sentences of a loss on the search's beams.

    Logged, besides the teacher-forced part's figures: `beam_loss`; `reward`, the GLEU of the search's first hypothesis;
    `sharpness`, the mean of the largest weight of each row of the operator's matrices, 1 for a hard choice;
    `agreement`, the share of rows whose largest weight is on the hard search's choice; `recombined`, the share of
    rows that continue another slot than that of their rank; `pruned`, the bound on the mass beyond the M candidates
    (SOFT only); and what every `Mixture` logs.

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
        UserError: a value out of its range, an operator without an order, or a search that the loss cannot read.
    """

    name = "beam"

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
        super().__init__(weight, start_step, label_smoothing, margin, dropout, max_gradient_norm)
        self.operator = operator or SoftTopK(temperature=0.5, candidates=None)
        try:
            self.operator.require("order", "gradient", purpose="a search in the loop")
        except ValueError as error:
            raise UserError(str(error)) from error
        if annealing is not None and unroll.undecided is not None:
            raise UserError("annealing sets the temperature, and unroll.undecided sets it too; give one of them")
        if loss.reads_hard_prefixes:
            check_hard_prefixes(type(loss).__name__, unroll)
        check_beams(loss, unroll)
        self.loss, self.unroll, self.annealing = loss, unroll, annealing

    def part(self, network: Seq2Seq, batch: Batch, step: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        if self.annealing is not None:
            self.operator.temperature = self.annealing(step)
        memory = network.encode_counted(batch.source, batch.source_lengths)
        beams = self.search(network, memory, batch)
        mean = loss_on_beams(self.loss, network, memory, batch, beams).mean()
        with torch.no_grad():
            figures = {"beam_loss": mean.detach(), **_figures(beams, batch)}
        if beams.commitment is None or self.unroll.snapping is None:
            return mean, figures
        commitment = beams.commitment.mean()
        return mean + self.unroll.snapping * commitment, {**figures, "commitment": commitment.detach()}

    def search(self, network: Seq2Seq, memory: Memory, batch: Batch) -> SoftBeams:
        """The unroll, in two passes where choices do not depend on one another."""
        search = two_pass_beam_search if allows_two_passes(self.unroll, network) else soft_beam_search
        asked = asked_of_search(self.loss, batch, self.unroll.beam_size)
        return search(network, memory, self.limits(network, batch), self.unroll, self.operator, *asked)


def check_beams(loss: BeamLoss, unroll: UnrollOptions) -> None:
    """Raises UserError if there is one beam only and the loss has no gradient but by how beams compare."""
    by_choices = loss.reads_choices and unroll.selection != "hard"
    if unroll.beam_size == 1 and loss.compares_beams and not by_choices:
        raise UserError(
            f"unroll.beam_size is 1, and {type(loss).__name__} learns which of several beams is the better one; set it "
            "to 2 or more" + (", or unroll.selection to straight_through" if loss.reads_choices else "")
        )


def check_hard_prefixes(loss: str, unroll: UnrollOptions) -> None:
    """Raises UserError unless the search is one that a loss can read which asks whether a hypothesis stays in it."""
    if unroll.selection == "soft":
        raise UserError(
            f"{loss} asks whether a hypothesis stays in the beam, and selection soft mixes hypotheses; "
            "set unroll.selection to straight_through or hard"
        )
    if unroll.candidates == unroll.beam_size:
        raise UserError(
            f"unroll.candidates is {unroll.candidates}, as many as there are beams; {loss} needs some that can fall "
            "out: raise it, or null for all"
        )


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
