"""Which rows make which batch: batches of like lengths under a token budget, a pure function of seed and epoch.

The plan of an epoch is made for all processes together. A global batch holds at most `batch_tokens` tokens for each
process, padding included, and is dealt row by row: two processes train on exactly the batches of one process with
twice the budget.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from beamtrain.base.errors import UserError

Rows = NDArray[np.int64]
Lengths = NDArray[np.integer]
PlannedBatch = tuple[int, Rows]
"""The epoch and the rows of one batch of one process."""

_ROWS_MULTIPLE = 8


def plan_batches(
    source_lengths: Lengths, target_lengths: Lengths, *, batch_tokens: int, world_size: int, order: Rows
) -> list[Rows]:
    """Cut rows into global batches of like lengths: rows x longest <= batch_tokens x world_size.

    The longest is the longest row of either side, EOS included. The row count is a multiple of 8 (below 8, a power of
    two), cut to one of `world_size`, except in the last batch. A single row longer than the budget is a batch of its
    own.

    Args:
        source_lengths: (rows,) source tokens of each row of the split, EOS included.
        target_lengths: (rows,) the same for the target.
        order: the rows to cut, each once; rows of equal lengths keep this order among themselves.

    Raises:
        UserError: fewer rows than processes.
    """
    if len(order) < world_size:
        raise UserError(f"{len(order)} sentence pairs cannot be shared by {world_size} processes; use fewer processes")
    budget = batch_tokens * world_size
    source, target = source_lengths[order], target_lengths[order]
    like = np.argsort(-_length_key(source, target, budget), kind="stable")  # long first: a rest is of short rows
    order, longest = order[like], np.maximum(source, target)[like]
    batches = []
    start = 0
    while start < len(order):
        stop = start + _rows_that_fit(longest[start:], budget, world_size)
        if len(order) - stop < world_size:
            stop = len(order)  # a rest too small to be shared joins the last batch
        batches.append(order[start:stop])
        start = stop
    return batches


def _length_key(source: Lengths, target: Lengths, budget: int) -> NDArray[np.int64]:
    """(rows,) a key whose order puts rows of like source and target lengths side by side.

    Source lengths fall into bands of equal weight, about 1.5 sqrt(number of batches) of them, and within a band rows
    go by target length, up and down in turn: both sides of a batch then differ little.
    """
    longest = np.maximum(source, target)
    bands = max(1, int(1.5 * np.sqrt(longest.sum() / budget)))
    weight = np.cumsum(np.bincount(source, weights=longest))
    band = np.minimum((weight - 1) * bands // weight[-1], bands - 1).astype(np.int64)[source]
    snake = np.where(band % 2 == 0, target, target.max() - target)
    return (band * (target.max() + 1) + snake) * (source.max() + 1) + source


def _rows_that_fit(longest: Lengths, budget: int, world_size: int) -> int:
    """How many of the next rows one global batch takes."""
    window = longest[: max(1, budget // int(longest[0]))]
    cells = np.maximum.accumulate(window) * np.arange(1, len(window) + 1)
    rows = max(int(np.searchsorted(cells, budget, side="right")), world_size)
    if rows == len(longest):
        return rows
    multiple = _ROWS_MULTIPLE
    while multiple > rows:
        multiple //= 2
    rows -= rows % multiple
    return max(rows - rows % world_size, world_size)


@dataclass(frozen=True)
class Stretch:
    """A part of an epoch gone through under one budget and one number of processes.

    Attributes:
        batch_tokens: budget of each process.
        world_size: number of processes.
        done: global batches trained on.
    """

    batch_tokens: int
    world_size: int
    done: int = 0


class EpochSampler(Sampler[PlannedBatch]):
    """The batches of one process, epoch by epoch, resumable after any batch.

    The position is (epoch, batches done) and nothing else: an epoch left half-way goes on where it was left, in this
    process or another. Iterating changes nothing (a loader may look ahead): `advance` counts a batch as done.

    An epoch resumed under another budget or number of processes goes on with the rows that it has not seen.
    """

    def __init__(
        self,
        source_lengths: Lengths,
        target_lengths: Lengths,
        *,
        batch_tokens: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._lengths = source_lengths, target_lengths
        self._seed = seed
        self._rank = rank
        self._fresh = Stretch(batch_tokens, world_size)
        self._epoch = 0
        self._past: list[Stretch] = []
        self._now = self._fresh
        self._planned: tuple[Any, list[Rows]] | None = None

    def __len__(self) -> int:
        """Batches of the present epoch, those already done included: the same for every process."""
        return sum(stretch.done for stretch in self._past) + len(self._plan())

    def __iter__(self) -> Iterator[PlannedBatch]:
        for rows in self._plan()[self._now.done :]:
            yield self._epoch, rows[self._rank :: self._now.world_size]

    def start_epoch(self) -> None:
        """Begin the next epoch if the present one is done; otherwise stay in it."""
        if self._now.done == len(self._plan()):
            self._epoch += 1
            self._past, self._now = [], self._fresh

    def advance(self) -> None:
        """One more batch is done."""
        self._now = replace(self._now, done=self._now.done + 1)

    def state_dict(self) -> dict[str, Any]:
        """Where training stands; the same on every process."""
        return {
            "seed": self._seed,
            "rows": len(self._lengths[0]),
            "epoch": self._epoch,
            "stretches": [asdict(stretch) for stretch in (*self._past, self._now)],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where `state` says.

        Raises:
            UserError: the state is of another corpus or seed.
        """
        for name, now in (("seed", self._seed), ("rows", len(self._lengths[0]))):
            if state[name] != now:
                raise UserError(
                    f"cannot resume: the data had {name} {state[name]}, now {now}; resume with the same corpus and seed"
                )
        self._epoch = state["epoch"]
        *self._past, self._now = (Stretch(**stretch) for stretch in state["stretches"])
        if replace(self._now, done=0) != self._fresh:
            self._past, self._now = [*self._past, self._now], self._fresh

    def _plan(self) -> list[Rows]:
        """The global batches of the present stretch."""
        key = (self._epoch, tuple(self._past))
        if self._planned is None or self._planned[0] != key:
            rows = np.arange(len(self._lengths[0]))
            for number, stretch in enumerate(self._past):
                left = self._shuffled_plan(rows, stretch, number)[stretch.done :]
                rows = np.sort(np.concatenate(left)) if left else rows[:0]
            self._planned = key, self._shuffled_plan(rows, self._now, len(self._past))
        return self._planned[1]

    def _shuffled_plan(self, rows: Rows, stretch: Stretch, number: int) -> list[Rows]:
        if len(rows) == 0:
            return []
        random = np.random.default_rng((self._seed, self._epoch, number))
        batches = plan_batches(
            *self._lengths,
            batch_tokens=stretch.batch_tokens,
            world_size=stretch.world_size,
            order=random.permutation(rows),
        )
        return [batches[number] for number in random.permutation(len(batches))]
