"""What scripts/experiments/corpora.py leaves, made up: translations of a start and of two cells."""

import gzip
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments"))

from corpora import TRAINED_ON
from corpora_cells import CONTROL, RECIPE

SOURCES = [" ".join(f"w{place}" for place in range(length)) for length in (3, 12, 24)]
REFERENCES = ["der erste Satz ist kurz", "der zweite Satz hat mehr Wörter als der erste", " ".join(map(str, range(24)))]
WORSE = ["der erste Satz ist lang", *REFERENCES[1:]]


def made_up_folders(root: Path) -> list[str]:
    """--data and --out, with a start, a control that is worse in a short sentence, and a cell that repeats itself."""
    data, out = root / "data", root / "out"
    start = out / "starts" / "tatoeba"
    cells = {name: out / "cells" / f"tatoeba_{key}_steps2_tokens64_seed1" for name, key in CELLS.items()}
    for split, times in {"train": 334, "validation": 60, "test": 60}.items():
        for language, lines in (("en", SOURCES), ("de", REFERENCES)):
            write(data / "tatoeba_en_de" / f"{split}.{language}.gz", lines * times)
        for folder in (start, *cells.values()):
            lines = REFERENCES if folder is cells[RECIPE] else WORSE
            write(folder / "translations" / f"{split}.txt", (lines * times)[:TRAINED_ON])
    for name, folder in cells.items():
        (folder / "result.json").write_text(json.dumps({"name": name, "seed": 1, "steps": 2, "seconds": 0.5}))
    save_file({"weight": torch.zeros(3, 4, dtype=torch.half), "bias": torch.zeros(3)}, start / "model.half.safetensors")
    (out / "cells" / "tatoeba_unfinished_steps2_tokens64_seed1").mkdir()
    return ["--data", str(data), "--out", str(out)]


CELLS = {RECIPE: "recipe", CONTROL: "control"}


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
