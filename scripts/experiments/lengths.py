"""BLEU of several runs at the same length of output, so that a change of length is not taken for better words.

    python scripts/experiments/lengths.py runs/multi30k_ende runs/multi30k_ende_beam

Each run translates the development and test sets; the K final hypotheses are then ranked with GNMT's length
penalty, alpha from 0 to 4. That gives BLEU over the ratio of output to reference length; the table has the points
in between by linear interpolation, and `-` where no alpha reaches a ratio.
"""

import argparse
from pathlib import Path

import numpy as np

from beamtrain.runs.loading import load_run
from beamtrain.scoring.metrics import score_corpus
from beamtrain.scoring.parallel_text import from_split
from beamtrain.search.length import length_penalties
from beamtrain.search.options import SearchOptions
from beamtrain.translating.translator import Translation, Translator

ALPHAS = [0.25 * step for step in range(17)]
RATIOS = (0.95, 0.96, 0.97, 0.98, 0.99, 1.0, 1.01, 1.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--splits", nargs="+", default=["validation", "test", "validation+test"])
    parser.add_argument("--beam", type=int, default=5)
    options = parser.parse_args()
    print("| | | " + " | ".join(f"ratio {ratio}" for ratio in RATIOS) + " |\n|---|---|" + "---:|" * len(RATIOS))
    for path in options.runs:
        for split in options.splits:
            ratios, scores = curve(path, split.split("+"), options.beam)
            cells = [
                f"{np.interp(ratio, ratios, scores):.2f}" if ratios[0] <= ratio <= ratios[-1] else "-"
                for ratio in RATIOS
            ]
            print(f"| {path.name} | {split} | " + " | ".join(cells) + " |", flush=True)


def curve(path: Path, splits: list[str], beam: int) -> tuple[list[float], list[float]]:
    """The ratios of output to reference length that some alpha gives on all the splits together, rising, and the BLEU
    of each."""
    run = load_run(path)
    texts = [from_split(run, split) for split in splits]
    sources = [line for text in texts for line in text.sources]
    references = [line for text in texts for line in text.references[0]]
    search = SearchOptions(beam_size=beam, n_best=beam)
    translations = list(Translator(run.network, run.tokenizer, search).translate(sources))
    points = set()
    for alpha in ALPHAS:
        scores = score_corpus([best(each, alpha) for each in translations], references)
        points.add((scores.length_ratio, scores.bleu.value))
    ratios, values = zip(*sorted(points), strict=True)
    return list(ratios), list(values)


def best(translation: Translation, alpha: float) -> str:
    """The hypothesis that ranks first with this penalty."""
    longest = 1 + max(len(each.tokens) for each in translation.candidates)
    penalties = length_penalties(longest, "gnmt", alpha).tolist()
    ranked = max(translation.candidates, key=lambda each: each.log_prob / penalties[len(each.tokens) + 1])
    return ranked.text


if __name__ == "__main__":
    main()
