"""How to search inside the loss: beams, candidates, what a choice is, and which gradient paths are open."""

from dataclasses import dataclass
from typing import Literal, get_args

from beamtrain.base.errors import UserError

SelectionKind = Literal["soft", "straight_through", "hard"]
GradientPath = Literal["score_update", "accumulated_score", "embeddings", "ancestry"]
"""score_update: A as it mixes scores and finished mass. accumulated_score: the slots' scores as they enter the operator
(closed: a choice is credited with its own token's log-probability only). embeddings: A as it mixes the next inputs.
ancestry: A as it mixes the decoder state."""


@dataclass(frozen=True)
class UnrollOptions:
    """How to search inside the loss.

    Raises:
        UserError: a value out of its range.
    """

    beam_size: int = 4
    """K, slots of each sentence."""
    candidates: int | None = 32
    """M, the best continuations of all slots that the operator chooses from, at least beam_size; None, or more than
    there are: all K * V."""
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
