"""Batches in order, made ahead by worker processes if wanted, resumable after any batch."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from beamtrain.data.batch import Batch
from beamtrain.data.sampler import EpochSampler, PlannedBatch, plan_batches
from beamtrain.data.table import TokenTable
from beamtrain.data.workers import end_with_parent

Resample = Callable[[NDArray[np.int64], int], tuple[NDArray[np.int64], NDArray[np.int64]]]
"""From (B,) corpus rows and the epoch to (B, S) source and (B, T) target tokens, EOS at the end, PAD after."""


class PairDataset(Dataset[Batch]):
    """Sentence pairs, taken a whole batch at a time.

    Args:
        source, target: token rows ending in EOS.
        rows: (pairs,) the row of the corpus that each pair came from.
        resample: new tokens for both sides of given corpus rows in a given epoch; None takes those of the tables.
    """

    def __init__(
        self, source: TokenTable, target: TokenTable, rows: NDArray[np.int64], resample: Resample | None = None
    ) -> None:
        self._source = source
        self._target = target
        self._rows = rows
        self._resample = resample

    def __getitem__(self, planned: PlannedBatch) -> Batch:
        epoch, pairs = planned
        rows = np.asarray(self._rows[pairs])
        if self._resample is None:
            source, target = self._source.gather(pairs), self._target.gather(pairs)
        else:
            source, target = self._resample(rows, epoch)
        return Batch.of_pairs(*map(torch.from_numpy, (source, target, rows)))


class BatchLoader(DataLoader[Batch]):
    """The batches of an `EpochSampler`, an epoch per iteration.

    `state_dict` counts what was handed out, not what workers made ahead, so training resumes with the next batch
    under any number of workers. The global random state is left alone.
    """

    def __init__(self, pairs: PairDataset, sampler: EpochSampler, *, num_workers: int) -> None:
        super().__init__(
            pairs,
            sampler=sampler,
            batch_size=None,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            worker_init_fn=_start_worker,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),
        )
        self._epochs = sampler

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        self._epochs.start_epoch()
        for batch in super().__iter__():
            self._epochs.advance()
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Where the training data stands."""
        return self._epochs.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken."""
        self._epochs.load_state_dict(state)


def _start_worker(number: int) -> None:
    end_with_parent()  # PyTorch's own watch misses a parent that was killed before the watch began


def evaluation_loader(
    pairs: PairDataset,
    source_lengths: NDArray[np.integer],
    target_lengths: NDArray[np.integer],
    *,
    batch_tokens: int,
    rank: int,
    world_size: int,
) -> DataLoader[Batch]:
    """Every pair once, longest first, in the same batches every time; each process takes its share."""
    batches = plan_batches(
        source_lengths,
        target_lengths,
        batch_tokens=batch_tokens,
        world_size=world_size,
        order=np.arange(len(source_lengths)),
    )
    share = [(0, rows[rank::world_size]) for rows in batches]
    return DataLoader(
        pairs, sampler=share, batch_size=None, pin_memory=torch.cuda.is_available(), generator=torch.Generator()
    )
