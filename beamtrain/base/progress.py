"""A progress bar on standard error, when that is a terminal and nothing else is written to it."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], total: int | None, to_file: bool) -> Iterator[T]:
    """`items`, counted on the terminal; `to_file` says that what comes of them does not go to standard output."""
    if not sys.stderr.isatty() or (sys.stdout.isatty() and not to_file):
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), "lines", TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        for item in items:
            yield item
            bar.advance(task)
