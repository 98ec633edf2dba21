"""What a differentiable search finds."""

from dataclasses import dataclass

from torch import Tensor

from beamtrain.data.tokenizer import PAD


@dataclass
class SoftBeams:
    """The K final beams of B sentences, as distributions over the candidates of each of T positions."""

    tokens: Tensor  # (B, T, M) candidate tokens of each position
    weights: Tensor  # (B, T, K, M) what final beam r has at a position: rows sum to 1
    scores: Tensor  # (B, K) accumulated log-probability
    finished: Tensor  # (B, K) finished mass
    matrices: Tensor  # (B, T, K, M) the operator's own A at each position, before it is made hard; detached
    parents: Tensor  # (B, T, M) slot that each candidate continues
    held: Tensor  # (B, T, K) the candidate that slot r goes on with: that of its rank, or what a soft slot has most of
    origins: Tensor  # (B, T, K, K) how much final beam r has of slot j as it was when position t was predicted
    open: Tensor  # (B, T, K) whether slot j was there and mostly unfinished when position t was predicted
    slot_scores: Tensor  # (B, T, K) accumulated log-probability of the slots after each position
    candidate_scores: Tensor  # (B, T, M) accumulated log-probability of the candidates, -inf where there is none
    followed: Tensor | None  # (B, T) which candidate the followed sentence is, M where it is none; see Followed
    reference_log_probs: Tensor | None  # (B, T, K, U) of each reference token as the next one of slot j, if asked for
    #                                     (0 at PAD, where no slot is, and unless asked for where it has ended)
    pruned: Tensor | None  # (b, T) bound on the mass beyond the M candidates, of the first few sentences (SOFT only)

    vectors: Tensor | None = None  # (B, T, K, D) what final beam r has at a position, as a mixture of token vectors
    reference_vectors: Tensor | None = None  # (B, U, D) the vectors of the reference's tokens
    commitment: Tensor | None = None  # (B,) how far the mixed embeddings were from tokens; see Snapping

    @property
    def lengths(self) -> Tensor:
        """(B, K) expected number of tokens, EOS included."""
        return (self.weights * (self.tokens != PAD).unsqueeze(2)).sum((1, 3))

    @property
    def best_tokens(self) -> Tensor:
        """(B, K, T) the likeliest token of each position."""
        places = self.weights.argmax(-1)  # (B, T, K)
        return self.tokens.gather(2, places).transpose(1, 2)
