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
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from cells import ADAM
from child_processes import REPOSITORY, log_of, run
from command_line import positive, run_script
from corpora_cells import CONTROL_OF, CONTROLS, STAGES, cells_of
from training_processes import Record, check_settings, is_whole, train

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.base.script_parser import ScriptParser
from beamtrain.base.text_io import check_output_folder, open_lines

TRAINED_ON = 1000  # training sentences that are translated too, to see how much was learnt by heart
VALIDATED_ON = 1000  # of each corpus, where several are joined
PROBES = (5, 25)  # steps of two short runs, to learn what one costs


Sets = dict[str, tuple[list[str], list[str]]]
"""Sources and references of every set."""


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
        if options.stage != "starts" and not is_whole(options.out / "starts" / start):
            raise UserError(
                f"--start {start}: none in {options.out} is trained to its end; the stage `starts` trains it"
            )
    check_output_folder(options.out)
    options.out.mkdir(parents=True, exist_ok=True)
    for start in options.start or list(STARTS):
        joined_corpus(options, start)
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
    parser = ScriptParser(__doc__)
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
        near = get_close_matches(strange[0], STAGES["ablations"], n=3, cutoff=0) or STAGES["ablations"]
        raise UserError(
            f"--only {strange[0]!r}: there is no such cell; the nearest are {' and '.join(map(repr, near))}; "
            "all are in corpora_cells.py"
        )
    options.seeds = list(dict.fromkeys(options.seeds))
    if options.start_from:
        for name in options.start or list(STARTS):
            if not is_whole(options.start_from / name):
                raise UserError(f"--start_from {options.start_from}: no run {name} there that is trained to its end")
    return options


def text_of(options: argparse.Namespace, start: str) -> Path:
    return (options.out / "text" / start).resolve()


def joined_corpus(options: argparse.Namespace, name: str) -> None:
    """A start's text: train, validation and test of its corpora, one after another.

    Raises UserError where it was made of other text.
    """
    start, folder = STARTS[name], text_of(options, name)
    if not folder.exists():
        command = [sys.executable, str(REPOSITORY / "scripts" / "join_corpora.py"), str(folder)]
        command += [str(options.data / corpus) for corpus in start.folders]
        command += ["--languages", "en", start.target_lang]
        command += ["--validation", str(VALIDATED_ON)] if len(start.folders) > 1 else []
        if subprocess.run(command).returncode:  # it has said why
            raise SystemExit(2)
    for language in ("en", start.target_lang):
        joined = lines_of(folder / f"train.{language}")
        given = [line for corpus in start.folders for line in lines_of(options.data / corpus / f"train.{language}.gz")]
        if joined != given:
            raise UserError(
                f"--data {options.data}: {len(given):,} lines of train.{language}, which are not the {len(joined):,} "
                f"that {folder} was made of: give another --out"
            )


def lines_of(path: Path) -> list[str]:
    """Of a text file, packed or not. Raises UserError where it cannot be read."""
    with open_lines(path) as lines:
        return list(lines)


def train_start(options: argparse.Namespace, name: str) -> None:
    folder = options.out / "starts" / name
    start, steps = STARTS[name], options.start_steps
    network: dict[str, Any] = {"width": start.width, "heads": start.heads, "dropout": start.dropout}
    network |= {"encoder_layers": start.layers, "decoder_layers": start.layers}
    if start.network == "Transformer":
        network["inner_width"] = 2 * start.width
    settings = {
        "data": {
            "source": str(text_of(options, name)),
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
    train(folder, settings, options.threads)
    translate(options, name, folder)


def run_cell(options: argparse.Namespace, start: str, name: str, seed: int) -> None:
    folder = cell_folder(options, start, name, seed)
    is_control = name in CONTROLS
    steps = (options.control_steps if is_control else None) or options.steps
    settings = cell_settings(options, start, name, seed, steps, steps // options.validations)
    if (path := folder / "result.json").exists():
        if (finished := result_of(path).steps) != steps:
            raise UserError(f"{folder} is finished with {finished} steps, not {steps}: give those, or another --out")
        check_settings(folder, settings)
        translate(options, start, folder)
        return
    trained = train(folder, settings, options.threads)
    translate(options, start, folder)
    result = {
        "start": start,
        "name": name,
        "seed": seed,
        "steps": steps,
        "tokens": options.tokens,
        "seconds": trained.seconds,
        "unseen_steps": trained.unseen,
        "settings": cells_of(options.tokens)[name],
    }
    write_text(folder / "result.json", json.dumps(result, indent=2) + "\n")


class Result(NamedTuple):
    """What is noted of a finished cell."""

    name: str
    seed: int
    steps: int
    seconds: float
    """Of the processor, for all of its training but the unseen steps."""
    unseen: int
    """Steps of which the time is not known."""


def result_of(path: Path) -> Result:
    """Raises UserError where the file is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        name, seed, steps = str(found["name"]), int(found["seed"]), int(found["steps"])
        return Result(name, seed, steps, float(found["seconds"]), int(found.get("unseen_steps", 0)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is no result of a cell: remove that file, and corpora.py makes it again") from error


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
            "source": str(text_of(options, start)),
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


def check_corpora(data: Path, start: str) -> None:
    """Raises UserError unless the corpora of this start are there, with their three splits."""
    for corpus in STARTS[start].folders:
        for split, names in SPLIT_NAMES.items():
            for language in ("en", STARTS[start].target_lang):
                if not any((data / corpus / f"{name}.{language}.gz").exists() for name in names):
                    raise UserError(f"--data {data}: no {corpus}/{split}.{language}.gz there")


def test_sets(options: argparse.Namespace, start: str) -> Sets:
    """Name -> (sources, references): validation, every test set of the corpora apart, and training sentences."""
    check_corpora(options.data, start)
    target, sets = STARTS[start].target_lang, {}
    for corpus in STARTS[start].folders:
        prefix = f"{corpus.partition('_')[0]}-" if len(STARTS[start].folders) > 1 else ""
        for path in sorted((options.data / corpus).glob("*.en.gz")):
            split = path.name.removesuffix(".en.gz")
            pair = [lines_of(path.with_name(f"{split}.{each}.gz")) for each in ("en", target)]
            if not pair[0] or len(pair[0]) != len(pair[1]):
                counts = f"{len(pair[0]):,} lines of English, {len(pair[1]):,} of its translation"
                raise UserError(f"{path}: {counts}: there must be one or more, and as many of both")
            if split == "train":
                step = max(1, len(pair[0]) // TRAINED_ON)
                pair = [side[::step][:TRAINED_ON] for side in pair]
            sets[prefix + ("validation" if split in SPLIT_NAMES["validation"] else split)] = (pair[0], pair[1])
    return sets


def translate(options: argparse.Namespace, start: str, folder: Path) -> None:
    """A run's translations of every test set, in its folder `translations`; one process translates all."""
    target, sets = folder / "translations", test_sets(options, start)
    write_references(options, start, sets)
    there = outputs_of(folder)
    if all(len(there.get(name, [])) == len(source) for name, (source, _) in sets.items()):
        check_sources(folder, sets)
        return
    write_text(folder / "sources.txt", sources_of(sets))
    command = [sys.executable, "-m", "beamtrain.cli", "translate", "--model", str(folder), "--beam", "5"]
    command += ["--length-penalty", "gnmt", "--alpha", "1"]
    command += ["--input", str(folder / "sources.txt"), "--output", str(folder / "outputs.txt")]
    run(command, log_of(folder), options.threads)
    outputs = iter((folder / "outputs.txt").read_text(encoding="utf-8").split("\n"))
    for name, (source, _) in sets.items():
        write_text(target / f"{name}.txt", "".join(f"{next(outputs)}\n" for _ in source))


def write_references(options: argparse.Namespace, start: str, sets: Sets) -> None:
    """Those of every set, in OUT/references/START: what `beamtrain compare` reads beside translations."""
    folder = options.out / "references" / start
    for name, (_, references) in sets.items():
        if not (folder / f"{name}.txt").exists():
            write_text(folder / f"{name}.txt", "".join(f"{line}\n" for line in references))


def sources_of(sets: Sets) -> str:
    """All that is translated."""
    return "".join(f"{line}\n" for source, _ in sets.values() for line in source)


def check_sources(folder: Path, sets: Sets) -> None:
    """Raises UserError where a run has translated something else."""
    path = folder / "sources.txt"
    if path.exists() and path.read_bytes() != sources_of(sets).encode():
        raise UserError(
            f"{folder} has translated other text than that of --data: give the folder that it was, or remove "
            f"{folder / 'translations'}"
        )


def outputs_of(folder: Path) -> dict[str, list[str]]:
    files = sorted((folder / "translations").glob("*.txt"))
    return {path.stem: lines_of(path) for path in files}


def print_costs(options: argparse.Namespace) -> None:
    """Processor seconds of a step of every cell, and the steps of a control that take the time of --steps of it."""
    for start in options.start or list(STARTS):
        costs = {}
        for name in options.only or STAGES[options.recipes]:
            short, long = (probed(options, start, name, steps) for steps in PROBES)
            if long <= short:
                raise UserError(
                    f"{name}: {PROBES[1]} steps took {long:.1f} s, {PROBES[0]} steps {short:.1f}: too little to tell "
                    f"what one costs; give more --tokens, or remove {options.out / 'probes'} and try again"
                )
            costs[name] = (long - short) / (PROBES[1] - PROBES[0])
            print(f"{start}, {name}: {costs[name]:.3f} s a step", flush=True)
        for name, cost in costs.items():
            control = CONTROL_OF.get(name)
            if control in costs:
                print(f"{start}, {name}: --control_steps {options.steps * cost / costs[control]:.0f}")


def probed(options: argparse.Namespace, start: str, name: str, steps: int) -> float:
    """The processor seconds of so many steps, in one process."""
    folder = options.out / "probes" / f"{cell_folder(options, start, name, 1).name}-{steps}"
    if folder.exists() and not Record.of(folder).finished:
        shutil.rmtree(folder)
    settings = cell_settings(options, start, name, 1, steps, steps)
    settings["trainer"]["limit_val_batches"] = 0
    return train(folder, settings, options.threads).seconds


if __name__ == "__main__":
    run_script(main)
