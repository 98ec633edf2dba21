"""Work in other processes: a function over spans of rows on every processor, or once and apart."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")
Span = tuple[int, int]
"""First row, and the row after the last."""

_SPAN_ROWS = 10_000
_MOST_WORKERS = 16
_FRESH = multiprocessing.get_context("spawn")  # a forked copy of a process whose OpenMP threads have run may crash

_task: Callable[[int, int], Any] | None = None  # what this worker process runs, set when it starts


def map_spans(task: Callable[[int, int], Result], total: int, title: str) -> Iterator[tuple[Span, Result]]:
    """(span, `task(*span)`) for spans that cover the rows from 0 to before `total`, in order.

    Few rows are done in this process, more of them on every processor. No more than two results per worker wait to be
    taken, so memory stays bounded. The progress bar shows on a terminal only.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    spans = [(start, min(start + _SPAN_ROWS, total)) for start in range(0, total, _SPAN_ROWS)]
    workers = min(processors(), _MOST_WORKERS, len(spans) // 4)
    results = _in_processes(task, spans, workers) if workers > 1 else (task(*span) for span in spans)
    console = Console(stderr=True)
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(title, total=total)
        for span, result in zip(spans, results, strict=True):
            yield span, result
            progress.update(bar, completed=span[1])


def run_apart(task: Callable[[], Result]) -> Result:
    """`task()` in a process of its own, so that the memory it needs is given back at its end."""
    with ProcessPoolExecutor(1, _FRESH, initializer=end_with_parent) as pool:
        return pool.submit(task).result()


def _in_processes(task: Callable[[int, int], Result], spans: list[Span], workers: int) -> Iterator[Result]:
    with ProcessPoolExecutor(workers, _FRESH, initializer=_start_worker, initargs=(task,)) as pool:
        waiting: deque[Future[Result]] = deque()
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
    end_with_parent()


def end_with_parent() -> None:
    """Let this worker process end when the process that started it does, even by a kill."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _run_task(start: int, stop: int) -> Any:
    assert _task is not None
    return _task(start, stop)


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
