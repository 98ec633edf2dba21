"""BLEU of several runs over the beam size, with length normalisation and without, and what they have over the first.

    python scripts/experiments/beams.py CONTROL RUN ... --out FOLDER
    python scripts/experiments/beams.py CONTROL RUN ... --out FOLDER --text FOLDER/tatoeba_en_de --lines 1000

For each beam one search: the hypotheses that it ends with are ranked by GNMT's penalty with alpha = 1 and by
log-probability alone. BLEU comes with the ratio of lengths, differences with p of the paired bootstrap, **bold below
.05**. Outputs are kept in FOLDER.
"""

import argparse
from functools import partial
from hashlib import sha256
from pathlib import Path

from command_line import positive, run_script
from figures import bleu, header, plain, row, with_p
from kept import kept
from n_best import best, final_hypotheses, loaded, parser_for
from paired import differences

from beamtrain.runs.loading import Run
from beamtrain.scoring.parallel_text import ParallelText, from_split

ALPHAS = {"gnmt": 1.0, "none": 0.0}
Outputs = dict[str, list[str]]
"""By penalty."""


def main() -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder for outputs")
    parser.add_argument("--split", default="test")
    parser.add_argument("--lines", type=positive, help="translate the first so many")
    parser.add_argument("--beams", type=positive, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    options = parser.parse_args()
    print(header("", "penalty", *(f"beam {beam}" for beam in options.beams)), flush=True)
    first: list[Outputs] = []
    for path in options.runs:
        run = loaded(path, options.text)
        text = from_split(run, options.split, options.lines)
        outputs = [translations(options, run, text, beam) for beam in options.beams]
        print_run(path.name, outputs, first, text.references[0])
        first = first or outputs


def translations(options: argparse.Namespace, run: Run, text: ParallelText, beam: int) -> Outputs:
    weights = sha256((run.path / "model.safetensors").read_bytes()).hexdigest()
    return kept(options.out, partial(search, run, text, beam), f"{run.path.name}-beam{beam}", weights, text.sources)


def search(run: Run, text: ParallelText, beam: int) -> Outputs:
    found = final_hypotheses(run, text, beam)
    return {penalty: [best(each, alpha) for each in found] for penalty, alpha in ALPHAS.items()}


def print_run(name: str, outputs: list[Outputs], first: list[Outputs], references: list[str]) -> None:
    for penalty in ALPHAS:
        scores = [bleu(each[penalty], references) for each in outputs]
        print(row(name, penalty, *(f"{each.score:.2f} at {plain(each.ratio, 3)}" for each in scores)))
    for penalty in ALPHAS if first else ():
        apart = [
            difference(before[penalty], each[penalty], references) for before, each in zip(first, outputs, strict=True)
        ]
        print(row("less the first", penalty, *apart), flush=True)


def difference(before: list[str], ours: list[str], references: list[str]) -> str:
    return ", ".join(
        f"{with_p(each.value, each.p_value)} {name}" for name, each in differences(before, ours, references)
    )


if __name__ == "__main__":
    run_script(main)
