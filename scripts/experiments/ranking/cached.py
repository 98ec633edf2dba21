"""Finished cells of an experiment, one line of JSON each; a command that was interrupted goes on where it stopped.

A cell is known by its settings, and everything that changes its result belongs to them, but for the data: what a file
keeps of them is a digest.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from torch import Tensor

from beamtrain.base.errors import UserError

Settings = dict[str, Any]
Result = dict[str, Any]
PROBES = 3, 23  # steps of two short trainings, to learn what one costs


class Cells:
    """The cells kept in one file.

    Raises:
        UserError: the file holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finished: list[tuple[Settings, Result]] = []
        self._data: dict[str, str] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            try:
                for line in path.read_text(encoding="utf-8").split("\n"):
                    with suppress(json.JSONDecodeError):  # half a line
                        row = json.loads(line)
                        if "data" in row:
                            self._data[str(row.get("of", ""))] = str(row["data"])
                            continue
                        self.finished.append((dict(row["settings"]), dict(row["result"])))
            except (UnicodeDecodeError, TypeError, KeyError, ValueError) as error:
                raise UserError(
                    f"{path}: not a file of finished cells, each a line of JSON with settings and result; move it away "
                    "or give another folder"
                ) from error

    def belong_to(self, data: str, of: str = "") -> None:
        """Keep the digest of the data that the cells are measured on; `of`: which, in a file with cells of several.

        Raises:
            UserError: those that are kept were measured on other data.
        """
        if of not in self._data:
            self._append({"data": data, "of": of} if of else {"data": data})
            self._data[of] = data
        if self._data[of] != data:
            named = f" named {of}" if of else ""
            raise UserError(
                f"{self.path} has cells of other data{named}; give another folder by --out, or the same --source"
            )

    def run(self, settings: Settings, work: Callable[[], Result], device: str = "cpu") -> Result:
        """The kept result of the cell with these settings, or that of `work`, with its CPU seconds, now kept.

        On another device its name is kept instead of the seconds.
        """
        for known, result in self.finished:
            if known == settings:
                return result
        begin = time.process_time()
        result = work()
        seconds = round(time.process_time() - begin, 1)
        result = {**({"cpu_seconds": seconds} if device == "cpu" else {"device": device}), **result}
        self._append({"settings": settings, "result": result})
        self.finished.append((settings, result))
        print(f"{settings} {summary(result)}", file=sys.stderr, flush=True)
        return result

    def seconds_a_step(self, settings: Settings, train: Callable[[int], Any]) -> float:
        """CPU seconds of a training step: `train` is called with numbers of steps, on the CPU, once and for all."""

        def work() -> Result:
            took = []
            for steps in (PROBES[0], *PROBES):  # the first is to warm up
                begin = time.process_time()
                train(steps)
                took.append(time.process_time() - begin)
            return {"seconds_a_step": round((took[2] - took[1]) / (PROBES[1] - PROBES[0]), 5)}

        return self.run({"cost": True, **settings}, work)["seconds_a_step"]

    def cost(self, settings: Settings) -> float | None:
        """What `seconds_a_step` has found for these settings."""
        known = [result["seconds_a_step"] for each, result in self.finished if each == {"cost": True, **settings}]
        return known[0] if known else None

    def results(self, **settings: Any) -> list[Result]:
        """Those of the cells with these settings, whatever their other ones: one for each seed."""
        return [
            result
            for known, result in self.finished
            if "cost" not in known and all(known.get(name) == value for name, value in settings.items())
        ]

    def _append(self, row: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" * self._torn() + json.dumps(row) + "\n")

    def _torn(self) -> bool:
        """Whether the file ends in half a line."""
        return self.path.exists() and self.path.stat().st_size > 0 and not self.path.read_bytes().endswith(b"\n")


def digest(*parts: Tensor | str) -> str:
    """What tells tensors and texts from others."""
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part.detach().contiguous().numpy().data)
    return found.hexdigest()


def summary(result: Result) -> str:
    """The single figures of a result."""
    return ", ".join(f"{name} {value:.4g}" for name, value in result.items() if isinstance(value, int | float))


def spread(values: Iterable[float], digits: int = 2) -> str:
    """mean ± standard deviation, the mean alone of one value, nothing of none."""
    values = list(values)
    if not values:
        return ""
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown; the first column to the left, all others to the right. Columns without a figure are left out."""
    kept = [column for column in range(len(head)) if not rows or any(row[column] for row in rows)]
    lines = ["| " + " | ".join(row[column] for column in kept) + " |" for row in (head, *rows)]
    lines.insert(1, "|---|" + "---:|" * (len(kept) - 1))
    return "\n".join(lines)
