"""Does more of the search pay? Rounds of it, one after another, against as many of teacher forcing.

    python scripts/experiments/rounds.py --data FOLDER --out OUT --start mixed-small --rounds 2 --control_rounds 3 \\
        --steps 200 --control_steps 1600 --tokens 8192 --validations 1

FOLDER and OUT are those of corpora.py, and a round is a cell of it: the first one begins at the start, the next ones
where the one before has ended, with other batches (a seed that is 3 more) and the schedule from its beginning; they lie
in OUT/rounds. What was interrupted goes on, what is finished stays. Of every number of rounds: what each seed has over
as many rounds of the control on test, BLEU and chrF2 with p of the paired bootstrap; `beamtrain average` of the seeds
less that of the control; and, where the control has a round more, `beamtrain add` of what the average and a round of
the control have changed in the start, less the control of that time.
"""

import os
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from averaged_seeds import apart, merged
from command_line import positive, run_script
from corpora import STARTS, cell_folder, check_corpora, joined_corpus, outputs_of, run_cell, test_sets
from corpora_cells import CONTROL, CONTROLS, STAGES, WIDER
from corpora_results import corpora_of
from figures import bleu, chrf, header, plain, row
from training_processes import is_whole

from beamtrain.base.errors import UserError
from beamtrain.base.script_parser import ScriptParser

APART = 3  # of the seeds of two rounds


def main() -> None:
    options = arguments()
    check_corpora(options.data, options.start)
    if not is_whole(options.out / "starts" / options.start):
        raise UserError(f"--start {options.start}: none in {options.out} is trained to its end; corpora.py trains it")
    joined_corpus(options, options.start)
    chains = [(options.recipe, options.rounds, seed) for seed in options.seeds]
    chains += [(options.control, options.control_rounds, seed) for seed in options.control_seeds]
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = list(pool.map(lambda each: chain(options, *each), chains))
    recipe, control = runs[: len(options.seeds)], runs[len(options.seeds) :]
    print_rounds(options, recipe, control)


def arguments() -> Namespace:
    parser = ScriptParser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the corpora's folders")
    parser.add_argument("--out", type=Path, required=True, help="the folder of corpora.py's runs and results")
    parser.add_argument("--start", required=True, choices=STARTS)
    parser.add_argument("--recipe", default=f"{WIDER}, learning rate x 0.5", help="the name of a cell")
    parser.add_argument("--rounds", type=positive, default=2)
    parser.add_argument("--seeds", type=positive, nargs="+", default=[1, 2, 3], help="of the first round")
    parser.add_argument("--control", default=CONTROL, choices=CONTROLS, help="the name of a cell")
    parser.add_argument("--control_rounds", type=positive, help="default: --rounds")
    parser.add_argument("--control_seeds", type=positive, nargs="+", help="default: --seeds")
    parser.add_argument("--steps", type=positive, default=600, help="optimiser steps of a round")
    parser.add_argument("--control_steps", type=positive, help="those of the control; default: --steps")
    parser.add_argument("--tokens", type=positive, default=2048, help="tokens in a batch")
    parser.add_argument("--validations", type=positive, default=3, help="of a round; the best is kept")
    parser.add_argument("--jobs", type=positive, default=1)
    parser.add_argument("--threads", type=positive, default=1)
    options = parser.parse_args()
    options.control_rounds = options.control_rounds or options.rounds
    options.seeds = list(dict.fromkeys(options.seeds))
    options.control_seeds = list(dict.fromkeys(options.control_seeds or options.seeds))
    if len(options.control_seeds) != len(options.seeds):
        raise UserError(
            f"--control_seeds: {len(options.control_seeds)}; there must be as many as --seeds {len(options.seeds)}"
        )
    if options.recipe not in STAGES["ablations"]:
        raise UserError(f"--recipe {options.recipe!r}: there is no such cell; all are in corpora_cells.py")
    if options.control_rounds < options.rounds:
        raise UserError(
            f"--control_rounds {options.control_rounds}: the control must have as many as --rounds {options.rounds}"
        )
    return options


def chain(options: Namespace, name: str, rounds: int, seed: int) -> list[Path]:
    """The run after each round; those that are not there are trained."""
    runs: list[Path] = []
    for number in range(1, rounds + 1):
        here, its_seed = options.out, seed + APART * (number - 1)
        if runs:
            here = options.out / "rounds" / f"{runs[0].name}_round{number}"
            link(here / "starts" / options.start, runs[-1])
            link(here / "text", options.out / "text")
        at = Namespace(**{**vars(options), "out": here})
        run_cell(at, options.start, name, its_seed)
        runs.append(cell_folder(at, options.start, name, its_seed))
    return runs


def link(path: Path, to: Path) -> None:
    """Relative, so that it holds where OUT is moved, and renewed where it is of another place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(to.resolve(), path.parent.resolve())
    if not (path.is_symlink() and os.readlink(path) == target):
        path.unlink(missing_ok=True)
        path.symlink_to(target)


def print_rounds(options: Namespace, recipe: list[list[Path]], control: list[list[Path]]) -> None:
    sets = test_sets(options, options.start)
    tests = [corpus.test for corpus in corpora_of(sets)]

    def scores(run: Path) -> list[str]:
        found = [(outputs_of(run)[test], sets[test][1]) for test in tests]
        figures = [(bleu(ours, gold), chrf(ours, gold)) for ours, gold in found]
        return [", ".join([plain(first.score), plain(second), plain(first.ratio, 3)]) for first, second in figures]

    def less(run: Path, other: Path) -> list[str]:
        ours, theirs = outputs_of(run), outputs_of(other)
        return [apart(theirs[test], ours[test], sets[test][1]) for test in tests]

    print(header("rounds", options.recipe, *tests))
    for number in range(options.rounds):
        pairs = [(ours[number], theirs[number]) for ours, theirs in zip(recipe, control, strict=True)]
        for seed, other, pair in zip(options.seeds, options.control_seeds, pairs, strict=True):
            of = "" if other == seed else f" of seed {other}"
            print(row(number + 1, f"seed {seed}, less the control{of}", *less(*pair)), flush=True)
        ours, theirs = (average(options, number + 1, list(runs)) for runs in zip(*pairs, strict=True))
        print(row(number + 1, "average of the seeds", *scores(ours)))
        print(row(number + 1, "less that of the control", *less(ours, theirs)), flush=True)
        if number + 1 < options.control_rounds:
            first, longer = (average(options, each + 1, [runs[each] for runs in control]) for each in (0, number + 1))
            both = added(options, number + 1, first, ours)
            print(row(number + 1, "that and a round of the control, added up", *scores(both)))
            print(row(number + 1, f"less {number + 2} rounds of the control", *less(both, longer)), flush=True)


def average(options: Namespace, number: int, runs: list[Path]) -> Path:
    if len(runs) == 1:
        return runs[0]
    name = "_and_".join([runs[0].name, *(run.name.rpartition("_seed")[2] for run in runs[1:])])
    name += "" if number == 1 else f"_round{number}"
    return merged(options, options.start, "averages", name, "average", runs)


def added(options: Namespace, number: int, control: Path, recipe: Path) -> Path:
    start = str(options.out / "starts" / options.start)
    name = f"{control.name}_with_{recipe.name}"
    return merged(options, options.start, "sums", name, "add", [control, recipe], "--start", start)


if __name__ == "__main__":
    run_script(main)
