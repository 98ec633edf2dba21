"""Spans of rows: all of them, in order, in one process or several."""

import multiprocessing
import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pytest
from waiting import running, wait_until

from beamtrain.base.errors import UserError
from beamtrain.data import workers
from beamtrain.data.workers import map_spans, run_apart


def process_and_rows(start: int, stop: int) -> tuple[int, list[int]]:
    return os.getpid(), list(range(start, stop))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("total", [0, 1, 10, 11, 397])
def test_every_row_once_and_in_order(monkeypatch, workers, total):
    monkeypatch.setattr("beamtrain.data.workers._SPAN_ROWS", 10)
    monkeypatch.setattr("beamtrain.data.workers.processors", lambda: workers)
    results = list(map_spans(process_and_rows, total, "Counting"))
    assert [row for _, (_, rows) in results for row in rows] == list(range(total))
    assert all(rows == list(range(*span)) for span, (_, rows) in results)
    in_other_processes = os.getpid() not in {process for _, (process, _) in results}
    assert in_other_processes == ((workers > 1 and total > 100) or total == 0)


def fail_at(row: int, start: int, stop: int) -> int:
    if start <= row < stop:
        raise RuntimeError(f"row {row}")
    return start


def die_at(row: int, start: int, stop: int) -> int:
    if start <= row < stop:
        os.kill(os.getpid(), signal.SIGKILL)
    return start


@pytest.mark.parametrize(("task", "error"), [(fail_at, RuntimeError), (die_at, BrokenProcessPool)])
def test_a_worker_that_fails_or_is_killed_ends_the_work(monkeypatch, task, error):
    monkeypatch.setattr("beamtrain.data.workers._SPAN_ROWS", 10)
    monkeypatch.setattr("beamtrain.data.workers.processors", lambda: 2)
    with pytest.raises(error):
        list(map_spans(partial(task, 205), 400, "Failing"))


def test_apart_is_another_process():
    assert run_apart(os.getpid) != os.getpid()


def test_a_mistake_made_apart_comes_back():
    with pytest.raises(UserError, match="what to do"):
        run_apart(complain)


def complain() -> None:
    raise UserError("what to do")


def note_and_wait(folder: Path, start: int, stop: int) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(60)


def work_forever(folder: Path) -> None:
    workers._SPAN_ROWS, workers.processors = 10, lambda: 2
    list(map_spans(partial(note_and_wait, folder), 400, "Waiting"))


def test_workers_end_when_their_parent_is_killed(tmp_path):
    parent = multiprocessing.get_context("spawn").Process(target=work_forever, args=(tmp_path,))
    parent.start()
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    parent.kill()
    parent.join()
    wait_until(lambda: not any(running(int(path.name)) for path in tmp_path.iterdir()))
