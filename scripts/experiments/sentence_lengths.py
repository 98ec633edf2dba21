"""BLEU and length of several systems' output by the length of the source sentence, development and test set together.

    python scripts/experiments/sentence_lengths.py --data runs/multi30k_ende OUT/start OUT/*-steps300-seed?/translations

A folder holds the outputs `validation.txt` and `test.txt`, as beam_training.py writes them.
"""

from itertools import pairwise
from pathlib import Path

from command_line import run_script

from beamtrain.base.script_parser import ScriptParser
from beamtrain.runs.loading import load_run
from beamtrain.scoring.metrics import score_corpus
from beamtrain.scoring.parallel_text import from_split

SPLITS = ("validation", "test")
EDGES = (1, 9, 11, 14, 18, 1000)  # words


def main() -> None:
    parser = ScriptParser(__doc__)
    parser.add_argument("outputs", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True, help="a run on the same corpus")
    options = parser.parse_args()
    run = load_run(options.data)
    texts = [from_split(run, split) for split in SPLITS]
    sources = [line for text in texts for line in text.sources]
    references = [line for text in texts for line in text.references[0]]
    words = [len(source.split()) for source in sources]
    buckets = [[i for i, count in enumerate(words) if low <= count < high] for low, high in pairwise(EDGES)]
    heads = [f"{low} to {high - 1} words ({len(b)})" for (low, high), b in zip(pairwise(EDGES), buckets, strict=True)]
    print("| | " + " | ".join(heads) + " |\n|---|" + "---|" * len(heads))
    for folder in options.outputs:
        output = [line for split in SPLITS for line in (folder / f"{split}.txt").read_text("utf-8").split("\n")[:-1]]
        cells = []
        for bucket in buckets:
            scores = score_corpus([output[i] for i in bucket], [references[i] for i in bucket])
            cells.append(f"{scores.bleu.value:.2f} at {scores.length_ratio:.3f}")
        name = folder.parent.name if folder.name == "translations" else folder.name
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    run_script(main)
