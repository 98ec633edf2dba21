"""The tables and pictures of docs/ranking.md from the finished cells, without running any.

    python scripts/experiments/ranking/report.py

A table stands between its marks `<!-- NAME -->` and `<!-- / -->` on the page; NAME is that of the file of cells. One
without cells stays as it is.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import arguments
import knn
import label_ranking
import medians
import retrieval
import sort_numbers
import topk_classification
import trimmed_squares
from cached import Cells

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.base.script_parser import ScriptParser

Table = Callable[[Cells], str]
Picture = Callable[[Cells, Path], None]
PARTS: dict[str, tuple[Table, Picture]] = {
    "label_ranking": (label_ranking.report, label_ranking.plot),
    "trimmed_squares": (trimmed_squares.report, trimmed_squares.plot),
    "retrieval": (retrieval.report, retrieval.plot),
}


for name, task in knn.TASKS.items():
    PARTS[f"knn-{name}"] = partial(knn.report, task=task), partial(knn.plot, task=task)
for name, steps in sort_numbers.STEPS.items():
    PARTS[f"sort_numbers-{name}"] = partial(sort_numbers.report, steps=steps), partial(sort_numbers.plot, steps=steps)
for name in ("medians-digits", "medians-mnist"):
    PARTS[name] = (
        partial(medians.report, steps=medians.STEPS, level=0.5),
        partial(medians.plot, steps=medians.STEPS, level=0.5),
    )
for name, settings in topk_classification.TASKS.items():
    PARTS[f"topk_classification-{name}"] = (
        partial(topk_classification.report, k=1, task=settings),
        partial(topk_classification.plot, k=1, task=settings),
    )


def main() -> None:
    parser = ScriptParser(__doc__)
    parser.add_argument("--cells", type=Path, default=Path("docs/experiments/ranking"))
    parser.add_argument("--pictures", type=arguments.folder, default=Path("docs/images/ranking"))
    parser.add_argument("--page", type=Path, default=Path("docs/ranking.md"))
    options = parser.parse_args()
    if not any(options.cells.glob("*.jsonl")):
        raise UserError(f"--cells {options.cells}: no finished cells there; {options.page} stays as it is")
    text = options.page.read_text(encoding="utf-8")
    tables: dict[str, str] = {}
    for name, (table, picture) in PARTS.items():
        cells = Cells(options.cells / f"{name}.jsonl")
        if cells.finished:
            tables[name] = table(cells)
            picture(cells, options.pictures / f"{name}.png")

    def written(found: re.Match[str]) -> str:
        name, before = found.groups()
        return f"<!-- {name} -->\n\n{tables.get(name, before.strip() or 'Not run yet.')}\n\n<!-- / -->"

    write_text(options.page, re.sub(r"<!-- ([\w-]+) -->((?:(?!<!-- ).)*)<!-- / -->", written, text, flags=re.DOTALL))


if __name__ == "__main__":
    arguments.run(main)
