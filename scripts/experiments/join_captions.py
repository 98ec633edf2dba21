"""Longer sentences out of Multi30k: captions joined three by three.

    python scripts/experiments/join_captions.py FOLDER OUT

FOLDER holds train, val and test_2016_flickr as SPLIT.en.gz and SPLIT.de.gz; the same files without .gz appear in OUT.
Development and test captions are joined in their order, those of training in three random orders, so that each is there
three times.
"""

import gzip
import random
from pathlib import Path

from command_line import run_script

from beamtrain.base.files import write_text
from beamtrain.base.script_parser import ScriptParser

LANGUAGES = ("en", "de")
AT_ONCE = 3
ORDERS = {"train": 3, "val": 0, "test_2016_flickr": 0}  # random ones; 0: that of the file


def main() -> None:
    parser = ScriptParser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for split, random_orders in ORDERS.items():
        sides = [captions(options.folder / f"{split}.{language}.gz") for language in LANGUAGES]
        groups = joined(len(sides[0]), random_orders)
        for language, side in zip(LANGUAGES, sides, strict=True):
            text = "".join(" ".join(side[row] for row in group) + "\n" for group in groups)
            write_text(options.out / f"{split}.{language}", text)


def captions(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.strip() for line in file]


def joined(rows: int, random_orders: int) -> list[list[int]]:
    """Groups of row numbers; what is left over at the end of an order is left out."""
    groups = []
    for seed in range(random_orders or 1):
        order = list(range(rows))
        if random_orders:
            random.Random(seed).shuffle(order)
        groups += [order[first : first + AT_ONCE] for first in range(0, rows - AT_ONCE + 1, AT_ONCE)]
    return groups


if __name__ == "__main__":
    run_script(main)
