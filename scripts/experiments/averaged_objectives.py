"""The objectives of objectives.py by averages of seeds: what each has, and what it has over the others.

    python scripts/experiments/averaged_objectives.py --init_from runs/small2 --out OUT --seeds 1 2 3 --seeds 4 5 6

RUN and OUT are those of objectives.py; each `--seeds` is a group. Of every objective whose cells of a group are
finished: `beamtrain average` of them, translated as they were; its BLEU, chrF2 and ratio of lengths on test beside the
mean of the seeds. Then every objective less every other, seed by seed and by averages, with p of the paired bootstrap;
by averages alone where one of them has no cells of the other's seeds (a control that was run with the first few).
"""

import argparse
import sys
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from averaged_seeds import apart
from child_processes import run
from command_line import positive, run_script
from figures import bleu, chrf, header, plain, row
from objectives import lines, translate
from objectives import plain as cell_of
from objectives_cells import CELLS, CONTROL

from beamtrain.base.errors import UserError
from beamtrain.base.script_parser import ScriptParser
from beamtrain.runs.loading import load_run
from beamtrain.scoring.parallel_text import from_split


class Group(NamedTuple):
    """The test set as an objective's cells have it, and as their average has."""

    objective: str
    seeds: list[int]
    cells: list[list[str]]
    average: list[str]


def main() -> None:
    options = arguments()
    gold = from_split(load_run(options.init_from), "test").references[0]
    control_last = sorted(options.only or CELLS, key=lambda name: name == CONTROL)
    found = (group_of(options, name, seeds) for name in control_last for seeds in options.seeds)
    groups = [group for group in found if group]
    if not groups:
        raise UserError(f"--out {options.out}: no objective has finished cells of --seeds; objectives.py makes them")
    print(header("objective", "seeds", "mean of the seeds", "their average, length"))
    for group in groups:
        print(row(group.objective, told(group.seeds), *figures(group, gold)))
    print("\n" + header("objective", "less", "seeds", "seed by seed", "by averages"))
    for one, other in combinations(groups, 2):
        if one.objective != other.objective and comparable(one, other, groups):
            print(row(one.objective, other.objective, *less(one, other, gold)), flush=True)


def arguments() -> argparse.Namespace:
    parser = ScriptParser(__doc__)
    parser.add_argument("--init_from", type=Path, required=True, help="the run that the cells began with")
    parser.add_argument("--out", type=Path, required=True, help="the folder of objectives.py")
    parser.add_argument("--seeds", type=positive, nargs="+", action="append", required=True, help="a group of seeds")
    parser.add_argument("--only", nargs="+", choices=CELLS, help="names of cells")
    parser.add_argument("--threads", type=positive, default=1)
    options = parser.parse_args()
    for seeds in options.seeds:
        if len(set(seeds)) < max(2, len(seeds)):
            raise UserError(f"--seeds {told(seeds)}: must be two or more that differ")
    return options


def group_of(options: argparse.Namespace, objective: str, seeds: list[int]) -> Group | None:
    """Its cells of these seeds and their average, which is made where it is missing; nothing if a cell is."""
    cells = [lines(options, cell_of(objective, seed)) for seed in seeds]
    finished = [cell for cell in cells if cell is not None]
    if len(finished) < len(seeds):
        return None
    runs = [options.out / cell_of(objective, seed) for seed in seeds]
    name = "_and_".join([runs[0].name, *map(str, seeds[1:])])
    if not (options.out / name / "model.safetensors").exists():
        words = ["average", *map(str, runs), "--runs", str(options.out), "--name", name, "--overwrite"]
        run([sys.executable, "-m", "beamtrain.cli", *words], options.out / f"{name}.log", options.threads)
    translate(options, options.out / name, name, "test")
    return Group(objective, seeds, finished, lines(options, name) or [])


def comparable(one: Group, other: Group, groups: list[Group]) -> bool:
    has = {(group.objective, *group.seeds) for group in groups}
    both = (one.objective, *other.seeds) in has and (other.objective, *one.seeds) in has
    return one.seeds == other.seeds or not both


def figures(group: Group, gold: list[str]) -> list[str]:
    mean = fmean(bleu(cell, gold).score for cell in group.cells), fmean(chrf(cell, gold) for cell in group.cells)
    found = bleu(group.average, gold)
    together = plain(found.score), plain(chrf(group.average, gold)), plain(found.ratio, 3)
    return [", ".join(map(plain, mean)), ", ".join(together)]


def less(one: Group, other: Group, gold: list[str]) -> list[str]:
    by_averages = apart(other.average, one.average, gold)
    if one.seeds != other.seeds:
        return [f"{told(one.seeds)}; {told(other.seeds)}", "", by_averages]
    by_seed = (apart(theirs, ours, gold) for ours, theirs in zip(one.cells, other.cells, strict=True))
    return [told(one.seeds), "; ".join(by_seed), by_averages]


def told(seeds: list[int]) -> str:
    return " ".join(map(str, seeds))


if __name__ == "__main__":
    run_script(main)
