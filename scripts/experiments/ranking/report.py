"""The tables of docs/ranking.md from the finished cells, each between its marks `<!-- NAME -->` and `<!-- / -->`.

python scripts/experiments/ranking/report.py            # writes docs/ranking.md anew
"""

import argparse
import re
from collections.abc import Callable
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

TABLES: dict[str, Callable[[Cells], str]] = {
    **{f"knn-{task}": lambda cells, t=task: knn.report(cells, knn.TASKS[t].epochs) for task in knn.TASKS},
    **{f"sort_numbers-{t}": lambda cells, s=s: sort_numbers.report(cells, s) for t, s in sort_numbers.STEPS.items()},
    **{f"medians-{t}": lambda cells: medians.report(cells, medians.STEPS, 0.5) for t in ("digits", "mnist")},
    "label_ranking": label_ranking.report,
    **{
        f"topk_classification-{t}": lambda cells: topk_classification.report(cells, 1)
        for t in topk_classification.TASKS
    },
    "trimmed_squares": trimmed_squares.report,
    "retrieval": retrieval.report,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=Path, default=Path("docs/experiments/ranking"))
    parser.add_argument("--page", type=Path, default=Path("docs/ranking.md"))
    options = parser.parse_args()
    text = options.page.read_text(encoding="utf-8")

    def written(found: re.Match[str]) -> str:
        path = options.cells / f"{found[1]}.jsonl"
        body = TABLES[found[1]](Cells(path)) if path.exists() else "Not run yet."
        return f"<!-- {found[1]} -->\n\n{body}\n\n<!-- / -->"

    write_text(options.page, re.sub(r"<!-- ([\w-]+) -->.*?<!-- / -->", written, text, flags=re.DOTALL))


if __name__ == "__main__":
    main()
