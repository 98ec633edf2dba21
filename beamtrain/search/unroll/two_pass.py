"""The unroll in two passes: search first, then everything that is differentiated for all positions at once.

While the selection is one-hot forward and neither embeddings nor ancestry carry a gradient, each log-probability
depends on hard prefixes only, and the choice that follows on nothing before it. So the search runs as in inference;
then the log-probabilities of its candidates get their gradient, in the way that suits the network, and the operator
solves all positions in one call.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, PAD
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.model.transformer import Transformer
from beamtrain.search.constraints import Constraints
from beamtrain.search.step import Candidates
from beamtrain.search.unroll.chain import Chain
from beamtrain.search.unroll.followed import Followed
from beamtrain.search.unroll.length_limits import LengthLimits
from beamtrain.search.unroll.options import UnrollOptions
from beamtrain.search.unroll.prefixes import Prefixes
from beamtrain.search.unroll.recurrent_prefixes import RecurrentPrefixes
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.search.unroll.transformer_prefixes import TreePrefixes
from beamtrain.topk.base import Operator


def two_pass_beam_search(
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
    """What `soft_beam_search` returns, for a one-hot selection with the paths embeddings and ancestry closed.

    Raises:
        UserError: the options or the network are not of that kind.
    """
    if not allows_two_passes(options, network):
        raise UserError(
            "the unroll in two passes needs selection straight_through or hard and the paths embeddings and ancestry "
            f"closed; not selection {options.selection} with open_paths {', '.join(options.open_paths) or 'none'}; "
            "and no Transformer with a step of its own"
        )
    chain = Chain(memory.states.size(0), options, operator, like=memory.states)
    hard = replace(options, selection="hard", choice_gradient=1.0, undecided=None)
    searched = Chain(memory.states.size(0), hard, operator, like=memory.states)
    searched.watch_pruning, chain.reads_ended = chain.has_bound, reads_ended
    searched.followed = chain.followed = followed
    of_network = TreePrefixes if isinstance(network, Transformer) else RecurrentPrefixes
    prefixes = of_network(network, memory, reference, reads_ended)
    with prefixes.passing():
        steps = _search(network, memory, limits, searched, at_least, prefixes, reads_ended)
    scored = prefixes.log_probs(steps)
    chain.watched = searched.watched
    together = "accumulated_score" not in options.open_paths
    solved = _solved(chain, steps, [own for own, _ in scored]) if together else [None] * len(steps)
    for candidates, (own, of_reference), matrix in zip(steps, scored, solved, strict=True):
        chain.advance(candidates, own, of_reference, matrix)
    return chain.result()


def allows_two_passes(options: UnrollOptions, network: Seq2Seq) -> bool:
    """Whether a choice depends on no choice before it but through hard prefixes, which can be run again at once."""
    alone = options.selection != "soft" and not {"embeddings", "ancestry"} & set(options.open_paths)
    return alone and (not isinstance(network, Transformer) or type(network).step is Transformer.step)


def _search(
    network: Seq2Seq,
    memory: Memory,
    limits: LengthLimits,
    chain: Chain,
    at_least: int,
    prefixes: Prefixes,
    reads_ended: bool,
) -> list[Candidates]:
    """The hard search: its candidates at each position."""
    K = chain.scores.size(1)
    constraints = Constraints(limits.each, first_token=network.first_token, first_limit=limits.least)
    state = network.start(memory, K)
    tokens = torch.full_like(chain.finished, PAD, dtype=torch.long)  # (B, K)
    tokens[:, 0] = BOS  # there is one beginning; the other slots come with the first choice
    steps: list[Candidates] = []
    for _ in range(limits.most):
        hidden = network.step(network.embed(tokens) if reads_ended else tokens, state)
        prefixes.add(tokens, hidden, state)
        candidates = chain.candidates(network, hidden.detach(), constraints)
        chain.advance(candidates, candidates.log_probs)
        steps.append(candidates)
        tokens = candidates.tokens[:, :K]
        state.reorder(candidates.parents[:, :K])
        if chain.over(at_least):
            break
    return steps


def _solved(chain: Chain, steps: list[Candidates], log_probs: list[Tensor]) -> list[Tensor]:
    """The operator's matrices of all positions, in one call: possible where none enters the next one's scores."""
    scores = torch.stack([each.scores for each in steps])  # (T, B, M)
    before = scores - torch.stack([each.log_probs for each in steps])
    if steps[0].noise is not None:
        before = before + torch.stack([each.noise for each in steps if each.noise is not None])
    entering = torch.where(scores != -math.inf, before + torch.stack(log_probs), -math.inf)
    if chain.options.undecided is not None:
        entering = entering * chain.unit(entering, chain.options.undecided)
    return list(chain.solve(entering.flatten(0, 1)).unflatten(0, scores.shape[:2]).unbind(0))
