"""Does the search teach what more teacher forcing does not? One network with what both have changed in the start.

    python scripts/experiments/added_changes.py --data FOLDER --out OUT --start mixed-small

FOLDER and OUT are those of corpora.py. Of every recipe whose cells still have weights: `beamtrain average` of its
seeds, and of those of its control, as far as they go, and `beamtrain add` of both to the start, translated as they
were; its BLEU, chrF2 and ratio of lengths on test, and what it has over the average of the control and over that of
the recipe, with p of the paired bootstrap. It took the time of all of these: rounds.py compares with a control that
took as much.
"""

import argparse
from itertools import groupby
from pathlib import Path

from averaged_seeds import apart, averaged, merged
from command_line import positive, run_script
from corpora import outputs_of, test_sets
from corpora_cells import CONTROL, CONTROLS
from corpora_results import Cell, corpora_of, finished_cells, parser_for, translated_starts
from figures import bleu, chrf, header, plain, row


def main() -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--threads", type=positive, default=1)
    options = parser.parse_args()
    starts = translated_starts(options)
    for start in starts:
        print_start(options, start)


def print_start(options: argparse.Namespace, start: str) -> None:
    sets = test_sets(options, start)
    cells = [cell for cell in finished_cells(options.out, start, sets) if (cell.folder / "model.safetensors").exists()]
    print(f"\n## {start}\n")
    print(header("recipe", "seeds", "control", "test", "BLEU, chrF2, length", "less the control", "less the recipe"))
    groups = [list(group) for _, group in groupby(cells, key=lambda cell: (cell.name, cell.stage))]
    controls = {group[0].stage: group for group in groups if group[0].name == CONTROL}
    recipes = [group for group in groups if group[0].name not in CONTROLS and group[0].stage in controls]
    for recipe in recipes:
        name, control = recipe[0].name, controls[recipe[0].stage]
        ours, *theirs = map(outputs_of, networks(options, start, control, recipe))
        for corpus in corpora_of(sets):
            gold, test = sets[corpus.test][1], corpus.test
            found = bleu(ours[test], gold)
            figures = ", ".join([plain(found.score), plain(chrf(ours[test], gold)), plain(found.ratio, 3)])
            gains = [apart(each[test], ours[test], gold) for each in theirs]
            print(row(name, seeds_of(recipe), seeds_of(control), test, figures, *gains), flush=True)
    if not recipes:
        print("\nNo recipe has cells, and a control of the same stage, that are finished and have weights.")


def networks(options: argparse.Namespace, start: str, control: list[Cell], recipe: list[Cell]) -> list[Path]:
    """The one with both changes, and those that it is compared with."""
    runs = [group[0].folder if len(group) == 1 else averaged(options, start, group) for group in (control, recipe)]
    name = f"{runs[0].name}_with_{runs[1].name}"
    sum_of_both = merged(options, start, "sums", name, "add", runs, "--start", str(options.out / "starts" / start))
    return [sum_of_both, *runs]


def seeds_of(group: list[Cell]) -> str:
    return ", ".join(str(cell.seed) for cell in group)


if __name__ == "__main__":
    run_script(main)
