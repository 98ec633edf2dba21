"""A function over spans of rows, on every processor, with results in order and a progress bar."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")

_SPAN = 10_000
_MOST_WORKERS = 16

_task: Callable[[int, int], Any] | None = None  # the function of this worker process, set when it starts


def map_spans(task: Callable[[int, int], Result], total: int, description: str) -> Iterator[Result]:
    """`task(start, stop)` for spans that cover the rows 0 to `total`, in order.

    Few rows are done in this process. At most two results per worker wait to be taken, so memory stays bounded.
    """
    from rich.console import Console
    from rich.progress import Progress

    spans = [(start, min(start + _SPAN, total)) for start in range(0, total, _SPAN)]
    workers = min(len(os.sched_getaffinity(0)), _MOST_WORKERS, len(spans) // 4)
    results = (task(*span) for span in spans) if workers < 2 else _in_processes(task, spans, workers)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(description, total=total)
        for (start, stop), result in zip(spans, results, strict=True):
            progress.update(bar, advance=stop - start)
            yield result


def _in_processes(task: Callable[[int, int], Result], spans: list[tuple[int, int]], workers: int) -> Iterator[Result]:
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(task,)) as pool:
        waiting: deque[Future] = deque()
        try:
            for span in spans:
                waiting.append(pool.submit(_run_task, *span))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker(task: Callable[[int, int], Any]) -> None:
    global _task
    _task = task


def _run_task(start: int, stop: int) -> Any:
    assert _task is not None
    return _task(start, stop)
