"""Lines of like length, packed into batches."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def packed(jobs: Iterable[T], length: Callable[[T], int], budget: int) -> Iterator[list[T]]:
    """Batches of jobs, short ones first: jobs x longest <= `budget`, but a job longer than that is alone."""
    batch: list[T] = []
    for job in sorted(jobs, key=length):
        if batch and (len(batch) + 1) * length(job) > budget:
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch
