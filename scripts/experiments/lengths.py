"""BLEU of several runs at the same length of output, so that a change of length is not taken for better words.

    python scripts/experiments/lengths.py runs/multi30k_ende runs/multi30k_ende_beam
    python scripts/experiments/lengths.py OUT/cells/*_seed1 --text FOLDER/tatoeba_en_de

Each run translates the development and test sets; the K final hypotheses are then ranked with GNMT's length
penalty, alpha from 0 to 4. That gives BLEU over the ratio of output to reference length; the table has the points
in between by linear interpolation, and `-` where no alpha reaches a ratio.
"""

from itertools import chain

import numpy as np
from command_line import positive, run_script
from figures import bleu
from n_best import best, final_hypotheses, loaded, parser_for

from beamtrain.scoring.parallel_text import from_split
from beamtrain.translating.translator import Translation

ALPHAS = [0.25 * step for step in range(17)]
RATIOS = (0.95, 0.96, 0.97, 0.98, 0.99, 1.0, 1.01, 1.02)


def main() -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--splits", nargs="+", default=["validation", "test", "validation+test"])
    parser.add_argument("--beam", type=positive, default=5)
    options = parser.parse_args()
    names = dict.fromkeys(chain.from_iterable(splits.split("+") for splits in options.splits))
    print("| | | " + " | ".join(f"ratio {ratio}" for ratio in RATIOS) + " |\n|---|---|" + "---:|" * len(RATIOS))
    for path in options.runs:
        run = loaded(path, options.text)
        texts = {name: from_split(run, name) for name in names}
        translated = {name: final_hypotheses(run, text, options.beam) for name, text in texts.items()}
        for splits in options.splits:
            parts = splits.split("+")
            ratios, scores = curve(
                [each for name in parts for each in translated[name]],
                [line for name in parts for line in texts[name].references[0]],
            )
            cells = [
                f"{np.interp(ratio, ratios, scores):.2f}" if ratios[0] <= ratio <= ratios[-1] else "-"
                for ratio in RATIOS
            ]
            print(f"| {path.name} | {splits} | " + " | ".join(cells) + " |", flush=True)


def curve(translations: list[Translation], references: list[str]) -> tuple[list[float], list[float]]:
    """The ratios of output to reference length that some alpha gives, rising, and the BLEU of each."""
    points = set()
    for alpha in ALPHAS:
        found = bleu([best(each, alpha) for each in translations], references)
        points.add((found.ratio, found.score))
    ratios, values = zip(*sorted(points), strict=True)
    return list(ratios), list(values)


if __name__ == "__main__":
    run_script(main)
