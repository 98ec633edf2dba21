"""What searches in place of our own decoder."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from beamtrain.search.hypothesis import Hypothesis
from beamtrain.search.options import SearchOptions


@runtime_checkable
class Engine(Protocol):
    """Another decoder of the same network."""

    @property
    def max_positions(self) -> int | None:
        """The most tokens, EOS included, of a source or a translation; None: any number."""

    def search(
        self, sources: Sequence[Sequence[int]], prefixes: Sequence[Sequence[int]], options: SearchOptions
    ) -> list[list[Hypothesis]]:
        """What `search.beam.beam_search` returns, for sources that end in EOS and target prefixes, maybe empty.

        `token_log_probs` are empty where the engine does not know them.
        """
