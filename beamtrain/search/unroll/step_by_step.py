"""The unroll step by step: any selection, and any gradient path open or closed."""

from dataclasses import replace

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.search.constraints import Constraints
from beamtrain.search.unroll.chain import Chain, parent_weights
from beamtrain.search.unroll.followed import Followed
from beamtrain.search.unroll.length_limits import LengthLimits
from beamtrain.search.unroll.log_probs import candidate_log_probs
from beamtrain.search.unroll.options import UnrollOptions
from beamtrain.search.unroll.snapping import Snapping
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.topk.base import Operator


def soft_beam_search(
    network: Seq2Seq,
    memory: Memory,
    limits: LengthLimits,
    options: UnrollOptions,
    operator: Operator | None = None,
    reference: Tensor | None = None,
    at_least: int = 0,
    reads_ended: bool = False,
    followed: Followed | None = None,
) -> SoftBeams:
    """Unroll the search step by step, any recurrent path open or closed.

    Args:
        network: used as it is, dropout included if it is in training mode.
        memory: the encoded sources.
        operator: a top-k operator that gives an order; sorted SOFT at temperature 0.5 (the paper's eps = 1) by default.
        reference: (B, U) token ids whose log-probabilities are wanted at every slot, see SoftBeams.
        at_least: positions to go on for, though every hypothesis be finished; see Chain.over.
        reads_ended: whether those of the slots that have ended are wanted too: what the network says that reads on.
        followed: a sentence that is to be among the candidates; the selection must be one-hot then.

    Raises:
        UserError: `options.undecided`, which needs all positions before the operator chooses.
    """
    if options.undecided is not None:
        raise UserError(
            f"undecided is {options.undecided}, but {type(network).__name__} has a step of its own, and its choices "
            "are made one by one; leave it at null"
        )
    chain = Chain(memory.states.size(0), options, operator, like=memory.states)
    chain.watch_pruning, chain.reads_ended, chain.followed = chain.has_bound, reads_ended, followed
    return search_along(chain, network, memory, limits, reference, at_least)


def search_along(
    chain: Chain,
    network: Seq2Seq,
    memory: Memory,
    limits: LengthLimits,
    reference: Tensor | None = None,
    at_least: int = 0,
) -> SoftBeams:
    """`soft_beam_search` along a chain that has just begun, for those who want to look at its steps."""
    options = chain.options
    constraints = Constraints(limits.each, first_token=network.first_token, first_limit=limits.least)
    state = network.start_soft(memory, options.beam_size)
    inputs = network.embed(torch.full_like(chain.finished, BOS, dtype=torch.long))  # (B, K) -> (B, K, D)
    snapped = None if options.snapping is None else Snapping(network, memory.states.device)
    for _ in range(limits.most):
        hidden = network.step(inputs, state)  # (B, K, D)
        candidates = chain.candidates(network, hidden.detach(), constraints)
        log_probs, of_reference = candidate_log_probs(network, hidden, candidates, reference)  # (B, M), (B, K, U)
        A = chain.advance(candidates, log_probs, of_reference)  # (B, K, M)
        inputs = chain.through("embeddings", A) @ network.embed(candidates.tokens).to(A.dtype)  # (B, K, D)
        if snapped is not None:
            inputs = snapped(inputs, A, candidates.tokens, chain.finished)
        state.mix(parent_weights(chain.through("ancestry", A), candidates.parents))
        if options.window is not None and chain.position % options.window == 0:
            inputs = inputs.detach()
            state.cut()
        if chain.over(at_least):
            break
    beams = chain.result()
    return beams if snapped is None else replace(beams, commitment=snapped.commitment())
