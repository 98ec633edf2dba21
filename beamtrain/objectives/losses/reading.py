"""What a loss on beams asks of the search and of the network, given to it: the one place that knows of its needs."""

from typing import NamedTuple

from torch import Tensor

from beamtrain.data.batch import Batch
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.search.unroll.followed import Followed
from beamtrain.search.unroll.log_probs import token_log_probs
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.search.unroll.token_vectors import with_vectors


class Asked(NamedTuple):
    """What a search is to see to, the last arguments of `soft_beam_search`."""

    reference: Tensor | None
    at_least: int
    reads_ended: bool
    followed: Followed | None


def asked_of_search(loss: BeamLoss, batch: Batch, beam_size: int) -> Asked:
    """What the loss needs of a search with so many beams."""
    return Asked(
        reference=batch.target_out if loss.reads_reference else None,
        at_least=batch.target_out.size(1) if loss.reads_ended or loss.reads_gold else 0,
        reads_ended=loss.reads_ended,
        followed=Followed(batch.target_out, beam_size, loss.keeps_reference) if loss.follows_reference else None,
    )


def loss_on_beams(loss: BeamLoss, network: Seq2Seq, memory: Memory, batch: Batch, beams: SoftBeams) -> Tensor:
    """(B,) the loss of each sentence, with what it needs of the network besides the beams."""
    if loss.reads_vectors:
        beams = with_vectors(beams, network, batch.target_out)
    found: Tensor = loss(beams, batch, _gold_log_probs(network, memory, batch) if loss.reads_gold else None)
    return found


def _gold_log_probs(network: Seq2Seq, memory: Memory, batch: Batch) -> Tensor:
    """(B, U) of each gold token given those before it, 0 at PAD."""
    hidden = batch.at_targets(network.decode(memory, batch.target_in))  # (B, U, D) -> (N, D)
    found = token_log_probs(network, hidden, batch.at_targets(batch.target_out))  # (N,)
    everywhere = found.new_zeros(batch.target_out.numel()).index_copy(0, batch.places, found)
    return everywhere.view_as(batch.target_out)
