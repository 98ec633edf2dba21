"""Subword regularisation: training pairs cut into other subwords in every epoch."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beamtrain.data.table import padded
from beamtrain.data.tokenizer import EOS, Subwords, Tokenizer

if TYPE_CHECKING:
    from datasets import Dataset


class Resegment:
    """Draws new subwords for corpus rows: the same ones for the same seed, epoch and row, whoever asks.

    Args:
        text: the training split as the corpus gives it, columns `source` and `target`.
        alpha: strength, see `SubwordModel.sample`.
        longest: tokens of a side, EOS included; one that would get more keeps the subwords it has without sampling.
    """

    def __init__(self, text: "Dataset", tokenizer: Tokenizer, *, alpha: float, seed: int, longest: int) -> None:
        self._text = text
        self._tokenizer = tokenizer
        self._alpha = alpha
        self._seed = seed
        self._longest = longest

    def __call__(self, rows: NDArray[np.int64], epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(B, S) source and (B, T) target tokens of the given (B,) rows, EOS at the end, PAD after."""
        seeds = [self._row_seed(epoch, int(row)) for row in rows]
        text = self._text[rows.tolist()]
        return (
            self._sample(self._tokenizer.source, text["source"], seeds),
            self._sample(self._tokenizer.target, text["target"], seeds),
        )

    def _sample(self, model: Subwords, lines: list[str], seeds: list[int]) -> NDArray[np.int64]:
        drawn = model.sample(lines, self._alpha, seeds)
        if too_long := [place for place, tokens in enumerate(drawn) if len(tokens) >= self._longest]:
            for place, tokens in zip(too_long, model.encode([lines[place] for place in too_long]), strict=True):
                drawn[place] = tokens
        return padded([[*tokens, EOS] for tokens in drawn])

    def _row_seed(self, epoch: int, row: int) -> int:
        """31 bits that look random; neighbouring rows and epochs share nothing."""
        key = f"{self._seed} {epoch} {row}".encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=4).digest()) >> 1
