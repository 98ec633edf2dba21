"""How to search inside the loss: beams, candidates, what a choice is, and which gradient paths are open."""

import math
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
    choice_gradient: float = 1.0
    """What the gradient through the operator's matrix, that is through choices, is multiplied by."""
    undecided: float | None = None
    """The share of a sentence's positions at which K-th and next candidate are to lie within the temperature, which is
    set by that for each sentence; null: the operator's own."""
    window: int | None = None
    """Through mixed embeddings and decoder states no gradient goes back over more than so many positions; null: all."""
    snapping: float | None = None
    """What the decoder reads is the token embedding nearest to the mixture, and this the weight of the commitment term;
    null: it reads the mixture."""
    noise: float = 0.0
    """Of the Gumbel noise on the scores by which the search chooses, in nats: 0, none; 1 with one beam is sampling."""

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise UserError(f"beam_size is {self.beam_size}; it must be 1 or more")
        if self.candidates is not None and self.candidates < self.beam_size:
            raise UserError(f"candidates is {self.candidates}; it must be at least beam_size ({self.beam_size})")
        if self.selection not in get_args(SelectionKind):
            kinds = ", ".join(get_args(SelectionKind))
            raise UserError(f"selection is {self.selection!r}; it must be one of {kinds}")
        if not 0 <= self.choice_gradient < math.inf:
            raise UserError(f"choice_gradient is {self.choice_gradient}; it must be 0 or more; 1 leaves it as it is")
        if self.choice_gradient != 1 and self.selection == "hard":
            raise UserError(
                f"choice_gradient is {self.choice_gradient}, but no gradient goes through the choices of selection "
                "hard; take straight_through, or leave it at 1"
            )
        if self.undecided is not None:
            self._check_undecided(self.undecided)
        if self.window is not None:
            if self.window < 1:
                raise UserError(f"window is {self.window}; it must be 1 or more positions, or null for all")
            if not {"embeddings", "ancestry"} & set(self.open_paths):
                raise UserError(
                    f"window is {self.window}, but the paths it is about are closed: name embeddings or ancestry in "
                    "open_paths"
                )
        if self.snapping is not None:
            if not 0 <= self.snapping < math.inf:
                raise UserError(f"snapping is {self.snapping}; its weight must be 0 or more; 0.25 is usual")
            if self.selection != "soft":
                raise UserError(f"snapping needs mixtures, and selection {self.selection} has none; take soft")
        if not 0 <= self.noise < math.inf:
            raise UserError(f"noise is {self.noise}; it must be 0 or more, in nats")
        unknown = [path for path in self.open_paths if path not in get_args(GradientPath)]
        if unknown:
            raise UserError(f"open_paths names {unknown[0]!r}; known: {', '.join(get_args(GradientPath))}")

    def _check_undecided(self, share: float) -> None:
        if not 0 < share < 1:
            raise UserError(f"undecided is {share}; it must be a share of positions, above 0 and below 1")
        recurrent = {"accumulated_score", "embeddings", "ancestry"} & set(self.open_paths)
        if self.selection != "straight_through" or recurrent:
            raise UserError(
                "undecided looks at all positions of a sentence at once, before it chooses: selection must be "
                "straight_through and the paths accumulated_score, embeddings and ancestry closed"
            )
        if self.candidates == self.beam_size:
            raise UserError(f"undecided needs a candidate beyond the K-th; raise candidates above {self.beam_size}")
