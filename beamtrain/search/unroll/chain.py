"""The recursion of a differentiable search over its positions: scores, finished mass, and the matrices that choose."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from beamtrain.base.waits import may_wait
from beamtrain.data.tokenizer import PAD
from beamtrain.model.base import Seq2Seq
from beamtrain.search.constraints import Constraints
from beamtrain.search.step import Candidates, best_candidates
from beamtrain.search.unroll.followed import Followed
from beamtrain.search.unroll.log_probs import next_log_probs
from beamtrain.search.unroll.noise import perturbed
from beamtrain.search.unroll.options import GradientPath, UnrollOptions
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.topk.base import Operator
from beamtrain.topk.checks import unchecked
from beamtrain.topk.soft import SoftTopK, soft_topk
from beamtrain.topk.transforms import product

_WATCHED = 4  # sentences of a batch whose pruning is bounded: every one would cost a twentieth of the step
_SMALLEST = 1e-6  # of a finished mass that is neither 0 nor 1, where its logarithm is taken
_COLDEST = 1e-3  # nats: the least temperature that is set by a share of positions
_FAR = 1e3  # nats below every candidate: what stands in for one that does not exist


class Chain:
    """The recursion over chosen candidates: scores, finished mass and matrices from step to step.

    A slot that does not exist, because there were fewer candidates than slots, has a score of -inf and is finished.
    Once all slots of a sentence are finished, each continues itself: nothing chooses among them any more, so that a
    sentence does not depend on how long its neighbours in the batch go on.
    """

    def __init__(self, sentences: int, options: UnrollOptions, operator: Operator | None, like: Tensor) -> None:
        self.options, self._operator = options, operator or SoftTopK(temperature=0.5, candidates=None)
        self._operator.require("order", "gradient", purpose="the search")
        K, dtype = options.beam_size, torch.promote_types(like.dtype, torch.float32)
        self.scores = torch.full((sentences, K), -math.inf, dtype=dtype, device=like.device)  # (B, K)
        self.scores[:, 0] = 0.0  # at the first position the other slots would only repeat it
        self.finished = torch.zeros_like(self.scores)  # (B, K)
        self._steps: list[_Step] = []
        self.reads_ended = False  # whether the reference's log-probabilities are wanted at slots that have ended too
        self.followed: Followed | None = None  # a sentence that is to be among the candidates
        self.watch_pruning = False  # whether to bound what pruning to M leaves out
        self.watched: list[Tensor] = []  # (b, K * V + K) all candidates of the first sentences at each position

    @property
    def has_bound(self) -> bool:
        """Whether pruning leaves something out that the operator can bound."""
        pruning = self.options.candidates is not None and self.options.selection != "hard"
        return pruning and self.options.undecided is None and isinstance(self._operator, SoftTopK)

    @property
    def position(self) -> int:
        return len(self._steps)

    @property
    def going(self) -> Tensor:
        """(B, K) scores of the slots as ones that go on: s + log(1 - f)"""
        return self.scores + _log_mass(1 - self.finished)

    @property
    def absorbed(self) -> Tensor:
        """(B, K) scores of the slots as finished ones: s + log f"""
        return self.scores + _log_mass(self.finished)

    def over(self, at_least: int) -> bool:
        """Whether every hypothesis is finished, after so many positions. On a GPU, where asking would wait for the
        device in every step, the search goes to its limit."""
        return self.position >= at_least and may_wait(self.finished) and bool((self.finished == 1).all())

    @torch.no_grad()
    def candidates(self, network: Seq2Seq, hidden: Tensor, constraints: Constraints) -> Candidates:
        """The hard search's M best continuations, given the slots' decoder outputs (B, K, D)."""
        log_probs = next_log_probs(network, hidden)  # (B, K, V)
        constraints.forbid(log_probs, hidden.new_empty(*hidden.shape[:2], self.position))
        all_there_are = log_probs[0].numel()
        count = min(self.options.candidates or all_there_are, all_there_are)
        found = best_candidates(log_probs, self.going, self.absorbed, count)
        if self.watch_pruning:
            going = (self.going[:_WATCHED].unsqueeze(2) + log_probs[:_WATCHED]).flatten(1)  # (b, K, V) -> (b, K * V)
            self.watched.append(torch.cat((going, self.absorbed[:_WATCHED]), dim=1))
        if self.options.noise:
            over = (self.finished == 1).all(1)
            found = perturbed(found, self.options.noise, over, _default_generator(hidden.device))
        if self.followed is not None:
            found = self.followed.among(found, log_probs, self.going, self.absorbed)
        return found

    def through(self, path: GradientPath, A: Tensor) -> Tensor:
        """A, with its gradient if the path is open."""
        return A if path in self.options.open_paths else A.detach()

    def advance(
        self,
        candidates: Candidates,
        log_probs: Tensor,
        of_reference: Tensor | None = None,
        solved: Tensor | None = None,
    ) -> Tensor:
        """Choose among the candidates, whose log-probabilities (B, M) carry the gradient; the matrix (B, K, M).

        `solved` is the operator's own matrix for them, if it is known already.
        """
        missing, ended = self.scores.detach() == -math.inf, self.finished.detach() == 1  # (B, K) each
        unfinished, over = ~missing & (self.finished.detach() < 0.5), ended.all(1)  # (B, K), (B,)
        if of_reference is not None:
            of_reference = of_reference.masked_fill((missing if self.reads_ended else ended).unsqueeze(2), 0.0)
        absorbing = candidates.tokens == PAD  # (B, M)
        before = torch.where(
            absorbing, self.absorbed.gather(1, candidates.parents), self.going.gather(1, candidates.parents)
        )  # (B, M)
        exists = candidates.scores != -math.inf  # (B, M), the first ones
        scores = (before + log_probs).masked_fill(~exists, 0.0)
        if solved is None:
            entering = before if "accumulated_score" in self.options.open_paths else before.detach()
            entering = entering if candidates.noise is None else entering + candidates.noise
            solved = self.solve((entering + log_probs).masked_fill(~exists, -math.inf))
        A = self._selected(solved, candidates.parents, exists, over)
        mixing, there = self.through("score_update", A), exists[:, : A.size(1)]
        self.scores = product(mixing, scores.unsqueeze(2)).squeeze(2).masked_fill(~there, -math.inf)  # (B, M) -> (B, K)
        finished = (mixing * candidates.finished.unsqueeze(1)).sum(2)
        rest = (1 - finished).detach()  # to 1 it counts as none when it is as small as rounding may be
        self.finished = (finished + rest.masked_fill(rest >= _SMALLEST, 0.0)).masked_fill(~there, 1.0)
        accumulated = scores.masked_fill(~exists, -math.inf)
        self._steps.append(_Step(candidates, A, solved.detach(), unfinished, self.scores, accumulated, of_reference))
        return A

    def solve(self, scores: Tensor) -> Tensor:
        """The operator's matrix (B, K, M) for candidates (B, M) in the order of the hard search."""
        K, M = self.options.beam_size, scores.size(1)
        if self.options.selection == "hard":
            return torch.eye(K, M, dtype=scores.dtype, device=scores.device).expand(scores.size(0), K, M)
        generator = _default_generator(scores.device) if self._operator.draws else None
        with unchecked():  # a look is a wait, and a step that is not finite is skipped as a whole
            return self._operator.select(_at_least(K, scores), K, generator).dense(M)

    @torch.no_grad()
    def _own_temperatures(self, scores: Tensor, share: float) -> Tensor:
        """(B, 1) for scores (T, B, M): the quantile over a sentence's positions of how far the K-th and the next
        candidate lie apart, among those positions at which there is a next one."""
        best = scores.topk(self.options.beam_size + 1, dim=-1).values  # (T, B, K + 1)
        gaps = (best[..., -2] - best[..., -1]).masked_fill(best[..., -1] == -math.inf, math.nan)
        found = gaps.nanquantile(share, dim=0).nan_to_num(self._operator.temperature)
        return found.clamp(min=_COLDEST).unsqueeze(1)

    def unit(self, scores: Tensor, share: float) -> Tensor:
        """(B, 1) by which scores (T, B, M) of all positions are to be multiplied, so that the operator's temperature
        leaves this share of each sentence's positions undecided."""
        return self._operator.temperature / self._own_temperatures(scores, share)

    def _selected(self, solved: Tensor, parents: Tensor, exists: Tensor, over: Tensor) -> Tensor:
        """A: the operator's matrix with what `selection` makes of it, where there is something left to choose."""
        if self.options.selection == "hard":
            return solved
        if self.options.choice_gradient != 1:
            fixed = solved.detach()
            solved = fixed + self.options.choice_gradient * (solved - fixed)
        if self.options.selection == "straight_through":
            one_hot = torch.eye(*solved.shape[1:], dtype=solved.dtype, device=solved.device).expand_as(solved)
            solved = one_hot + (solved - solved.detach())
        slots = torch.arange(solved.size(1), device=parents.device).unsqueeze(1)  # (K, 1)
        own = (parents.unsqueeze(1) == slots) & exists.unsqueeze(1)  # (B, K, M)
        return torch.where(over[:, None, None], own.to(solved.dtype), solved)

    def result(self) -> SoftBeams:
        """Follow the final beams back: at position t, beam r has (P_T ... P_(t+1)) A_t."""
        K = self.options.beam_size
        back = torch.eye(K, dtype=self.scores.dtype, device=self.scores.device)  # (K, K), then (B, K, K)
        weights, origins = [], []
        for step in reversed(self._steps):
            weights.append(product(back, step.A))  # (B, K, M)
            back = product(back, parent_weights(step.A, step.candidates.parents))
            origins.append(back)
        of_reference = [step.of_reference for step in self._steps if step.of_reference is not None]
        return SoftBeams(
            tokens=torch.stack([step.candidates.tokens for step in self._steps], dim=1),
            weights=torch.stack(weights[::-1], dim=1),
            scores=self.scores,
            finished=self.finished,
            matrices=torch.stack([step.solved for step in self._steps], dim=1),
            parents=torch.stack([step.candidates.parents for step in self._steps], dim=1),
            held=torch.stack([self._held(step.A) for step in self._steps], dim=1),
            origins=torch.stack(origins[::-1], dim=1),
            open=torch.stack([step.open for step in self._steps], dim=1),
            slot_scores=torch.stack([step.scores for step in self._steps], dim=1),
            candidate_scores=torch.stack([step.candidate_scores for step in self._steps], dim=1),
            followed=torch.stack(self.followed.places, dim=1) if self.followed is not None else None,
            reference_log_probs=torch.stack(of_reference, dim=1) if of_reference else None,
            pruned=self._pruned() if self.watched else None,
        )

    def _held(self, A: Tensor) -> Tensor:
        """(B, K) the candidate that each slot goes on with."""
        if self.options.selection == "soft":
            return A.detach().argmax(-1)
        return torch.arange(A.size(1), device=A.device).expand(A.shape[:2])  # what A is forward, without a look at it

    def _pruned(self) -> Tensor:
        """The operator's bound (b, T) on the mass of all candidates but the best M."""
        with unchecked():
            solved = soft_topk(  # (b, T, K * V + K), one problem for each position
                torch.stack(self.watched, dim=1),
                self.options.beam_size,
                self._operator.temperature,
                candidates=self.options.candidates,
            )
        return solved.tail.nan_to_num(0.0)  # with fewer than K of them, none was left out


class _Step(NamedTuple):
    """What one position leaves behind."""

    candidates: Candidates
    A: Tensor  # (B, K, M) as selected
    solved: Tensor  # (B, K, M) as the operator gave it, detached
    open: Tensor  # (B, K)
    scores: Tensor  # (B, K)
    candidate_scores: Tensor  # (B, M)
    of_reference: Tensor | None  # (B, K, U)


def _default_generator(device: torch.device) -> torch.Generator:
    """The generator that the training loop seeds for each batch."""
    return torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator


def parent_weights(A: Tensor, parents: Tensor) -> Tensor:
    """P_rj = sum of A_rm over the candidates m of slot j: A (B, K, M), parents (B, M) -> (B, K, K)"""
    B, K, _ = A.shape
    return A.new_zeros(B, K, K).scatter_add(2, parents.unsqueeze(1).expand_as(A), A)


def _log_mass(mass: Tensor) -> Tensor:
    """log of a mass in [0, 1]: exactly -inf at 0 and 0 at 1, and with a bounded gradient between."""
    inside = mass.clamp(_SMALLEST, 1.0).log()
    return inside.masked_fill(mass <= 0, -math.inf)


def _at_least(count: int, scores: Tensor) -> Tensor:
    """Scores (B, M), best first, with numbers for the best `count` of a sentence even if it has fewer."""
    best, missing = scores[:, :count], scores[:, :count] == -math.inf
    if may_wait(scores) and not bool(missing.any()):
        return scores
    least = scores.masked_fill(scores == -math.inf, math.inf).amin(1, keepdim=True)  # (B, 1)
    return torch.cat((torch.where(missing, least - _FAR, best), scores[:, count:]), dim=1)
