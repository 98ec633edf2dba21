"""Beam search as a differentiable function of the network: the unroll that training looks through.

Each step takes the hard search's M best candidates and lets a differentiable top-k operator choose K of them. Its
matrix A (K, M), one row for each rank, replaces the choice: it mixes token embeddings into the next inputs, parents
into the next decoder state, and log-probabilities into the next scores (Xie et al. 2020, section 4; Goyal et al. 2018
do the same with a peaked softmax).

    candidate m of slot p, token w:  c_m = s_p + log(1 - f_p) + log p(w)      or, PAD at a finished slot: s_p + log f_p
    next embedding  e_r = sum_m A_rm E[w_m]           next score     s_r = sum_m A_rm c_m
    parents         P_rj = sum_{m: p_m = j} A_rm      finished mass  f_r = sum_m A_rm 1[w_m is EOS or PAD]

f is absorbing: what has finished offers only itself. Candidates, masks, limits and ties are those of the hard search,
so with one-hot A the unroll is that search, token for token.

The selection: `soft`, A itself; `straight_through`, one-hot forward with the gradient of A backward;
`hard`, one-hot with no gradient through the choice (a loss can still learn through the scores).

Gradients through the whole recursion explode with its length. Each way back from a step to the steps before it can
be opened by name, and all are closed by default: see `GradientPath`.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from beamtrain.data.tokenizer import BOS, PAD
from beamtrain.errors import UserError
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.search.constraints import Constraints
from beamtrain.search.step import Candidates, best_candidates
from beamtrain.topk.base import Operator
from beamtrain.topk.soft import SoftTopK, soft_topk

SelectionKind = Literal["soft", "straight_through", "hard"]
GradientPath = Literal["score_update", "accumulated_score", "embeddings", "ancestry"]
"""score_update: A as it mixes scores and finished mass. accumulated_score: the slots' scores as they enter the operator
(closed: a choice is credited with its own token's log-probability only). embeddings: A as it mixes the next inputs.
ancestry: A as it mixes the decoder state."""

_WATCHED = 4  # sentences of a batch whose pruning is bounded: every one would cost a twentieth of the step
_SMALLEST = 1e-6  # of a finished mass that is neither 0 nor 1, where its logarithm is taken


@dataclass(frozen=True)
class UnrollOptions:
    """How to search inside the loss.

    Raises:
        UserError: a value out of its range.
    """

    beam_size: int = 4
    """K, slots of each sentence."""
    candidates: int | None = 32
    """M, the best continuations of all slots that the operator chooses from, at least beam_size; None: all K * V."""
    selection: SelectionKind = "straight_through"
    """What the operator's matrix is: soft, straight_through or hard."""
    open_paths: tuple[GradientPath, ...] = ()
    """Recurrent gradient paths to keep: score_update, accumulated_score, embeddings, ancestry."""

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise UserError(f"beam_size is {self.beam_size}; it must be 1 or more")
        if self.candidates is not None and self.candidates < self.beam_size:
            raise UserError(f"candidates is {self.candidates}; it must be at least beam_size ({self.beam_size})")
        if self.selection not in get_args(SelectionKind):
            kinds = ", ".join(get_args(SelectionKind))
            raise UserError(f"selection is {self.selection!r}; it must be one of {kinds}")
        unknown = [path for path in self.open_paths if path not in get_args(GradientPath)]
        if unknown:
            raise UserError(f"open_paths names {unknown[0]!r}; known: {', '.join(get_args(GradientPath))}")


@dataclass
class SoftBeams:
    """The K final beams of B sentences, as distributions over the candidates of each of T positions."""

    tokens: Tensor  # (B, T, M) candidate tokens of each position
    weights: Tensor  # (B, T, K, M) what final beam r has at a position: rows sum to 1
    scores: Tensor  # (B, K) accumulated log-probability
    finished: Tensor  # (B, K) finished mass
    matrices: Tensor  # (B, T, K, M) the operator's own A at each position, before it is made hard; detached
    parents: Tensor  # (B, T, M) slot that each candidate continues
    origins: Tensor  # (B, T, K, K) how much final beam r has of slot j as it was when position t was predicted
    open: Tensor  # (B, T, K) whether slot j was there and mostly unfinished when position t was predicted
    slot_scores: Tensor  # (B, T, K) accumulated log-probability of the slots after each position
    reference_log_probs: Tensor | None  # (B, T, K, U) of each reference token as the next one of slot j; if asked for
    pruned: Tensor | None  # (b, T) bound on the mass beyond the M candidates, of the first few sentences (SOFT only)

    @property
    def lengths(self) -> Tensor:
        """(B, K) expected number of tokens, EOS included."""
        return (self.weights * (self.tokens != PAD).unsqueeze(2)).sum((1, 3))

    @property
    def best_tokens(self) -> Tensor:
        """(B, K, T) the likeliest token of each position."""
        places = self.weights.argmax(-1)  # (B, T, K)
        return self.tokens.gather(2, places).transpose(1, 2)


def soft_beam_search(
    network: Seq2Seq,
    memory: Memory,
    limits: Tensor,
    options: UnrollOptions,
    operator: Operator | None = None,
    reference: Tensor | None = None,
    at_least: int = 0,
) -> SoftBeams:
    """Unroll the search step by step, any recurrent path open or closed.

    Args:
        network: used as it is, dropout included if it is in training mode.
        memory: the encoded sources.
        limits: (B,) the most tokens of each sentence, EOS included: at the last one only EOS is allowed.
        operator: a top-k operator that gives an order; sorted SOFT at temperature 0.5 (the paper's eps = 1) by default.
        reference: (B, U) token ids whose log-probabilities are wanted at every slot, see SoftBeams.
        at_least: positions to go on for, though every hypothesis be finished; see Chain.over.
    """
    chain = Chain(limits.size(0), options, operator, like=memory.states)
    chain.watch_pruning = chain.has_bound
    constraints = Constraints(limits)
    state = network.start_soft(memory, options.beam_size)
    inputs = network.embed(torch.full_like(chain.finished, BOS, dtype=torch.long))  # (B, K) -> (B, K, D)
    for _ in range(int(limits.max())):
        hidden = network.step(inputs, state)  # (B, K, D)
        candidates = chain.candidates(network, hidden.detach(), constraints)
        log_probs, of_reference = candidate_log_probs(network, hidden, candidates, reference)  # (B, M), (B, K, U)
        A = chain.advance(candidates, log_probs, of_reference)  # (B, K, M)
        inputs = chain.through("embeddings", A) @ network.embed(candidates.tokens).to(A.dtype)  # (B, K, D)
        state.mix(_parents(chain.through("ancestry", A), candidates.parents))
        if chain.over(at_least):
            break
    return chain.result()


def candidate_log_probs(
    network: Seq2Seq, hidden: Tensor, candidates: Candidates, reference: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities given the slots' decoder outputs (B, K, D): (B, M) of the candidates, 0 for an absorbed PAD;
    and (B, K, U) of every token of `reference` (B, U).

    The V-way softmax is recomputed for the gradient instead of being kept.
    """
    return checkpoint(
        _gathered,
        network,
        hidden,
        candidates.parents,
        candidates.tokens,
        reference,
        use_reentrant=False,
        preserve_rng_state=False,
    )


def _gathered(
    network: Seq2Seq, hidden: Tensor, parents: Tensor, tokens: Tensor, reference: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    log_probs = next_log_probs(network, hidden)  # (B, K, V)
    picked = log_probs.flatten(1).gather(1, parents * log_probs.size(-1) + tokens)  # (B, K * V) -> (B, M)
    picked = picked.masked_fill(tokens == PAD, 0.0)
    if reference is None:
        return picked, None
    places = reference.unsqueeze(1).expand(-1, hidden.size(1), -1)  # (B, U) -> (B, K, U)
    return picked, log_probs.gather(2, places)


def next_log_probs(network: Seq2Seq, hidden: Tensor) -> Tensor:
    """(..., D) -> (..., V), in float32 or better"""
    logits = network.logits(hidden)
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


class Chain:
    """The recursion over chosen candidates: scores, finished mass and matrices from step to step."""

    def __init__(self, sentences: int, options: UnrollOptions, operator: Operator | None, like: Tensor) -> None:
        self._options, self._operator = options, operator or SoftTopK(temperature=0.5, candidates=None)
        self._operator.require("order", "gradient", purpose="the search")
        K, dtype = options.beam_size, torch.promote_types(like.dtype, torch.float32)
        self.scores = torch.full((sentences, K), -math.inf, dtype=dtype, device=like.device)  # (B, K)
        self.scores[:, 0] = 0.0  # at the first position the other slots would only repeat it
        self.finished = torch.zeros_like(self.scores)  # (B, K)
        self._steps: list[_Step] = []
        self.watch_pruning = False  # whether to bound what pruning to M leaves out
        self.watched: list[Tensor] = []  # (b, K * V + K) all candidates of the first sentences at each position

    @property
    def has_bound(self) -> bool:
        """Whether pruning leaves something out that the operator can bound."""
        pruning = self._options.candidates is not None and self._options.selection != "hard"
        return pruning and isinstance(self._operator, SoftTopK)

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
        return self.position >= at_least and not self.finished.is_cuda and bool((self.finished == 1).all())

    @torch.no_grad()
    def candidates(self, network: Seq2Seq, hidden: Tensor, constraints: Constraints) -> Candidates:
        """The hard search's M best continuations, given the slots' decoder outputs (B, K, D)."""
        log_probs = next_log_probs(network, hidden)  # (B, K, V)
        constraints.forbid(log_probs, hidden.new_empty(*hidden.shape[:2], self.position))
        count = self._options.candidates or log_probs[0].numel()
        found = best_candidates(log_probs, self.going, self.absorbed, count)
        if self.watch_pruning:
            going = (self.going[:_WATCHED].unsqueeze(2) + log_probs[:_WATCHED]).flatten(1)  # (b, K, V) -> (b, K * V)
            self.watched.append(torch.cat((going, self.absorbed[:_WATCHED]), dim=1))
        return found

    def through(self, path: GradientPath, A: Tensor) -> Tensor:
        """A, with its gradient if the path is open."""
        return A if path in self._options.open_paths else A.detach()

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
        unfinished = (self.scores.detach() > -math.inf) & (self.finished.detach() < 0.5)  # (B, K)
        absorbing = candidates.tokens == PAD  # (B, M)
        before = torch.where(
            absorbing, self.absorbed.gather(1, candidates.parents), self.going.gather(1, candidates.parents)
        )  # (B, M)
        exists = candidates.scores > -math.inf
        scores = (before + log_probs).masked_fill(~exists, 0.0)
        if solved is None:
            entering = before if "accumulated_score" in self._options.open_paths else before.detach()
            solved = self.solve((entering + log_probs).masked_fill(~exists, -math.inf))
        A = self._selected(solved)
        mixing = self.through("score_update", A)
        self.scores = (mixing @ scores.unsqueeze(2)).squeeze(2)  # (B, K, M) x (B, M, 1) -> (B, K)
        self.finished = (mixing * candidates.finished.unsqueeze(1)).sum(2)
        self._steps.append(_Step(candidates, A, solved.detach(), unfinished, self.scores, of_reference))
        return A

    def solve(self, scores: Tensor) -> Tensor:
        """The operator's matrix (B, K, M) for candidates (B, M) in the order of the hard search."""
        K, M = self._options.beam_size, scores.size(1)
        if self._options.selection == "hard":
            return torch.eye(K, M, dtype=scores.dtype, device=scores.device).expand(scores.size(0), K, M)
        generator = _default_generator(scores.device) if self._operator.draws else None
        return self._operator.select(scores, K, generator).dense(M)

    def _selected(self, solved: Tensor) -> Tensor:
        """A: the operator's matrix with what `selection` makes of it."""
        if self._options.selection != "straight_through":
            return solved
        one_hot = torch.eye(*solved.shape[1:], dtype=solved.dtype, device=solved.device).expand_as(solved)
        return one_hot + (solved - solved.detach())

    def result(self) -> SoftBeams:
        """Follow the final beams back: at position t, beam r has (P_T ... P_(t+1)) A_t."""
        K = self._options.beam_size
        back = torch.eye(K, dtype=self.scores.dtype, device=self.scores.device)  # (K, K), then (B, K, K)
        weights, origins = [], []
        for step in reversed(self._steps):
            weights.append(back @ step.A)  # (B, K, M)
            back = back @ _parents(step.A, step.candidates.parents)
            origins.append(back)
        of_reference = [step.of_reference for step in self._steps if step.of_reference is not None]
        return SoftBeams(
            tokens=torch.stack([step.candidates.tokens for step in self._steps], dim=1),
            weights=torch.stack(weights[::-1], dim=1),
            scores=self.scores,
            finished=self.finished,
            matrices=torch.stack([step.solved for step in self._steps], dim=1),
            parents=torch.stack([step.candidates.parents for step in self._steps], dim=1),
            origins=torch.stack(origins[::-1], dim=1),
            open=torch.stack([step.open for step in self._steps], dim=1),
            slot_scores=torch.stack([step.scores for step in self._steps], dim=1),
            reference_log_probs=torch.stack(of_reference, dim=1) if of_reference else None,
            pruned=self._pruned() if self.watched else None,
        )

    def _pruned(self) -> Tensor:
        """The operator's bound (b, T) on the mass of all candidates but the best M."""
        solved = soft_topk(  # (b, T, K * V + K), one problem for each position
            torch.stack(self.watched, dim=1),
            self._options.beam_size,
            self._operator.temperature,
            candidates=self._options.candidates,
        )
        return solved.tail


class _Step(NamedTuple):
    """What one position leaves behind."""

    candidates: Candidates
    A: Tensor  # (B, K, M) as selected
    solved: Tensor  # (B, K, M) as the operator gave it, detached
    open: Tensor  # (B, K)
    scores: Tensor  # (B, K)
    of_reference: Tensor | None  # (B, K, U)


def _default_generator(device: torch.device) -> torch.Generator:
    """The generator that the training loop seeds for each batch."""
    return torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator


def _parents(A: Tensor, parents: Tensor) -> Tensor:
    """P_rj = sum of A_rm over the candidates m of slot j: A (B, K, M), parents (B, M) -> (B, K, K)"""
    B, K, _ = A.shape
    return A.new_zeros(B, K, K).scatter_add(2, parents.unsqueeze(1).expand_as(A), A)


def _log_mass(mass: Tensor) -> Tensor:
    """log of a mass in [0, 1]: exactly -inf at 0 and 0 at 1, and with a bounded gradient between."""
    inside = mass.clamp(_SMALLEST, 1.0).log()
    return inside.masked_fill(mass <= 0, -math.inf)


def gold_limits(target_out: Tensor, margin: int) -> Tensor:
    """(B,) the gold length (B, T) -> (B,), EOS included, plus `margin` tokens."""
    return (target_out != PAD).sum(1) + margin
