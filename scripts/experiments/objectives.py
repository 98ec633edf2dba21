"""All objectives on one corpus at equal time, against the teacher-forced control: one table and one plot.

    python scripts/experiments/objectives.py --init_from runs/small2 --out OUT
    python scripts/experiments/objectives.py --init_from runs/small2 --out OUT --report docs/experiments/objectives

Every cell fine-tunes the run `--init_from` with `beamtrain train` in a process of its own, for as many steps as take
`--minutes` of processor time (a short run says what a step costs), with a cosine over those steps, and translates the
test set with a beam of 5 and GNMT's length penalty at alpha = 1. What was interrupted goes on, what is finished stays.
`--report FOLDER` keeps each finished cell's figures there as JSON, with the plot of development scores over time.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from child_processes import run
from command_line import positive, positive_real, run_script
from curve import read_curve
from objectives_cells import CELLS, CONTROL, TOKENS
from paired import told
from training_processes import digest_of_weights

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.base.script_parser import ScriptParser
from beamtrain.runs.loading import load_run
from beamtrain.scoring.metrics import score_corpus
from beamtrain.scoring.parallel_text import from_split

HERE = Path(__file__).parent
PROBES = (5, 25)  # steps of two short runs, to learn what one costs
START = "start"
BEGUN = "begun_from.txt"  # a digest of the weights that the cells of OUT began from
SHOWN_BELOW = 4.0  # how far below the start the plot goes, in points


def main() -> None:
    options = arguments()
    check_begun(options)
    options.out.mkdir(parents=True, exist_ok=True)
    write_text(options.out / BEGUN, digest_of_weights(options.init_from) + "\n")
    for split in ("test", "validation"):
        translate(options, options.init_from, START, split)
    for seed in options.seeds:
        for name in options.only or CELLS:
            run_cell(options, name, seed)
            report(options)


def arguments() -> argparse.Namespace:
    parser = ScriptParser(__doc__)
    parser.add_argument("--init_from", type=Path, required=True, help="a teacher-forced run")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the cells' runs and translations")
    parser.add_argument("--report", type=Path, help="the folder for their figures (default: OUT/report)")
    parser.add_argument("--minutes", type=positive_real, default=10, help="processor time of a cell's training steps")
    parser.add_argument("--seeds", type=positive, nargs="+", default=[1])
    parser.add_argument("--only", nargs="+", choices=CELLS, help="names of cells")
    parser.add_argument("--validations", type=positive, default=6, help="of a cell; the best is kept")
    parser.add_argument("--threads", type=positive, default=1)
    options = parser.parse_args()
    options.report = options.report or options.out / "report"
    return options


def check_begun(options: argparse.Namespace) -> None:
    """Raises UserError where OUT has cells of another start, or the report's cells are not those of OUT, or not of so
    many minutes: tables would lose what they have, or mix it."""
    begun = options.out / BEGUN
    if begun.exists() and begun.read_text(encoding="utf-8").strip() != digest_of_weights(options.init_from):
        raise UserError(
            f"{options.out} has cells that began from other weights than --init_from {options.init_from} has: give "
            "another --out"
        )
    for each in results_in(options.report):
        path = options.report / f"{plain(each['name'], each['seed'])}.json"
        if lines(options, path.stem) is None:
            raise UserError(
                f"{path}: --out {options.out} has no translations of it: give its --out, or another --report"
            )
        if each.get("minutes", options.minutes) != options.minutes:
            raise UserError(
                f"{path} had {each['minutes']:g} minutes, not {options.minutes:g}: give as many, or another --report"
            )


def results_in(report: Path) -> list[dict[str, Any]]:
    """Of the finished cells, by seed and in the order of CELLS. Raises UserError for a damaged file."""
    results = []
    for path in sorted(report.glob("*-seed*.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            results.append((result["seed"], list(CELLS).index(result["name"]), result))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path} is no result of a cell: remove that file, and it is made again") from error
    return [result for _, _, result in sorted(results, key=lambda each: each[:2])]


def plain(name: str, seed: int) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") + f"-seed{seed}"


def run_cell(options: argparse.Namespace, name: str, seed: int) -> None:
    cell = plain(name, seed)
    if (options.report / f"{cell}.json").exists():
        return
    print(f"{name}, seed {seed} ...", file=sys.stderr, flush=True)
    short, long = (train(options, name, seed, steps, f"{cell}-probe{steps}", 0) for steps in PROBES)
    cost = (long - short) / (PROBES[1] - PROBES[0])
    steps = max(options.validations, round(60 * options.minutes / cost))
    seconds = train(options, name, seed, steps, cell, options.validations)
    translate(options, options.out / cell, cell, "test")
    result = {
        "name": name,
        "seed": seed,
        "steps": steps,
        "seconds_a_step": round(seconds / steps, 4),
        "cpu_seconds": round(seconds, 1),
        "minutes": options.minutes,
        "settings": CELLS[name],
        "curve": read_curve(options.out / f"{cell}.curve"),
    }
    write_text(options.report / f"{cell}.json", json.dumps(result, indent=2) + "\n")


def train(options: argparse.Namespace, name: str, seed: int, steps: int, cell: str, validations: int) -> float:
    """Fine-tune in a process of its own, or go on with that; the CPU seconds of its steps."""
    curve = options.out / f"{cell}.curve"
    done = curve.with_suffix(".seconds")
    if not (done.exists() and (not validations or (options.out / cell / "model.safetensors").exists())):
        schedule = {"total_steps": steps, "warmup_steps": min(50, steps // 2)}
        keep = {"class_path": "curve.Curve", "init_args": {"path": str(curve.resolve())}}
        settings = {
            "init_from": str(options.init_from.resolve()),
            "data": {"batch_tokens": TOKENS},
            "model": {
                "schedule": {"class_path": "beamtrain.training.Cosine", "init_args": schedule},
                **CELLS[name]["model"],
            },
            "trainer": {
                "max_steps": steps,
                **({"val_check_interval": max(1, steps // validations)} if validations else {"limit_val_batches": 0}),
                "precision": "bf16-mixed",
                "callbacks": [keep],
            },
            "score_test": False,
            "seed_everything": seed,
        }
        write_text(options.out / f"{cell}.yaml", yaml.safe_dump(settings))
        command = [sys.executable, str(HERE.parent / "train.py"), "--config", str(options.out / f"{cell}.yaml")]
        command += ["--runs", str(options.out), "--name", cell]
        command += ["--resume"] * (options.out / cell / "model.json").exists()
        run(command, options.out / f"{cell}.log", options.threads, imports=HERE)
    return float(done.read_text())


def translate(options: argparse.Namespace, folder: Path, cell: str, split: str) -> None:
    """The translations of a split, OUT/CELL.SPLIT/beam5.txt."""
    target = options.out / f"{cell}.{split}"
    if not (target / "beam5.txt").exists():
        command = [sys.executable, "-m", "beamtrain.cli", "evaluate", "--model", str(folder), "--split", split]
        command += ["--beam", "5", "--length-penalty", "gnmt", "--alpha", "1", "--output", str(target)]
        run(command, options.out / f"{cell}.log", options.threads)


def lines(options: argparse.Namespace, cell: str, split: str = "test") -> list[str] | None:
    path = options.out / f"{cell}.{split}" / "beam5.txt"
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else None


def report(options: argparse.Namespace) -> None:
    """table.md and curves.png of all finished cells."""
    results = results_in(options.report)
    trained = load_run(options.init_from)
    gold, dev_gold = (from_split(trained, split).references[0] for split in ("test", "validation"))
    dev = scores(lines(options, START, "validation"), dev_gold)
    head = [
        "objective",
        "seed",
        "steps",
        "ms a step",
        "BLEU val",
        "BLEU test",
        "chrF2 test",
        "length",
        "less the control",
    ]
    rows = [head, ["---"] * len(head), [START, "", "", "", dev[0], *scores(lines(options, START), gold), ""]]
    for each in results:
        ours, control = (lines(options, plain(name, each["seed"])) for name in (each["name"], CONTROL))
        best = max(point["bleu"] for point in each["curve"])
        rows.append(
            [
                *(each["name"], each["seed"], f"{each['steps']:,}"),
                *(f"{each['seconds_a_step'] * 1e3:.0f}", f"{best:.2f}", *scores(ours, gold)),
                "" if each["name"] == CONTROL else difference(control, ours, gold),
            ]
        )
    table = "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)
    write_text(options.report / "table.md", table)
    print(table, flush=True)
    plot(options.report / "curves.png", results, {"cpu_seconds": 0.0, "bleu": float(dev[0]), "chrf": float(dev[1])})


def scores(ours: list[str] | None, gold: list[str]) -> list[str]:
    if ours is None:
        return ["", "", ""]
    found = score_corpus(ours, gold)
    return [f"{found.bleu.value:.2f}", f"{found.chrf.value:.2f}", f"{found.length_ratio:.3f}"]


def difference(control: list[str] | None, ours: list[str] | None, gold: list[str]) -> str:
    """Test BLEU and chrF2 less the control's, with p of paired bootstrap."""
    return "" if control is None or ours is None else told(control, ours, gold)


def plot(path: Path, results: list[dict[str, Any]], start: dict[str, float]) -> None:
    """Development BLEU and chrF2 over the minutes of training."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    for axis, key, label in zip(axes, ("bleu", "chrf"), ("BLEU", "chrF2"), strict=True):
        for place, each in enumerate(results):
            points = [start, *each["curve"]]
            style = {"color": "black", "linewidth": 2.5} if each["name"] == CONTROL else {"color": f"C{place % 10}"}
            style["linestyle"] = ("-", "--", ":")[place // 10 % 3]
            label_of = each["name"] if each["seed"] == results[0]["seed"] else None
            minutes = [point["cpu_seconds"] / 60 for point in points]
            axis.plot(minutes, [point[key] for point in points], marker=".", label=label_of, **style)
        axis.set(xlabel="processor minutes of training", ylabel=f"{label}, development set")
        axis.set_ylim(bottom=max(axis.get_ylim()[0], start[key] - SHOWN_BELOW))
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    run_script(main)
