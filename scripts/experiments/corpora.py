"""Where the search in the loop pays: teacher-forced starts on several corpora, then recipes against more of the same.

    python scripts/experiments/corpora.py starts --data FOLDER --out OUT
    python scripts/experiments/corpora.py cells  --data FOLDER --out OUT --start tatoeba --recipes ablations
    python scripts/experiments/corpora.py cells  --data FOLDER --out OUT --start tatoeba --recipes final --seeds 1 2 3

FOLDER holds folders of parallel text with the splits train, validation and test (multi30k: val, test_2016_flickr);
what else begins with `test` is reported too. Every start is trained by teacher forcing, every cell from its start by
`beamtrain train` in a process of its own, and translated with a beam of 5 and GNMT's length penalty at alpha = 1. A
cell has `--steps` optimiser steps, a control `--control_steps`, which `probe` finds: as many as take the same time.
What was interrupted goes on, what is finished stays; `--jobs N` runs N processes at a time. The results:
corpora_table.py, corpora_map.py, long_sentences.py.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from cells import ADAM
from command_line import positive, run_script
from corpora_cells import CONTROL_OF, CONTROLS, STAGES, cells_of

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text

REPOSITORY = Path(__file__).parent.parent.parent
TRAINED_ON = 1000  # training sentences that are translated too, to see how much was learnt by heart
VALIDATED_ON = 1000  # of each corpus, where several are joined
PROBES = (5, 25)  # steps of two short runs, to learn what one costs


class Start(NamedTuple):
    """A corpus and the network that is trained on it."""

    folders: list[str]  # of parallel text; several are joined
    target_lang: str = "de"
    network: str = "Transformer"
    width: int = 128
    layers: int = 4  # of the encoder, and as many of the decoder
    heads: int = 4
    dropout: float = 0.1
    vocab_size: int = 6000
    rate: float = 0.005


ALL_CORPORA = ["tatoeba_en_de", "docs_en_de", "newstest_en_de", "multi30k_en_de"]
STARTS = {
    "tatoeba": Start(["tatoeba_en_de"]),
    "docs": Start(["docs_en_de"]),
    "mixed": Start(ALL_CORPORA, width=192, vocab_size=8000, rate=0.004),
    "mixed-small": Start(ALL_CORPORA, vocab_size=8000),
    "tatoeba-gru": Start(
        ["tatoeba_en_de"], network="GRUEncoderDecoder", width=256, layers=2, heads=1, dropout=0.2, rate=0.002
    ),
    "tatoeba-fr": Start(["tatoeba_en_fr"], target_lang="fr"),
    "tatoeba-small": Start(["tatoeba_en_de"], width=64, layers=2, heads=2, vocab_size=4000, rate=0.006),
    "docs-small": Start(["docs_en_de"], width=64, layers=2, heads=2, vocab_size=4000, rate=0.006),
    "tatoeba-fr-small": Start(
        ["tatoeba_en_fr"], target_lang="fr", width=64, layers=2, heads=2, vocab_size=4000, rate=0.006
    ),
    "tatoeba-middle": Start(["tatoeba_en_de"], width=96, layers=3, heads=3, vocab_size=5000, rate=0.0055),
}
SPLIT_NAMES = {"train": ["train"], "validation": ["validation", "val"], "test": ["test", "test_2016_flickr"]}


def main() -> None:
    options = arguments()
    for start in options.start or list(STARTS):
        check_corpora(options.data, start)
        if options.stage != "starts" and not (options.out / "starts" / start / "config.yaml").exists():
            raise UserError(f"--start {start}: there is none in {options.out}; the stage `starts` trains it")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.stage == "starts":
        names = options.start or list(STARTS)
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(lambda name: train_start(options, name), names))
    elif options.stage == "probe":
        print_costs(options)
    else:
        work = [
            (start, name, seed)
            for seed in options.seeds
            for start in options.start or list(STARTS)
            for name in options.only or STAGES[options.recipes]
        ]
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(lambda cell: run_cell(options, *cell), work))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["starts", "probe", "cells"])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the corpora's folders")
    parser.add_argument("--out", type=Path, required=True, help="the folder for runs and results")
    parser.add_argument("--start", nargs="+", choices=STARTS, help="default: all")
    parser.add_argument("--start_steps", type=positive, default=12000, help="optimiser steps of a start")
    parser.add_argument("--start_tokens", type=positive, default=4096, help="tokens in a batch of a start")
    parser.add_argument("--start_validations", type=positive, default=6, help="of a start; the best is kept")
    parser.add_argument("--start_from", type=Path, help="a folder with starts of these names, to train them on")
    parser.add_argument("--recipes", choices=STAGES, default="ablations")
    parser.add_argument("--only", nargs="+", metavar="CELL", help="names of cells instead of a stage's")
    parser.add_argument("--seeds", type=positive, nargs="+", default=[1])
    parser.add_argument("--steps", type=positive, default=600, help="optimiser steps of a cell")
    parser.add_argument("--control_steps", type=positive, help="those of a control; default: --steps")
    parser.add_argument("--tokens", type=positive, default=2048, help="tokens in a batch of a cell")
    parser.add_argument("--validations", type=positive, default=3, help="of a cell; the best is kept")
    parser.add_argument("--jobs", type=positive, default=1)
    parser.add_argument("--threads", type=positive, default=1)
    options = parser.parse_args()
    if strange := sorted({*(options.only or [])} - {*STAGES["ablations"]}):
        raise UserError(f"--only {strange[0]!r}: there is no such cell; there are {', '.join(STAGES['ablations'])}")
    return options


def joined_corpus(options: argparse.Namespace, name: str) -> Path:
    """The folder with a start's text: train, validation and test of its corpora, one after another."""
    start, folder = STARTS[name], options.out / "text" / name
    if not folder.exists():
        command = [sys.executable, str(REPOSITORY / "scripts" / "join_corpora.py"), str(folder)]
        command += [str(options.data / corpus) for corpus in start.folders]
        command += ["--languages", "en", start.target_lang]
        command += ["--validation", str(VALIDATED_ON)] if len(start.folders) > 1 else []
        if subprocess.run(command).returncode:  # it has said why
            raise SystemExit(2)
    return folder


def text(path: Path) -> str:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return file.read()


def train_start(options: argparse.Namespace, name: str) -> None:
    folder = options.out / "starts" / name
    start, steps = STARTS[name], options.start_steps
    network: dict[str, Any] = {"width": start.width, "heads": start.heads, "dropout": start.dropout}
    network |= {"encoder_layers": start.layers, "decoder_layers": start.layers}
    if start.network == "Transformer":
        network["inner_width"] = 2 * start.width
    settings = {
        "data": {
            "source": str(joined_corpus(options, name).resolve()),
            "target_lang": start.target_lang,
            "vocab_size": start.vocab_size,
            "subwords": "bpe",
            "batch_tokens": options.start_tokens,
        },
        "model": {
            "network": {"class_path": f"beamtrain.model.{start.network}", "init_args": network},
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": start.rate, **ADAM}},
            "schedule": cosine(steps, min(1000, steps // 5)),
        },
        "trainer": {
            "max_steps": steps,
            "precision": "bf16-mixed",
            "val_check_interval": max(1, steps // options.start_validations),
            "callbacks": [
                {
                    "class_path": "lightning.pytorch.callbacks.EMAWeightAveraging",
                    "init_args": {"decay": 0.998, "update_starting_at_step": min(500, steps // 2)},
                }
            ],
        },
        "score_test": False,
    }
    if options.start_from:
        settings["init_from"] = str((options.start_from / name).resolve())
    train(options, folder, settings)
    translate(options, name, folder)


def run_cell(options: argparse.Namespace, start: str, name: str, seed: int) -> None:
    folder = cell_folder(options, start, name, seed)
    is_control = name in CONTROLS
    steps = (options.control_steps if is_control else None) or options.steps
    if (folder / "result.json").exists():
        if (finished := json.loads((folder / "result.json").read_text())["steps"]) != steps:
            raise UserError(f"{folder} is finished with {finished} steps, not {steps}: give those, or another --out")
        return
    begin = time.time()
    train(options, folder, cell_settings(options, start, name, seed, steps, steps // options.validations))
    seconds = round(time.time() - begin, 1)
    translate(options, start, folder)
    result = {
        "start": start,
        "name": name,
        "seed": seed,
        "steps": steps,
        "tokens": options.tokens,
        "seconds": seconds,  # of the last process
        "settings": cells_of(options.tokens)[name],
    }
    write_text(folder / "result.json", json.dumps(result, indent=2) + "\n")


def cell_folder(options: argparse.Namespace, start: str, name: str, seed: int) -> Path:
    plain = "".join(letter if letter.isalnum() or letter == "." else "-" for letter in name.lower())
    return options.out / "cells" / f"{start}_{plain}_steps{options.steps}_tokens{options.tokens}_seed{seed}"


def cell_settings(
    options: argparse.Namespace, start: str, name: str, seed: int, steps: int, interval: int
) -> dict[str, Any]:
    cell = cells_of(options.tokens)[name]
    return {
        "init_from": str((options.out / "starts" / start).resolve()),
        "data": {
            "source": str(joined_corpus(options, start).resolve()),
            "batch_tokens": options.tokens,
            "seed": seed,
            **cell.get("data", {}),
        },
        "model": {"schedule": cosine(steps, min(50, steps // 2)), **cell["model"]},
        "trainer": {"max_steps": steps, "precision": "bf16-mixed", "val_check_interval": max(1, interval)},
        "score_test": False,
        "seed_everything": seed,
    }


def cosine(steps: int, warmup: int) -> dict[str, Any]:
    return {"class_path": "beamtrain.training.Cosine", "init_args": {"total_steps": steps, "warmup_steps": warmup}}


def train(options: argparse.Namespace, folder: Path, settings: dict[str, Any]) -> None:
    """`beamtrain train` in a process of its own; an interrupted run is resumed, a finished one left alone."""
    done = folder.with_name(folder.name + ".trained")
    if done.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    config = folder.with_name(folder.name + ".yaml")
    write_text(config, yaml.safe_dump(settings))
    command = [sys.executable, str(REPOSITORY / "scripts" / "train.py"), "--config", str(config)]
    command += ["--runs", str(folder.parent), "--name", folder.name]
    if (folder / "model.json").exists():
        command.append("--resume")
    if steps_done(folder) < settings["trainer"]["max_steps"]:
        run(options, command, folder.with_name(folder.name + ".log"))
    write_text(done, "")


def steps_done(folder: Path) -> int:
    """The optimiser steps of a run's last checkpoint."""
    from beamtrain.runs.checkpoints import load_checkpoint

    last = folder / "checkpoints" / "last.ckpt"
    return int(load_checkpoint(last)["global_step"]) if last.exists() else 0


def run(options: argparse.Namespace, command: list[str], log: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "PYTHONPATH": python_path()}
    with log.open("a") as file:
        status = subprocess.run(command, env=environment, stdout=file, stderr=file).returncode
    if status:
        last = log.read_text().strip().rpartition("\n")[2]
        print(f"failed: {' '.join(command)}: {last}", file=sys.stderr, flush=True)
        raise SystemExit(1)


def python_path() -> str:
    return os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))


def check_corpora(data: Path, start: str) -> None:
    """Raises UserError unless the corpora of this start are there, with their three splits."""
    for corpus in STARTS[start].folders:
        for split, names in SPLIT_NAMES.items():
            for language in ("en", STARTS[start].target_lang):
                if not any((data / corpus / f"{name}.{language}.gz").exists() for name in names):
                    raise UserError(f"--data {data}: no {corpus}/{split}.{language}.gz there")


def test_sets(options: argparse.Namespace, start: str) -> dict[str, tuple[list[str], list[str]]]:
    """Name -> (sources, references): validation, every test set of the corpora apart, and training sentences."""
    check_corpora(options.data, start)
    target, sets = STARTS[start].target_lang, {}
    for corpus in STARTS[start].folders:
        prefix = f"{corpus.partition('_')[0]}-" if len(STARTS[start].folders) > 1 else ""
        for path in sorted((options.data / corpus).glob("*.en.gz")):
            split = path.name.removesuffix(".en.gz")
            pair = [text(path.with_name(f"{split}.{each}.gz")).split("\n")[:-1] for each in ("en", target)]
            if split == "train":
                step = len(pair[0]) // TRAINED_ON
                pair = [side[::step][:TRAINED_ON] for side in pair]
            sets[prefix + ("validation" if split in SPLIT_NAMES["validation"] else split)] = (pair[0], pair[1])
    return sets


def translate(options: argparse.Namespace, start: str, folder: Path) -> None:
    """A run's translations of every test set, in its folder `translations`; one process translates all."""
    target, sets = folder / "translations", test_sets(options, start)
    if all((target / f"{name}.txt").exists() for name in sets):
        return
    sources = [line for source, _ in sets.values() for line in source]
    write_text(folder / "sources.txt", "".join(f"{line}\n" for line in sources))
    command = [sys.executable, "-m", "beamtrain.cli", "translate", "--model", str(folder), "--beam", "5"]
    command += ["--length-penalty", "gnmt", "--alpha", "1"]
    command += ["--input", str(folder / "sources.txt"), "--output", str(folder / "outputs.txt")]
    run(options, command, folder.with_name(folder.name + ".log"))
    outputs = iter((folder / "outputs.txt").read_text(encoding="utf-8").split("\n"))
    for name, (source, _) in sets.items():
        write_text(target / f"{name}.txt", "".join(f"{next(outputs)}\n" for _ in source))


def outputs_of(folder: Path) -> dict[str, list[str]]:
    files = sorted((folder / "translations").glob("*.txt"))
    return {path.stem: path.read_text(encoding="utf-8").split("\n")[:-1] for path in files}


def print_costs(options: argparse.Namespace) -> None:
    """Seconds of a step of every cell of the stage, and the steps of a control that take the time of --steps of it."""
    for start in options.start or list(STARTS):
        costs = {}
        for name in options.only or STAGES[options.recipes]:
            seconds = []
            for steps in PROBES:
                folder = options.out / "probes" / f"{cell_folder(options, start, name, 1).name}-{steps}"
                begin = time.time()
                train(options, folder, cell_settings(options, start, name, 1, steps, 10**9))
                seconds.append(time.time() - begin)
            costs[name] = (seconds[1] - seconds[0]) / (PROBES[1] - PROBES[0])
            print(f"{start}, {name}: {costs[name]:.3f} s a step", flush=True)
        for name, cost in costs.items():
            control = CONTROL_OF.get(name)
            if control in costs:
                print(f"{start}, {name}: --control_steps {options.steps * cost / costs[control]:.0f}")


if __name__ == "__main__":
    run_script(main)
