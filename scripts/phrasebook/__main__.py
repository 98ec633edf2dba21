"""Writes the bundled corpus, data/phrasebook: python -m scripts.phrasebook [--sample N] [--pattern NAME]"""

from pathlib import Path
from random import Random

from beamtrain.base.script_parser import ScriptParser
from scripts.phrasebook.corpus import generate, write

FOLDER = Path(__file__).resolve().parents[2] / "data" / "phrasebook"


def main() -> None:
    parser = ScriptParser("Write the bundled phrasebook, or print a sample of it.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write")
    parser.add_argument("--sample", type=int, metavar="N", help="write nothing, print N random pairs to proofread")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("--pattern", help="sample this pattern only")
    options = parser.parse_args()
    if options.sample is None:
        write(options.folder)
        return
    examples = [e for e in generate()["train"] if options.pattern in (None, e.pattern)]
    chosen = Random(options.seed).sample(examples, min(options.sample, len(examples)))
    for example in sorted(chosen, key=lambda e: e.pattern):
        print(f"{example.pattern:24} {example.english}\n{'':24} {example.german}")


if __name__ == "__main__":
    main()
