"""The unroll in parallel: decode first, then score every prefix of the search in one pass.

While the selection is one-hot forward and neither embeddings nor ancestry carry a gradient, each log-probability
depends on hard prefixes only, so the graph is not recurrent. The search itself runs without a graph, as in inference;
then one pass over the tree of its T * K prefixes, each attending to its own ancestors, gives the same numbers with a
gradient, in a few large matrix products forward and backward. Without dropout the numbers are those of the search: that
pass then waits until the loss says which prefixes have a gradient, and looks up the matrix products that the search has
done already: see `known` and `replay`.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from beamtrain.data.tokenizer import BOS
from beamtrain.errors import UserError
from beamtrain.model.base import Memory
from beamtrain.model.state import HardAncestry
from beamtrain.model.transformer import Transformer
from beamtrain.search.constraints import Constraints
from beamtrain.search.known import with_gradient
from beamtrain.search.prefix_tree import PrefixTree
from beamtrain.search.replay import LinearOutputs
from beamtrain.search.soft import Chain, SoftBeams, UnrollOptions, candidate_log_probs
from beamtrain.search.step import Candidates
from beamtrain.topk.base import Operator


def tree_beam_search(
    network: Transformer,
    memory: Memory,
    limits: Tensor,
    options: UnrollOptions,
    operator: Operator | None = None,
    reference: Tensor | None = None,
    at_least: int = 0,
) -> SoftBeams:
    """What `soft_beam_search` returns, for a one-hot selection with the paths embeddings and ancestry closed.

    Raises:
        UserError: the options are not of that kind.
    """
    if not fits(options):
        raise UserError(
            "the parallel unroll needs selection straight_through or hard and the paths embeddings and ancestry "
            f"closed; not selection {options.selection} with open_paths {', '.join(options.open_paths) or 'none'}"
        )
    chain = Chain(limits.size(0), options, operator, like=memory.states)
    searched = Chain(limits.size(0), replace(options, selection="hard"), operator, like=memory.states)
    searched.watch_pruning = chain.has_bound
    known = reference is None and not network.training  # no dropout: the values are those that the search has found
    outputs = LinearOutputs()
    recording = outputs.recording(network) if known and torch.is_grad_enabled() else nullcontext()
    steps, tree = _search(network, memory, limits, searched, at_least, recording)
    scored: list[tuple[Tensor, Tensor | None]]
    if known:
        scored = [(each, None) for each in with_gradient(network, memory, tree, steps, outputs)]
    else:
        scored = _scored(network, memory, tree, steps, reference)
    chain.watched = searched.watched
    together = "accumulated_score" not in options.open_paths
    solved = _solved(chain, steps, [own for own, _ in scored]) if together else [None] * len(steps)
    for candidates, (own, of_reference), matrix in zip(steps, scored, solved, strict=True):
        chain.advance(candidates, own, of_reference, matrix)
    return chain.result()


def _scored(
    network: Transformer, memory: Memory, tree: PrefixTree, steps: list[Candidates], reference: Tensor | None
) -> list[tuple[Tensor, Tensor | None]]:
    """For each position the log-probabilities of the candidates (B, M) and of the reference (B, K, U), if given."""
    hidden = network.decode_tree(memory, tree.tokens, tree.depths, tree.visible)  # (B, T * K, D)
    slots = hidden.chunk(len(steps), dim=1)  # each (B, K, D)
    return [candidate_log_probs(network, *each, reference) for each in zip(slots, steps, strict=True)]


def fits(options: UnrollOptions) -> bool:
    """Whether the graph of the unroll is not recurrent."""
    return options.selection != "soft" and not {"embeddings", "ancestry"} & set(options.open_paths)


@torch.no_grad()
def _search(
    network: Transformer,
    memory: Memory,
    limits: Tensor,
    chain: Chain,
    at_least: int,
    recording: AbstractContextManager[None],
) -> tuple[list[Candidates], PrefixTree]:
    """The hard search: its candidates at each position, and its prefixes. Its steps are taken within `recording`."""
    K = chain.scores.size(1)
    constraints = Constraints(limits)
    state = network.start(memory, K)
    assert isinstance(state.ancestry, HardAncestry)
    tokens = torch.full_like(chain.finished, BOS, dtype=torch.long)  # (B, K)
    steps, prefixes, visible = [], [], []
    with recording:
        for _ in range(int(limits.max())):
            hidden = network.step(tokens, state)
            prefixes.append(tokens)
            visible.append(state.ancestry.visible)  # (B, K, K for each position so far)
            candidates = chain.candidates(network, hidden, constraints)
            chain.advance(candidates, candidates.log_probs)
            steps.append(candidates)
            tokens = candidates.tokens[:, :K]
            state.reorder(candidates.parents[:, :K])
            if chain.over(at_least):
                break
    return steps, PrefixTree.of_search(prefixes, visible)


def _solved(chain: Chain, steps: list[Candidates], log_probs: list[Tensor]) -> list[Tensor]:
    """The operator's matrices of all positions, in one call: possible where none enters the next one's scores."""
    scores = torch.stack([each.scores for each in steps])  # (T, B, M)
    before = scores - torch.stack([each.log_probs for each in steps])
    entering = torch.where(scores > -math.inf, before + torch.stack(log_probs), -math.inf)
    return list(chain.solve(entering.flatten(0, 1)).unflatten(0, scores.shape[:2]).unbind(0))
