"""Does the search teach what more teacher forcing does not? One network with what both have changed in the start.

    python scripts/experiments/added_changes.py --data FOLDER --out OUT --start mixed-small

FOLDER and OUT are those of corpora.py. To the weights of a control is added the mean of what the cells of a recipe, of
one seed or several, have changed in the start's weights (task arithmetic: Ilharco et al., ICLR 2023). BLEU, chrF2 and
ratio of lengths of that network on test, and what it has over the control, with p of the paired bootstrap. Of every
recipe whose cells still have weights.
"""

import argparse
from itertools import groupby
from pathlib import Path

import torch
from averaged_seeds import apart
from command_line import positive, run_script
from corpora import outputs_of, test_sets, translate
from corpora_cells import CONTROL
from corpora_results import (
    Cell,
    Texts,
    corpora_of,
    empty_if_older,
    finished_cells,
    parser_for,
    translated_starts,
    weights_of,
)
from figures import bleu, chrf, header, plain, row

from beamtrain.runs.description import save_description
from beamtrain.runs.loading import load_run
from beamtrain.runs.weights import save_weights

Weights = dict[str, torch.Tensor]


def main() -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--threads", type=positive, default=1)
    options = parser.parse_args()
    for start in translated_starts(options):
        print_start(options, start)


def print_start(options: argparse.Namespace, start: str) -> None:
    sets = test_sets(options, start)
    cells = [cell for cell in finished_cells(options.out, start, sets) if (cell.folder / "model.safetensors").exists()]
    controls = {cell.stage: cell for cell in reversed(cells) if cell.name == CONTROL}  # the first of each stage
    print(f"\n## {start}\n")
    print(header("recipe", "seeds", "added to that of seed", "test", "BLEU, chrF2, length", "less the control"))
    for (name, stage), group in groupby(cells, key=lambda cell: (cell.name, cell.stage)):
        control, recipe = controls.get(stage), list(group)
        if control is None or name == CONTROL:
            continue
        ours = with_both(options, start, control, recipe)
        for corpus in corpora_of(sets):
            gold, test = sets[corpus.test][1], corpus.test
            found = bleu(ours[test], gold)
            figures = ", ".join([plain(found.score), plain(chrf(ours[test], gold)), plain(found.ratio, 3)])
            seeds = ", ".join(str(cell.seed) for cell in recipe)
            print(row(name, seeds, control.seed, test, figures, apart(control.outputs[test], ours[test], gold)))


def with_both(options: argparse.Namespace, start: str, control: Cell, recipe: list[Cell]) -> Texts:
    """What the network with both changes makes of every set."""
    seeds = "_and_".join([recipe[0].folder.name, *(str(cell.seed) for cell in recipe[1:])])
    folder: Path = options.out / "sums" / f"{control.folder.name}_with_{seeds}"
    runs = [options.out / "starts" / start, *(cell.folder for cell in recipe)]
    before, *after = map(weights_of, runs)
    empty_if_older(folder, [*runs, control.folder])
    if not (folder / "model.safetensors").exists():
        run = load_run(control.folder)
        add_changes(run.network.state_dict(), before, after)
        folder.mkdir(parents=True, exist_ok=True)
        run.tokenizer.save(folder)
        save_description(folder, run.description)
        save_weights(folder, run.network.state_dict())
    translate(options, start, folder)
    return outputs_of(folder)


@torch.no_grad()
def add_changes(weights: Weights, start: Weights, cells: list[Weights]) -> None:
    """Add to weights, in place, the mean change of the cells from the start; files name a shared weight once."""
    for name, before in start.items():
        if before.is_floating_point():
            weights[name] += torch.stack([cell[name] - before for cell in cells]).mean(0)


if __name__ == "__main__":
    run_script(main)
