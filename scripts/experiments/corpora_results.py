"""What corpora.py left in OUT: its finished cells with their controls, and the corpora that each start is tested on."""

import re
import shutil
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from corpora import SPLIT_NAMES, STARTS, Sets, check_sources, outputs_of, result_of
from corpora_cells import CONTROL_OF, CONTROLS
from torch import Tensor
from training_processes import check_start

from beamtrain.base.errors import UserError
from beamtrain.base.script_parser import ScriptParser
from beamtrain.runs.weights import load_weights

Texts = dict[str, list[str]]
"""The lines of every set."""
ORDER = {name: place for place, name in enumerate([*CONTROLS, *CONTROL_OF])}


def parser_for(documentation: str | None) -> ScriptParser:
    parser = ScriptParser(documentation)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the corpora's folders")
    parser.add_argument("--out", type=Path, required=True, help="the folder of corpora.py's runs and results")
    parser.add_argument("--start", nargs="+", choices=STARTS, help="default: all")
    return parser


class Cell(NamedTuple):
    """A finished run with its translations of every set."""

    name: str
    seed: int
    stage: str
    """Steps and tokens in the name of its folder: what it shares with its control."""
    outputs: Texts
    steps: int
    seconds: float
    unseen: int
    """Steps that are not in the seconds."""
    folder: Path


class Corpus(NamedTuple):
    """One of the corpora of a start, by the names of its sets."""

    name: str
    """Empty for the only one."""
    train: str
    validation: str
    test: str

    @property
    def held_out(self) -> list[str]:
        return [self.test, self.validation]


def translated_starts(options: Namespace) -> list[str]:
    """Of the starts that are asked for, by default all. Raises UserError where there is none."""
    names = options.start or list(STARTS)
    found = [name for name in names if (options.out / "starts" / name / "translations").exists()]
    if not found:
        raise UserError(f"--out {options.out}: none of these starts is translated there: {', '.join(names)}")
    return found


def outputs_of_all(folder: Path, sets: Sets) -> Texts:
    """A run's translations of every set. Raises UserError where some are missing."""
    outputs = outputs_of(folder)
    check_sources(folder, sets)
    for name, (sources, _) in sets.items():
        if len(found := outputs.get(name, [])) != len(sources):
            raise UserError(
                f"{folder}/translations/{name}.txt has {len(found):,} lines, not {len(sources):,}: remove that file, "
                "and corpora.py translates anew, or give the --data that it was translated from"
            )
    return outputs


def finished_cells(out: Path, start: str, sets: Sets) -> list[Cell]:
    """Those of a stage together, controls first; those of a name by seed."""
    cells = []
    for path in out.glob(f"cells/{start}_*/result.json"):
        result, outputs = result_of(path), outputs_of_all(path.parent, sets)
        check_start(path.parent, out / "starts" / start)
        found = result.name, result.seed, stage_of(path.parent), outputs
        cells.append(Cell(*found, result.steps, result.seconds, result.unseen, path.parent))
    return sorted(cells, key=lambda cell: (cell.stage, ORDER.get(cell.name, len(ORDER)), cell.name, cell.seed))


def stage_of(folder: Path) -> str:
    """Of a cell. Raises UserError where its folder is not named as corpora.py does it."""
    if not (found := re.search(r"_(steps\d+)_(tokens\d+)_seed\d+$", folder.name)):
        raise UserError(f"{folder} is not called as a cell: move it out of there")
    return ", ".join(found.groups())


def weights_of(folder: Path) -> dict[str, Tensor]:
    """The best weights of a run. Raises UserError where they are not there, or damaged."""
    if not (folder / "model.safetensors").exists():
        raise UserError(f"{folder} has no model.safetensors: what its cells have changed in it cannot be seen")
    return load_weights(folder)[0]


def empty_if_older(folder: Path, runs: list[Path]) -> None:
    """Remove what was computed of the weights of runs, where one of those has others since."""
    made = folder / "model.safetensors"
    if made.exists() and any((run / made.name).stat().st_mtime > made.stat().st_mtime for run in runs):
        shutil.rmtree(folder)


def control_of(cell: Cell, cells: list[Cell]) -> Cell | None:
    """The finished control of the same stage and seed."""
    name = CONTROL_OF.get(cell.name)
    return next((each for each in cells if each[:3] == (name, cell.seed, cell.stage)), None)


def corpora_of(sets: Iterable[str]) -> list[Corpus]:
    """The names that `test_sets` gives, by corpus."""
    found: dict[str, dict[str, str]] = {}
    for name in sets:
        corpus, _, split = name.rpartition("-")
        role = next((role for role, names in SPLIT_NAMES.items() if split in names), None)
        if role:
            found.setdefault(corpus, {})[role] = name
    return [Corpus(name, **roles) for name, roles in found.items()]


def joined(texts: Texts, names: list[str]) -> list[str]:
    """The lines of several sets, one set after another."""
    return [line for name in names for line in texts[name]]
