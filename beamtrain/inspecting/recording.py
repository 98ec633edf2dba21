"""A search that keeps what happens at each step, and the gradient of a loss by the score of each of its candidates."""

from dataclasses import dataclass

import torch
from torch import Tensor

from beamtrain.data.batch import Batch
from beamtrain.inspecting.searches import LookedAt
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.objectives.beam_training import gold_log_probs
from beamtrain.objectives.mixture import gold_limits
from beamtrain.search.step import Candidates
from beamtrain.search.unroll.chain import Chain, parent_weights
from beamtrain.search.unroll.followed import Followed
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.search.unroll.step_by_step import search_along

SEED = 1
"""Of operators that draw."""


@dataclass
class RecordedStep:
    """What one position of the search did, for B sentences."""

    candidates: Candidates
    log_probs: Tensor  # (B, M) of the candidates' tokens, part of the graph
    entered: Tensor | None  # (B, M) scores as they entered the operator, part of the graph; None: it was not asked
    matrix: Tensor  # (B, K, M) the operator's own, best rank first
    parents: Tensor  # (B, K, K) how much the slots after it have of the slots before it
    scores: Tensor  # (B, K) of the slots after it
    finished: Tensor  # (B, K) of the slots after it
    was_open: Tensor  # (B, K) whether the slots before it were there, and not wholly finished


@dataclass
class Recording:
    """A search, and how a loss depends on it."""

    steps: list[RecordedStep]
    beams: SoftBeams
    loss: Tensor  # (B,) of each sentence
    gradients: list[Tensor]  # T times (B, M) d loss / d log p of each candidate: all that a step of training sees
    of_choices: list[Tensor]  # T times (B, M) the part of it that goes through the operator


class RecordingChain(Chain):
    """A chain that keeps its steps."""

    def __init__(self, sentences: int, search: LookedAt, like: Tensor) -> None:
        super().__init__(sentences, search.options, search.operator, like)
        self.kept: list[RecordedStep] = []
        self._entered: Tensor | None = None

    def solve(self, scores: Tensor) -> Tensor:
        self._entered = scores
        return super().solve(scores)

    def advance(
        self,
        candidates: Candidates,
        log_probs: Tensor,
        of_reference: Tensor | None = None,
        solved: Tensor | None = None,
    ) -> Tensor:
        was_open = (self.scores.detach() != -torch.inf) & (self.finished.detach() < 1)
        A = super().advance(candidates, log_probs, of_reference, solved)
        self.kept.append(
            RecordedStep(
                candidates=candidates,
                log_probs=log_probs,
                entered=self._entered,
                matrix=self._steps[-1].solved,
                parents=parent_weights(A, candidates.parents).detach(),
                scores=self.scores.detach(),
                finished=self.finished.detach(),
                was_open=was_open,
            )
        )
        return A


def record(network: Seq2Seq, memory: Memory, batch: Batch, search: LookedAt) -> Recording:
    """Search the batch's sentences as training does, and differentiate the loss if gradients are enabled.

    The gradient by a candidate's log-probability is taken with all before that step as it is, and all after it as the
    search's open gradient paths let it follow. Operators that draw always draw the same.

    Raises:
        ValueError: an operator that cannot do its part.
    """
    U, loss = batch.target_out.size(1), search.loss
    chain = RecordingChain(len(batch), search, like=memory.states)
    chain.watch_pruning, chain.reads_ended = chain.has_bound, loss.reads_ended
    if loss.follows_reference:
        chain.followed = Followed(batch.target_out, search.options.beam_size, loss.keeps_reference)
    devices = [memory.states.device] if memory.states.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(SEED)
        beams = search_along(
            chain,
            network,
            memory,
            gold_limits(batch, search.margin, network.max_positions),
            batch.target_out if loss.reads_reference else None,
            U if loss.reads_ended or loss.reads_gold else 0,
        )
    gold = gold_log_probs(network, memory, batch) if loss.reads_gold else None
    return _differentiated(chain.kept, beams, loss(beams, batch, gold))


def _differentiated(steps: list[RecordedStep], beams: SoftBeams, loss: Tensor) -> Recording:
    T, nothing = len(steps), [torch.zeros_like(step.log_probs) for step in steps]
    inputs = [*(step.log_probs for step in steps), *(step.entered for step in steps if step.entered is not None)]
    if not loss.requires_grad:
        return Recording(steps, beams, loss.detach(), nothing, nothing)
    reached = [each for each in inputs if each.requires_grad]
    found = iter(torch.autograd.grad(loss.sum(), reached, allow_unused=True))
    given = [next(found) if each.requires_grad else None for each in inputs]
    filled = [torch.zeros_like(each) if one is None else one for each, one in zip(inputs, given, strict=True)]
    return Recording(steps, beams, loss.detach(), filled[:T], filled[T:] or nothing)
