"""Lines translated by several processes, each with the model, in the order they came in and in bounded memory."""

import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue

import torch

from beamtrain.base.errors import UserError
from beamtrain.data.workers import end_with_parent, processors
from beamtrain.translating.translator import Translation, Translator, Window, numbered

_FRESH = multiprocessing.get_context("spawn")  # a forked copy of a process whose OpenMP threads have run may crash

_translator: Translator | None = None  # of this worker process, set when it starts


class TranslatorPool:
    """Translates as the `Translator` that `make` builds does, in `processes` processes.

    Each process calls `make` with its number, from 0, so `make` has to be picklable. Windows go to whichever process is
    free; at most two for each are under way, so memory does not grow with the input. On a CPU the processes share the
    processors, unless $OMP_NUM_THREADS says how many threads each has. Leaving the context ends them at once.
    """

    def __init__(self, make: Callable[[int], Translator], processes: int) -> None:
        ranks = _FRESH.SimpleQueue()
        for rank in range(processes):
            ranks.put(rank)
        threads = max(1, processors() // processes)
        self._processes = processes
        self._not_ours = set(multiprocessing.active_children())
        self._pool = ProcessPoolExecutor(processes, _FRESH, initializer=_start_worker, initargs=(make, ranks, threads))

    def __enter__(self) -> "TranslatorPool":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - self._not_ours:
            process.kill()

    def translate_windows(
        self,
        windows: Iterable[Sequence[str]],
        prefixes: Iterable[str] | None = None,
        *,
        ready: Callable[[], bool] = lambda: True,
    ) -> Iterator[list[Translation]]:
        """The translations of each window, in order; another one is taken ahead as long as `ready` says yes.

        Raises UserError, after the translations before it, for what reading the windows raises, and when a process
        died.
        """
        pending: deque[Future[bytes]] = deque()
        coming, error, line = numbered(windows, prefixes), None, 0
        while True:
            try:
                while len(pending) < 2 * self._processes and (not pending or ready()):
                    pending.append(self._submit(next(coming)))
            except StopIteration:
                coming = iter(())
            except UserError as found:
                coming, error = iter(()), found
            if not pending:
                break
            translations = self._result(pending.popleft(), line)
            line += len(translations)
            yield translations
        if error:
            raise error

    def _submit(self, window: Window) -> Future[bytes]:
        with _interrupts_held():  # a process that starts now inherits that: Ctrl-C is for this one alone
            return self._pool.submit(_translate, window)

    def _result(self, future: Future[bytes], line: int) -> list[Translation]:
        try:
            return pickle.loads(future.result())
        except BrokenProcessPool as error:
            raise UserError(
                f"one of the {self._processes} processes died after line {line:,}, perhaps for want of memory; "
                "take fewer --processes, or fewer --batch-tokens"
            ) from error


@contextmanager
def _interrupts_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(make: Callable[[int], Translator], ranks: "SimpleQueue[int]", threads: int) -> None:
    global _translator
    end_with_parent()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads)
    _translator = make(ranks.get())


def _translate(window: Window) -> bytes:
    """The window's translations, pickled here: a tensor left to the pool would take a file descriptor each."""
    assert _translator is not None
    return pickle.dumps(_translator.translate_window(window))
