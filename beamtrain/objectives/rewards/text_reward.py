"""Rewards of text: hypotheses are put together from their subwords, and each distinct one is scored once."""

import multiprocessing
from abc import abstractmethod
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import BOS, EOS, PAD, Subwords, Tokenizer
from beamtrain.data.workers import end_with_parent
from beamtrain.objectives.rewards.base import Reward

Triple = tuple[str, str, str]
"""Hypothesis, reference and source."""

_REMEMBERED = 2**16  # hypotheses: those of the last batches, which objectives ask for more than once
_FRESH = multiprocessing.get_context("spawn")  # a forked copy of a process whose OpenMP threads have run may crash

_reward: "TextReward | None" = None  # of this worker process, set when it starts


class TextReward(Reward):
    """A score of lines of text: any metric, with no gradient.

    Reference and source are the batch's, put together from their subwords too. What subwords lose (what the target
    side's normalisation changes, characters that are UNK) is lost on both sides.

    Args:
        workers: processes that score, each with a copy of this reward; 0 scores in the training process. They pay where
            a batch's scores take longer than handing them over, see docs/beam-training.md.

    Raises:
        UserError: fewer than 0 workers.
    """

    def __init__(self, workers: int = 0) -> None:
        super().__init__()
        if workers < 0:
            raise UserError(f"workers is {workers}, but must be 1 or more processes, or 0 to score in this one")
        self.workers = workers
        self.tokenizer: Tokenizer | None = None
        """The run's subwords, which training gives it."""
        self._known: dict[Triple, float] = {}
        self._pool: ProcessPoolExecutor | None = None

    @abstractmethod
    def scores(self, hypotheses: list[str], references: list[str], sources: list[str]) -> list[float]:
        """The score of each hypothesis, the higher the better, about 1 for the reference itself."""

    def of(self, hypotheses: Tensor, batch: Batch) -> Tensor:
        if self.tokenizer is None:
            raise UserError(f"{type(self).__name__} scores text: give it the subwords first, by `tokenizer`")
        target, source = self.tokenizer.target, self.tokenizer.source
        said = _lines(target, hypotheses.flatten(0, 1))
        meant, read = _lines(target, batch.target_out), _lines(source, batch.source)
        K = hypotheses.size(1)
        triples = [(line, meant[row // K], read[row // K]) for row, line in enumerate(said)]
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        new = [triple for triple in dict.fromkeys(triples) if triple not in self._known]
        self._known.update(zip(new, self._scored(new), strict=True))
        found = torch.tensor([self._known[triple] for triple in triples], device=hypotheses.device)
        return found.view(hypotheses.shape[:2])

    def _scored(self, triples: list[Triple]) -> list[float]:
        if not self.workers or not triples:
            return _scores(self, triples)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, _FRESH, initializer=_start_worker, initargs=(self,))
        share = -(-len(triples) // self.workers)
        shares = [triples[start : start + share] for start in range(0, len(triples), share)]
        try:
            return [score for part in self._pool.map(_scores_of_worker, shares) for score in part]
        except BrokenProcessPool as error:
            raise UserError(f"a process that computes {type(self).__name__} has died; is the memory full?") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "tokenizer": None, "_known": {}, "_pool": None}


def give_text(module: torch.nn.Module, tokenizer: Tokenizer) -> None:
    """Give all rewards of text in a module the subwords."""
    for part in module.modules():
        if isinstance(part, TextReward):
            part.tokenizer = tokenizer


def _lines(model: Subwords, rows: Tensor) -> list[str]:
    return model.decode([[token for token in row if token not in (PAD, BOS, EOS)] for row in rows.tolist()])


def _scores(reward: TextReward, triples: list[Triple]) -> list[float]:
    hypotheses, references, sources = ([triple[place] for triple in triples] for place in range(3))
    found = reward.scores(hypotheses, references, sources) if triples else []
    try:
        scores = [float(score) for score in found]
    except (TypeError, ValueError) as error:
        raise UserError(f"{type(reward).__name__}.scores must give a number for each hypothesis ({error})") from error
    if len(scores) != len(triples):
        raise UserError(f"{type(reward).__name__} gave {len(scores)} scores for {len(triples)} hypotheses")
    return scores


def _start_worker(reward: TextReward) -> None:
    global _reward
    _reward = reward
    torch.set_num_threads(1)
    end_with_parent()


def _scores_of_worker(triples: list[Triple]) -> list[float]:
    assert _reward is not None
    return _scores(_reward, triples)
