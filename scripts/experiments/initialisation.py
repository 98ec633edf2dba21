"""Learning curves of the Transformer by initialisation, position of the normalisation, and learning rate.

    python scripts/experiments/initialisation.py --out runs/initialisation

Each cell is a run of configs/quickstart.yaml on the bundled phrasebook, with a schedule over its own steps. A cell that
is finished is not run again, and one that was cut off goes on. Prints a table of the development set's loss (nats a
token) and BLEU after so many steps.
"""

import argparse
import csv
import subprocess
import sys
from itertools import product
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--every", type=int, default=100, help="steps between two validations")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.001, 0.003])
    options = parser.parse_args()
    cells = list(product(("pre", "post"), ("xavier", "orthogonal"), options.rates))
    for cell in cells:
        train(cell, options)
    steps = range(options.every, options.steps + 1, options.every)
    print("| norm | initialisation | learning rate | " + " | ".join(f"{step} steps" for step in steps) + " |")
    print("|---|---|---:|" + "---:|" * len(steps))
    for cell in cells:
        curve = validations(folder(cell, options))
        print(f"| {cell[0]} | {cell[1]} | {cell[2]:g} | " + " | ".join(curve.get(step, "") for step in steps) + " |")


def folder(cell: tuple[str, str, float], options: argparse.Namespace) -> Path:
    return Path(options.out) / "-".join(map(str, cell))


def train(cell: tuple[str, str, float], options: argparse.Namespace) -> None:
    norm, initialisation, rate = cell
    run = folder(cell, options)
    if options.steps in validations(run):
        return
    run.parent.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, str(SCRIPTS / "train.py"), "--config", "quickstart.yaml"),
        *("--runs", str(run.parent), "--name", run.name, "--score_test", "false"),
        *("--model.network.init_args.norm", norm, "--model.network.init_args.initialisation", initialisation),
        *("--model.optimizer.init_args.lr", str(rate), "--trainer.max_steps", str(options.steps)),
        *("--model.schedule.init_args.total_steps", str(options.steps)),
        *("--trainer.val_check_interval", str(options.every)),
    ]
    if (run / "model.json").exists():
        command.append("--resume")
    with open(f"{run}.log", "a", encoding="utf-8") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)


def validations(run: Path) -> dict[int, str]:
    """Step -> loss and BLEU, as the run's table has them."""
    table = run / "logs" / "metrics.csv"
    if not table.exists():
        return {}
    with open(table, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("val/bleu")]
    return {int(row["step"]): f"{float(row['val/loss']):.2f}, {float(row['val/bleu']):.1f}" for row in rows}


if __name__ == "__main__":
    main()
