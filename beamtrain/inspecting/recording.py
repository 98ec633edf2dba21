"""A search that keeps what happens at each step, and the gradient of a loss by the score of each of its candidates."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import PAD
from beamtrain.inspecting.searches import LookedAt
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.objectives.losses.reading import asked_of_search, loss_on_beams
from beamtrain.objectives.mixture import gold_limits
from beamtrain.search.step import Candidates
from beamtrain.search.unroll.chain import Chain, parent_weights
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.search.unroll.step_by_step import search_along

SEED = 1
"""Of operators that draw."""


@dataclass
class RecordedStep:
    """What one position of the search did, for B sentences."""

    candidates: Candidates
    log_probs: Tensor  # (B, M) of the candidates' tokens, part of the graph
    of_reference: (
        Tensor | None
    )  # (B, K, U) log-probabilities of the reference's tokens at each slot, if the loss reads them
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
    gradients: list[Tensor]  # T times (B, M) d loss / d log p of each candidate
    of_choices: list[Tensor]  # T times (B, M) the part of it that goes through the operator
    outside: list[Tensor]  # T times (B, K, U) d loss / d log p of the reference's tokens at slots that no candidate has

    def looked_at(self) -> Iterator[tuple[RecordedStep, Tensor, Tensor, Tensor]]:
        """The steps with their gradients, up to the last at which a beam was open or the loss reads what is said."""
        all_of_them = list(zip(self.steps, self.gradients, self.of_choices, self.outside, strict=True))
        counts = [bool(step.was_open.any() | outside.any()) for step, *_, outside in all_of_them]
        return islice(all_of_them, max((place + 1 for place, each in enumerate(counts) if each), default=0))


class RecordingChain(Chain):
    """A chain that keeps its steps."""

    def __init__(self, sentences: int, search: LookedAt, like: Tensor) -> None:
        super().__init__(sentences, search.options, search.operator, like)
        self.kept: list[RecordedStep] = []
        self.unit_of_scores: Tensor | None = None  # (B, 1), see Chain.unit
        self._entered: Tensor | None = None

    def solve(self, scores: Tensor) -> Tensor:
        self._entered = scores
        return super().solve(scores if self.unit_of_scores is None else scores * self.unit_of_scores)

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
                of_reference=of_reference,
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
    search's open gradient paths let it follow. It counts what the loss reads of the same prediction as the probability
    of a reference token. Operators that draw always draw the same.

    Raises:
        ValueError: an operator that cannot do its part.
    """
    chain = RecordingChain(len(batch), search, like=memory.states)
    if (share := search.options.undecided) is not None:
        chain.unit_of_scores = chain.unit(_scores_of_choices(network, memory, batch, search), share)
    beams = _searched(chain, network, memory, batch, search)
    loss = loss_on_beams(search.loss, network, memory, batch, beams)
    return _differentiated(chain.kept, beams, loss, batch.target_out)


def _searched(chain: RecordingChain, network: Seq2Seq, memory: Memory, batch: Batch, search: LookedAt) -> SoftBeams:
    """What the search finds, whose steps the chain keeps."""
    asked = asked_of_search(search.loss, batch, search.options.beam_size)
    chain.reads_ended, chain.followed = asked.reads_ended, asked.followed
    limits = gold_limits(batch, search.margin, network.max_positions)
    devices = [memory.states.device] if memory.states.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(SEED)
        return search_along(chain, network, memory, limits, asked.reference, asked.at_least)


@torch.no_grad()
def _scores_of_choices(network: Seq2Seq, memory: Memory, batch: Batch, search: LookedAt) -> Tensor:
    """(T, B, M) as they enter the operator, of a search whose choices need no operator: it is a hard one forward."""
    hard = replace(search.options, selection="hard", choice_gradient=1.0, undecided=None)
    chain = RecordingChain(len(batch), replace(search, options=hard), like=memory.states)
    _searched(chain, network, memory, batch, search)
    return torch.stack([step.entered for step in chain.kept if step.entered is not None])


def _differentiated(steps: list[RecordedStep], beams: SoftBeams, loss: Tensor, reference: Tensor) -> Recording:
    """reference: (B, U)"""
    of_steps = [(step.log_probs, step.entered, step.of_reference) for step in steps]
    found = _gradients(loss, [each for inputs in of_steps for each in inputs if each is not None])
    gradients, of_choices, outside = [], [], []
    for step, (_, entered, of_reference) in zip(steps, of_steps, strict=True):
        own = next(found)  # (B, M)
        of_choices.append(torch.zeros_like(own) if entered is None else next(found))
        if of_reference is None:
            gradients.append(own)
            outside.append(own.new_zeros(*step.scores.shape, reference.size(1)))
        else:
            read = next(found)  # (B, K, U)
            same = _same_prediction(step.candidates, read, reference)
            gradients.append(own + torch.einsum("bmku,bku->bm", same, read))
            outside.append(read * (1 - same.amax(1)))
    return Recording(steps, beams, loss.detach(), gradients, of_choices, outside)


def _gradients(loss: Tensor, inputs: list[Tensor]) -> Iterator[Tensor]:
    """d loss / d each of the inputs, 0 for what it does not depend on."""
    reached = [each for each in inputs if each.requires_grad] if loss.requires_grad else []
    found = iter(torch.autograd.grad(loss.sum(), reached, allow_unused=True) if reached else ())
    for each in inputs:
        gradient = next(found) if each.requires_grad and loss.requires_grad else None
        yield torch.zeros_like(each) if gradient is None else gradient


def _same_prediction(candidates: Candidates, like: Tensor, reference: Tensor) -> Tensor:
    """(B, M, K, U) 1 where candidate m is reference token u at slot k: the loss may read its probability as either."""
    slots = torch.arange(like.size(1), device=like.device)
    at_slot = candidates.parents.unsqueeze(2) == slots  # (B, M, K)
    token = (candidates.tokens.unsqueeze(2) == reference.unsqueeze(1)) & (candidates.tokens != PAD).unsqueeze(2)
    return (at_slot.unsqueeze(3) & token.unsqueeze(2)).to(like.dtype)
