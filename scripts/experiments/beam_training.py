"""The experiments on training with the beam in the loop, one command for each stage; finished cells are kept.

    python scripts/experiments/beam_training.py ablations --init_from runs/multi30k_ende --out FOLDER
    python scripts/experiments/beam_training.py final     --init_from runs/multi30k_ende --out FOLDER --steps 2000
    python scripts/experiments/beam_training.py curves    --init_from runs/multi30k_ende --out FOLDER --steps 2000
    python scripts/experiments/beam_training.py table     --init_from runs/multi30k_ende --out FOLDER

Every cell fine-tunes the run `--init_from` with `beamtrain train` in a process of its own and translates the
development and test sets with a beam of 5 and GNMT's length penalty at alpha = 1. The control, teacher forcing, gets as
many steps as take the CPU time of the recipe's, with the same schedule over those steps. A cell that was interrupted
resumes; `--jobs 2` runs two cells at a time. `curves` decodes the finished cells of `--only`, or those of `final`, with
beams from 1 to 64, with length normalisation and without, and with alpha tuned on the development set.
"""

import argparse
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cells import ABLATIONS, CONTROLS, FINAL
from child_processes import REPOSITORY, run
from command_line import positive, run_script
from paired import told
from training_processes import train

from beamtrain.base.files import write_text
from beamtrain.base.script_parser import ScriptParser
from beamtrain.runs.loading import load_run
from beamtrain.scoring.metrics import corpus_score, score_corpus
from beamtrain.scoring.parallel_text import from_split

BEAM_CONFIG = REPOSITORY / "configs" / "multi30k_ende_soft.yaml"
SPLITS = ("validation", "test")
START = "start"
ALPHAS = ("0.6", "1", "1.4", "1.8")
BEAM_PROBES, CONTROL_PROBES = (5, 35), (20, 220)  # steps of two short runs, to learn what one costs


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.stage == "curves":
        print_curves(options)
        return
    if options.stage != "table":
        cells = FINAL if options.stage == "final" else ABLATIONS
        run_stage(options, [name for name in cells if wanted(name, options.only)])
    print_table(options)


def arguments() -> argparse.Namespace:
    parser = ScriptParser(__doc__)
    parser.add_argument("stage", choices=["ablations", "final", "curves", "table"])
    parser.add_argument("--init_from", type=Path, required=True, help="a teacher-forced run")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the cells' runs and results")
    parser.add_argument("--seeds", type=positive, nargs="+", help="default: 1 for ablations; 2 3 4 for final")
    parser.add_argument("--steps", type=positive, default=300, help="optimiser steps of a cell")
    parser.add_argument("--jobs", type=positive, default=1)
    parser.add_argument("--only", nargs="*", help="names of cells, or parts of the names of several")
    parser.add_argument("--threads", type=positive, default=1)
    options = parser.parse_args()
    options.seeds = options.seeds or ([2, 3, 4] if options.stage == "final" else [1])
    return options


def wanted(name: str, only: list[str] | None) -> bool:
    return not only or any(each == name if each in ABLATIONS else each in name for each in only)


def run_stage(options: argparse.Namespace, cells: list[str]) -> None:
    translate_splits(options, options.init_from, options.out / START)
    for name in cells:
        if name in CONTROLS:
            control_steps(options, name)  # alone on the machine; the cells then find it done
    for seed in options.seeds:
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(lambda name, seed=seed: run_cell(options, name, seed), cells))  # finished ones are skipped


def cell_folder(options: argparse.Namespace, name: str, seed: int, steps: int | None = None) -> Path:
    plain = re.sub(r"[^a-z0-9.]+", "_", name.lower()).strip("_")
    return options.out / f"{plain}-steps{steps or options.steps}-seed{seed}"


def run_cell(options: argparse.Namespace, name: str, seed: int) -> None:
    folder = cell_folder(options, name, seed)
    if (folder / "result.json").exists():
        return
    print(f"{name}, seed {seed} ...", file=sys.stderr, flush=True)
    steps = options.steps
    if name in CONTROLS:
        steps = control_steps(options, name)
    seconds = fine_tune(options, name, seed, steps, folder)
    translate_splits(options, folder, folder / "translations")
    result = {"name": name, "seed": seed, "steps": steps, "cpu_seconds": seconds, "settings": ABLATIONS[name]}
    write_text(folder / "result.json", json.dumps(result, indent=2) + "\n")


def control_steps(options: argparse.Namespace, control: str) -> int:
    """Steps without a beam that take the CPU time of those of its beam cell."""
    return round(options.steps * step_cost(options, CONTROLS[control]) / step_cost(options, control))


def step_cost(options: argparse.Namespace, name: str) -> float:
    """CPU seconds of a training step alone: what a longer run takes beyond a shorter one, without validation."""
    seed, probes = options.seeds[0], CONTROL_PROBES if name in CONTROLS else BEAM_PROBES
    short, long = (
        fine_tune(options, name, seed, steps, cell_folder(options, f"{name} probe {steps}", seed), validate=False)
        for steps in probes
    )
    return (long - short) / (probes[1] - probes[0])


def fine_tune(
    options: argparse.Namespace, name: str, seed: int, steps: int, folder: Path, validate: bool = True
) -> float:
    """In a process of its own; its CPU seconds, validation included. An interrupted run is resumed."""
    schedule = {"total_steps": steps, "warmup_steps": min(20, steps // 2)}
    validation = {"val_check_interval": max(1, steps // 3)} if validate else {"limit_val_batches": 0}
    cell = ABLATIONS[name]
    settings: dict[str, Any] = {
        "init_from": str(options.init_from.resolve()),
        "model": {"schedule": {"class_path": "beamtrain.training.Cosine", "init_args": schedule}, **cell["model"]},
        "trainer": {"max_steps": steps, **validation, **cell.get("trainer", {})},
        "data": cell.get("data", {}),
        "score_test": False,
        "write_page": False,
        "seed_everything": seed,
    }
    return train(folder, settings, options.threads, BEAM_CONFIG).seconds


def translate_splits(options: argparse.Namespace, run: Path, target: Path) -> None:
    """The run's output on every split, in `target`/SPLIT.txt; nothing to do for what is there."""
    for split in SPLITS:
        if not (target / f"{split}.txt").exists():
            decode(options, run, split, target / split, beams="5", penalty=("gnmt", "1"))
            (target / split / "beam5.txt").rename(target / f"{split}.txt")


def decode(
    options: argparse.Namespace, run_folder: Path, split: str, target: Path, beams: str, penalty: tuple[str, str]
) -> None:
    """`beamtrain evaluate` into the folder `target`."""
    command = [sys.executable, "-m", "beamtrain.cli", "evaluate", "--model", str(run_folder), "--split", split]
    command += ["--beam", beams, "--length-penalty", penalty[0], "--alpha", penalty[1], "--output", str(target)]
    run(command, options.out / f"{run_folder.name}.log", options.threads)


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def references(options: argparse.Namespace) -> dict[str, list[str]]:
    run = load_run(options.init_from)
    return {split: from_split(run, split).references[0] for split in SPLITS}


def print_table(options: argparse.Namespace) -> None:
    """Scores of every finished cell, and how they differ from the control of the same length and seed."""
    gold = references(options)
    head = ["cell", "seed", "steps", "CPU s", "BLEU val", "BLEU test", "chrF2 test", "length", "control", "start"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    start = {split: lines(options.out / START / f"{split}.txt") for split in SPLITS}
    print(row({"name": START, "seed": "", "steps": "", "cpu_seconds": 0}, start, gold, [None, None]))
    finished = {path.parent: json.loads(path.read_text()) for path in options.out.glob("*/result.json")}
    for folder, result in sorted(finished.items(), key=lambda item: (item[1]["seed"], item[0])):
        steps = int(folder.name.rpartition("-steps")[2].partition("-")[0])  # of the stage: a control takes more
        control = cell_folder(options, control_of(result["name"]), result["seed"], steps)
        there = control in finished and control != folder
        print(row(result, translations(folder), gold, [translations(control) if there else None, start]), flush=True)


def control_of(name: str) -> str:
    """The first control with the cell's batches and learning rate, or else the first with its batches."""
    own = ABLATIONS[name]
    alike = [control for control in CONTROLS if ABLATIONS[control].get("data") == own.get("data")]
    same_rate = [each for each in alike if ABLATIONS[each]["model"].get("optimizer") == own["model"].get("optimizer")]
    return (same_rate or alike)[0]


def translations(run: Path) -> dict[str, list[str]]:
    return {split: lines(run / "translations" / f"{split}.txt") for split in SPLITS}


def row(
    result: dict[str, Any],
    ours: dict[str, list[str]],
    gold: dict[str, list[str]],
    baselines: list[dict[str, list[str]] | None],
) -> str:
    scores = {split: score_corpus(ours[split], gold[split]) for split in SPLITS}
    cells = [result["name"], result["seed"], result["steps"], f"{result['cpu_seconds']:.0f}"]
    cells += [f"{scores['validation'].bleu.value:.2f}", f"{scores['test'].bleu.value:.2f}"]
    cells += [f"{scores['test'].chrf.value:.2f}", f"{scores['test'].length_ratio:.3f}"]
    return "| " + " | ".join(map(str, [*cells, *(difference(each, ours, gold) for each in baselines)])) + " |"


def difference(baseline: dict[str, list[str]] | None, ours: dict[str, list[str]], gold: dict[str, list[str]]) -> str:
    """Test BLEU and chrF2 less the baseline's, with p of paired bootstrap."""
    return "" if baseline is None else told(baseline["test"], ours["test"], gold["test"])


def print_curves(options: argparse.Namespace) -> None:
    """Test BLEU over the beam size, and with alpha tuned on the development set."""
    gold = references(options)
    sizes = (1, 2, 4, 8, 16, 32, 64)
    print("| | penalty | " + " | ".join(f"beam {size}" for size in sizes) + " |")
    print("|---|---|" + "---|" * len(sizes))
    runs = {START: options.init_from}
    for name in ABLATIONS if options.only else FINAL:
        if wanted(name, options.only):
            runs |= {f"{name}, seed {seed}": cell_folder(options, name, seed) for seed in options.seeds}
    runs = {name: folder for name, folder in runs.items() if (folder / "model.safetensors").exists()}
    for name, folder in runs.items():
        for penalty in (("gnmt", "1"), ("none", "0")):
            target = options.out / "curves" / f"{folder.name}-{penalty[0]}"
            if not (target / f"beam{sizes[-1]}.txt").exists():
                decode(options, folder, "test", target, ",".join(map(str, sizes)), penalty)
            scores = [corpus_score(lines(target / f"beam{size}.txt"), gold["test"]).value for size in sizes]
            print(f"| {name} | {penalty[0]} | " + " | ".join(f"{score:.2f}" for score in scores) + " |", flush=True)
    print("\n| | alpha tuned on val | BLEU val | BLEU test | length |\n|---|---|---|---|---|")
    for name, folder in runs.items():
        tried = {}
        for alpha in ALPHAS:
            for split in SPLITS:
                target = options.out / "curves" / f"{folder.name}-alpha{alpha}-{split}"
                if not (target / "beam5.txt").exists():
                    decode(options, folder, split, target, "5", ("gnmt", alpha))
                tried[alpha, split] = score_corpus(lines(target / "beam5.txt"), gold[split])
        best = max(ALPHAS, key=lambda alpha: tried[alpha, "validation"].bleu.value)
        val, test = (tried[best, split] for split in SPLITS)
        print(
            f"| {name} | {best} | {val.bleu.value:.2f} | {test.bleu.value:.2f} | {test.length_ratio:.3f} |", flush=True
        )


if __name__ == "__main__":
    run_script(main)
