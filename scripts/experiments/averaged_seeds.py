"""What the mean of the weights of several seeds gains: one network, as fast as any of them.

    python scripts/experiments/averaged_seeds.py --data FOLDER --out OUT --start tatoeba-small

FOLDER and OUT are those of corpora.py. Of every recipe whose cells of all `--seeds` are finished and still have
weights: `beamtrain average` of them, translated as they were; its BLEU, chrF2 and ratio of lengths on test beside the
mean of the seeds, and what it has over the average of as many controls, with p of the paired bootstrap. Alike: the mean
cosine between what two seeds have changed in the start's weights; 1 would be no noise.
"""

import argparse
import sys
from itertools import combinations
from pathlib import Path
from statistics import fmean

import torch
from child_processes import log_of, run
from command_line import positive, run_script
from corpora import outputs_of, test_sets, translate
from corpora_results import (
    Cell,
    Texts,
    control_of,
    corpora_of,
    empty_if_older,
    finished_cells,
    parser_for,
    translated_starts,
    weights_of,
)
from figures import bleu, chrf, header, plain, row, signed, with_p
from paired import differences
from torch.nn.functional import cosine_similarity

from beamtrain.base.errors import UserError


def main() -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--seeds", type=positive, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=positive, default=1)
    options = parser.parse_args()
    if len(set(options.seeds)) < max(2, len(options.seeds)):
        raise UserError(f"--seeds {' '.join(map(str, options.seeds))}: must be two or more that differ")
    for start in translated_starts(options):
        print_start(options, start)


def print_start(options: argparse.Namespace, start: str) -> None:
    sets = test_sets(options, start)
    cells = finished_cells(options.out, start, sets)
    print(f"\n## {start}\n")
    gained = "gained", "less the controls' average"
    print(header("recipe", "steps", "alike", "test", "mean of the seeds", "their average", *gained))
    groups = [all_seeds(options, cell, cells) for cell in cells if cell.seed == options.seeds[0]]
    for group in filter(None, groups):
        first, control = group[0], control_of(group[0], cells)
        controls = all_seeds(options, control, cells) if control else []
        about = first.name, first.steps, plain(alike(options.out / "starts" / start, group))
        ours = outputs_of(averaged(options, start, group))
        theirs = outputs_of(averaged(options, start, controls)) if controls else None
        for corpus in corpora_of(sets):
            found = figures(corpus.test, sets[corpus.test][1], group, ours, theirs)
            print(row(*about, corpus.test, *found), flush=True)
    if not any(groups):
        seeds = ", ".join(map(str, options.seeds))
        print(f"\nNo recipe has cells of all seeds {seeds} that are finished and have weights.")


def figures(test: str, gold: list[str], group: list[Cell], ours: Texts, theirs: Texts | None) -> list[str]:
    seeds = zip(
        *((bleu(cell.outputs[test], gold).score, chrf(cell.outputs[test], gold)) for cell in group), strict=True
    )
    mean, found = [fmean(scores) for scores in seeds], bleu(ours[test], gold)
    together = [found.score, chrf(ours[test], gold)]
    return [
        ", ".join(map(plain, mean)),
        ", ".join([*map(plain, together), plain(found.ratio, 3)]),
        ", ".join(signed(value - before) for value, before in zip(together, mean, strict=True)),
        apart(theirs[test], ours[test], gold) if theirs else "",
    ]


def apart(theirs: list[str], ours: list[str], gold: list[str]) -> str:
    return ", ".join(with_p(each.value, each.p_value) for _, each in differences(theirs, ours, gold))


def all_seeds(options: argparse.Namespace, cell: Cell, cells: list[Cell]) -> list[Cell]:
    """The cells of the same recipe and stage of all seeds; none, if one is missing or has no weights."""
    alike = [
        each for each in cells if (each.name, each.stage) == (cell.name, cell.stage) and each.seed in options.seeds
    ]
    whole = all((each.folder / "model.safetensors").exists() for each in alike)
    return alike if whole and len(alike) == len(options.seeds) else []


def alike(start: Path, group: list[Cell]) -> float:
    """The mean cosine between the changes of two seeds."""
    before, *after = (weights_of(folder) for folder in (start, *(cell.folder for cell in group)))
    changes = [torch.cat([(each[name] - before[name]).flatten() for name in sorted(before)]) for each in after]
    return fmean(cosine_similarity(one, other, dim=0).item() for one, other in combinations(changes, 2))


def averaged(options: argparse.Namespace, start: str, group: list[Cell]) -> Path:
    """The average of these cells, with its translations of every set."""
    name = "_and_".join([group[0].folder.name, *(str(each.seed) for each in group[1:])])
    return merged(options, start, "averages", name, "average", [each.folder for each in group])


def merged(
    options: argparse.Namespace, start: str, place: str, name: str, command: str, runs: list[Path], *others: str
) -> Path:
    """The run that `beamtrain COMMAND RUNS OTHERS` makes, in OUT/PLACE/NAME, with its translations of every set."""
    folder: Path = options.out / place / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    empty_if_older(folder, [*runs, options.out / "starts" / start])
    if not (folder / "model.safetensors").exists():
        words = [command, *map(str, runs), *others, "--runs", str(folder.parent), "--name", name, "--overwrite"]
        run([sys.executable, "-m", "beamtrain.cli", *words], log_of(folder), options.threads)
    translate(options, start, folder)
    return folder


if __name__ == "__main__":
    run_script(main)
