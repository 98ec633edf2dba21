"""Losses on beams, applied to what the network says after gold prefixes: no search, no recursion."""

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import PAD
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.objectives.mixture import Mixture
from beamtrain.search.step import Candidates
from beamtrain.search.unroll.log_probs import candidate_log_probs, next_log_probs
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.search.unroll.token_vectors import with_vectors


class SoftTeacherForcing(Mixture):
    """(1 - weight) * teacher forcing + weight * the mean over sentences of a loss on the teacher-forced distributions.

    They are read as one beam, whose position t has each of the `candidates` likeliest tokens after the gold prefix
    y_1 ... y_(t-1) in proportion to its probability. So Chen et al. 2019 and Ma et al. 2018 use their losses (see
    OptimalTransport, BagOfTokens). A loss that asks what a search chose makes no sense of it and is refused.

    Logged: `soft_loss`, the loss itself, and what `Mixture` logs.

    Args:
        loss: the loss on that beam.
        weight: lambda, the share of that loss, 0 to 1.
        start_step: optimiser steps of teacher forcing alone, before.
        label_smoothing: of the teacher-forced part.
        candidates: M, how many tokens of each position count. A loss that reads the reference's probabilities has
            them in full all the same.
        dropout: whether the network drops out in that part too.
        max_gradient_norm: the 2-norm at which that part's gradient is clipped.

    Raises:
        UserError: a value out of its range, or a loss that needs a search.
    """

    name = "soft"

    def __init__(
        self,
        loss: BeamLoss,
        weight: float = 0.5,
        start_step: int = 0,
        label_smoothing: float = 0.1,
        candidates: int = 32,
        dropout: bool = True,
        max_gradient_norm: float = 0.5,
    ) -> None:
        super().__init__(weight, start_step, label_smoothing, 0, dropout, max_gradient_norm)
        if candidates < 2:
            raise UserError(f"candidates is {candidates}; it must be 2 or more, as one would be all that is said")
        if not loss.takes_gold_prefixes:
            raise UserError(
                f"{type(loss).__name__} asks what a search chose, and after gold prefixes nothing is chosen; take it "
                "with BeamTraining"
            )
        self.loss, self.candidates = loss, candidates

    @property
    def needs_trained_network(self) -> bool:
        return False

    def part(self, network: Seq2Seq, batch: Batch, step: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        memory = network.encode_counted(batch.source, batch.source_lengths)
        hidden = network.decode(memory, batch.target_in)  # (B, U, D)
        reference = batch.target_out if self.loss.reads_reference else None
        beam = gold_prefix_beam(network, hidden, batch.target_out, self.candidates, reference)
        if self.loss.reads_vectors:
            beam = with_vectors(beam, network, batch.target_out)
        mean = self.loss(beam, batch).mean()
        return mean, {"soft_loss": mean.detach()}


def gold_prefix_beam(
    network: Seq2Seq, hidden: Tensor, gold: Tensor, count: int, reference: Tensor | None = None
) -> SoftBeams:
    """One beam of the `count` (M) likeliest tokens of each position, given decoder outputs (B, U, D) after the gold
    tokens (B, U) before it; with the log-probabilities of the tokens `reference` (B, U), if given."""
    B, U = gold.shape
    over = gold == PAD  # (B, U)
    rows = hidden.flatten(0, 1).unsqueeze(1)  # (B * U, 1, D)
    with torch.no_grad():
        log_probs = next_log_probs(network, rows.squeeze(1))  # (B * U, V)
        log_probs[:, PAD] = -torch.inf
        best, tokens = log_probs.topk(min(count, network.vocab_size - 1), dim=-1)  # (B * U, M)
        tokens = tokens.masked_fill(over.view(-1, 1), PAD)
    slots = torch.zeros_like(tokens)
    candidates = Candidates(best, best, slots, tokens)
    everywhere = None if reference is None else reference.repeat_interleave(U, dim=0)  # (B * U, U)
    own, of_reference = candidate_log_probs(network, rows, candidates, everywhere)  # (B * U, M), (B * U, 1, U)
    weights = own.softmax(-1).view(B, U, 1, -1)
    scores = own.view(B, U, -1)
    total = scores[..., 0].cumsum(1).unsqueeze(2)  # (B, U, 1)
    return SoftBeams(
        tokens=tokens.view(B, U, -1),
        weights=weights,
        scores=total[:, -1],
        finished=torch.ones_like(total[:, -1]),
        matrices=weights.detach(),
        parents=slots.view(B, U, -1),
        held=torch.zeros_like(gold).unsqueeze(2),
        origins=torch.ones_like(total).unsqueeze(3),
        open=~over.unsqueeze(2),
        slot_scores=total,
        candidate_scores=scores,
        followed=None,
        reference_log_probs=None if of_reference is None else of_reference.view(B, U, 1, U),
        pruned=None,
    )
