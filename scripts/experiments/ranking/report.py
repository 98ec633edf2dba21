"""The tables and pictures of docs/ranking.md from the finished cells, without running any.

    python scripts/experiments/ranking/report.py

A table stands between its marks `<!-- NAME -->` and `<!-- / -->` on the page; NAME is that of the file of cells.
"""

import argparse
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import knn
import label_ranking
import medians
import retrieval
import sort_numbers
import topk_classification
import trimmed_squares
from cached import Cells

from beamtrain.base.files import write_text

Table = Callable[[Cells], str]
Picture = Callable[[Cells, Path], None]
PARTS: dict[str, tuple[Table, Picture]] = {
    "label_ranking": (label_ranking.report, label_ranking.plot),
    "trimmed_squares": (trimmed_squares.report, trimmed_squares.plot),
    "retrieval": (retrieval.report, retrieval.plot),
}


def add(module, names, **settings) -> None:
    """An experiment with one file of cells for each task."""
    for name in names:
        PARTS[name] = partial(module.report, **settings), partial(module.plot, **settings)


for name, task in knn.TASKS.items():
    add(knn, [f"knn-{name}"], task=task)
for name, steps in sort_numbers.STEPS.items():
    add(sort_numbers, [f"sort_numbers-{name}"], steps=steps)
add(medians, ["medians-digits", "medians-mnist"], steps=medians.STEPS, level=0.5)
for name, task in topk_classification.TASKS.items():
    add(topk_classification, [f"topk_classification-{name}"], k=1, task=task)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=Path, default=Path("docs/experiments/ranking"))
    parser.add_argument("--pictures", type=Path, default=Path("docs/images/ranking"))
    parser.add_argument("--page", type=Path, default=Path("docs/ranking.md"))
    options = parser.parse_args()
    tables: dict[str, str] = {}
    for name, (table, picture) in PARTS.items():
        cells = Cells(options.cells / f"{name}.jsonl")
        if cells.finished:
            tables[name] = table(cells)
            picture(cells, options.pictures / f"{name}.png")

    def written(found: re.Match[str]) -> str:
        return f"<!-- {found[1]} -->\n\n{tables.get(found[1], 'Not run yet.')}\n\n<!-- / -->"

    text = options.page.read_text(encoding="utf-8")
    write_text(options.page, re.sub(r"<!-- ([\w-]+) -->.*?<!-- / -->", written, text, flags=re.DOTALL))


if __name__ == "__main__":
    main()
