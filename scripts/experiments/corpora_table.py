"""BLEU, chrF2 and length ratio of what corpora.py has finished, on every set, and what cells have over their controls.

    python scripts/experiments/corpora_table.py --data FOLDER --out OUT
    python scripts/experiments/corpora_table.py --data FOLDER --out OUT --start tatoeba

Differences are of each test set, with p of the paired bootstrap. Seconds with a + lack some steps: those of a process
that went on when corpora.py was killed.
"""

import argparse

from command_line import run_script
from corpora import test_sets
from corpora_results import Texts, control_of, finished_cells, outputs_of_all, parser_for, translated_starts
from figures import bleu, chrf, header, row
from paired import told


def main() -> None:
    options = parser_for(__doc__).parse_args()
    for start in translated_starts(options):
        print_start(options, start)


def print_start(options: argparse.Namespace, start: str) -> None:
    sets = test_sets(options, start)
    gold = {name: references for name, (_, references) in sets.items()}
    print(f"\n## {start}\n")
    print(header("cell", "seed", "steps", "s", *gold, "less the control, on each test"))
    print(row("start", "", "", "", *scores(outputs_of_all(options.out / "starts" / start, sets), gold), ""))
    cells = finished_cells(options.out, start, sets)
    for cell in sorted(cells, key=lambda cell: cell.seed):
        control = control_of(cell, cells)
        apart = differences(control.outputs, cell.outputs, gold) if control else ""
        seconds = f"{cell.seconds}{'+' if cell.unseen else ''}"
        print(row(cell.name, cell.seed, cell.steps, seconds, *scores(cell.outputs, gold), apart), flush=True)


def scores(ours: Texts, gold: Texts) -> list[str]:
    found = ((bleu(ours[name], gold[name]), chrf(ours[name], gold[name])) for name in gold)
    return [f"{first.score:.2f} {second:.2f} {first.ratio:.3f}" for first, second in found]


def differences(before: Texts, ours: Texts, gold: Texts) -> str:
    cells = []
    for name in gold:
        if name.rpartition("-")[2].startswith("test"):
            cells.append(f"{name}: {told(before[name], ours[name], gold[name])}")
    return "; ".join(cells)


if __name__ == "__main__":
    run_script(main)
