"""Training speed side by side with JoeyNMT 2.3.0: target tokens per second of whole optimiser steps, on this machine.

    python scripts/bench/training.py --peer-python JOEYNMT_ENV/bin/python --data FOLDER

FOLDER holds train.en, train.de, val.en, val.de (also .gz); without it, the bundled phrasebook. JoeyNMT lives in an
environment of its own: `pip install joeynmt==2.3.0 importlib_metadata` (the second is a dependency that it forgets).

Each toolkit runs in a process of its own, by its own training loop: ours is `beamtrain train` with its loggers and
callbacks, theirs is `TrainManager.train_and_validate`. The processes take turns, a few steps at a time, back and forth
(A B C D D C B A ...), and the others sleep meanwhile. A step is everything that happens once per batch: loading it,
forward, label-smoothed loss, backward, clipping by norm, Adam, learning rate. Validation does not happen.
The speed of a toolkit is the median over its turns. Its ratio is ours in float32 divided by its own, the median over
pairs of turns of the same round; in CPU time, which on an idle machine and one thread is the time on the clock, other
programs disturb it less.

The same for both
    Sentences, segmented once into our subwords (JoeyNMT reads ids as words), and the vocabulary's size; pre-norm
    layers, their number, width, inner width and heads, biases, one embedding table for source, target and output: the
    same number of parameters. Dropout, label smoothing 0.1, Adam (0.9, 0.98), clipping at 1, schedule; threads,
    PyTorch, no other processes for loading.
    Batches: JoeyNMT's row "ours" gets exactly our batches in our order; its row "own" has its own sampler with the
    same budget of padded tokens, which puts sentences of any length together.

What differs, being how each is written
    JoeyNMT also drops attention weights and the inner feed-forward layer (`--dropout 0` takes that difference away),
    computes attention as matmul, softmax, matmul (ours: PyTorch's fused kernel), projects queries, keys and values one
    by one (ours: at once), computes logits at padding too (ours: not), compares with a dense smoothed target by KL
    divergence (ours: from log-probabilities alone), counts correct tokens for its log, and steps Adam without
    PyTorch's fused kernel. It alternates sines and cosines in its positions, and gives the smoothing mass to V - 2
    tokens (ours: V).

JoeyNMT has no bfloat16 on the CPU, so the comparison is float32 against float32; ours in bf16-mixed is one more row.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from beamtrain.base.script_parser import ScriptParser
from beamtrain.data.datamodule import TranslationData
from beamtrain.data.tokenizer import EOS, PAD

PEERS = Path(__file__).parent / "peers"
OURS = "beamtrain"
FOREVER = 10**9  # steps: a process is ended when it has had its turns


@dataclass(frozen=True)
class Recipe:
    """What both toolkits train."""

    vocab_size: int
    width: int
    heads: int
    layers: int
    dropout: float
    batch_tokens: int
    label_smoothing: float = 0.1
    learning_rate: float = 0.003
    warmup_steps: int = 1000
    max_gradient_norm: float = 1.0

    @property
    def inner_width(self) -> int:
        return 4 * self.width


class Turn(NamedTuple):
    """A few optimiser steps."""

    tokens: int  # target tokens, EOS included, padding not
    seconds: float
    cpu_seconds: float  # of all threads together
    loss: float  # summed over the tokens


def our_config(recipe: Recipe, data: dict[str, Any], folder: Path, precision: str) -> dict[str, Any]:
    """A config of `beamtrain train`."""
    return {
        "name": precision,
        "runs": str(folder),
        "score_test": False,
        "write_page": False,
        "data": data,
        "model": {
            "network": {
                "class_path": "beamtrain.model.Transformer",
                "init_args": {
                    "width": recipe.width,
                    "inner_width": recipe.inner_width,
                    "heads": recipe.heads,
                    "encoder_layers": recipe.layers,
                    "decoder_layers": recipe.layers,
                    "dropout": recipe.dropout,
                },
            },
            "objective": {
                "class_path": "beamtrain.objectives.TeacherForcing",
                "init_args": {"label_smoothing": recipe.label_smoothing},
            },
            "optimizer": {
                "class_path": "torch.optim.AdamW",
                "init_args": {
                    "lr": recipe.learning_rate,
                    "betas": [0.9, 0.98],
                    "weight_decay": 0.0,
                    "fused": True,
                },
            },
            "schedule": {
                "class_path": "beamtrain.training.InverseSquareRoot",
                "init_args": {"warmup_steps": recipe.warmup_steps},
            },
            "max_gradient_norm": recipe.max_gradient_norm,
        },
        "trainer": {
            "accelerator": "cpu",
            "precision": precision,
            "max_steps": FOREVER,
            "val_check_interval": FOREVER,
            "callbacks": [{"class_path": "beamtrain_steps.TakeTurns"}],
        },
    }


def joeynmt_config(recipe: Recipe, corpus: Path, folder: Path) -> dict[str, Any]:
    """The same as a config of JoeyNMT; `corpus` is what `write_ids` wrote."""
    side = {"level": "word", "voc_file": str(corpus / "vocabulary")}
    layers = {
        "type": "transformer",
        "num_layers": recipe.layers,
        "num_heads": recipe.heads,
        "hidden_size": recipe.width,
        "ff_size": recipe.inner_width,
        "dropout": recipe.dropout,
        "layer_norm": "pre",
        "embeddings": {"embedding_dim": recipe.width, "scale": True, "dropout": recipe.dropout},
    }
    return {
        "name": folder.name,
        "model_dir": str(folder),
        "use_cuda": False,
        "data": {
            "train": str(corpus / "train"),
            "dev": str(corpus / "dev"),
            "dataset_type": "plain",
            "src": {"lang": "source", **side},
            "trg": {"lang": "target", **side},
        },
        "testing": {"batch_size": recipe.batch_tokens, "batch_type": "token"},
        "training": {
            "loss": "crossentropy",
            "label_smoothing": recipe.label_smoothing,
            "normalization": "tokens",
            "optimizer": "adam",
            "adam_betas": [0.9, 0.98],
            "learning_rate": recipe.learning_rate / recipe.warmup_steps,  # of the first step, before the schedule acts
            "learning_rate_min": 0.0,
            "scheduling": "noam",  # factor * width^-0.5 * min(step^-0.5, step * warmup^-1.5)
            "learning_rate_factor": recipe.learning_rate * math.sqrt(recipe.width * recipe.warmup_steps),
            "learning_rate_warmup": recipe.warmup_steps,
            "clip_grad_norm": recipe.max_gradient_norm,
            "batch_size": recipe.batch_tokens,
            "batch_type": "token",
            "shuffle": True,
            "epochs": FOREVER,
            "logging_freq": 100,
            "validation_freq": 100 * FOREVER,
        },
        "model": {
            "tied_embeddings": True,
            "tied_softmax": True,
            "embed_initializer": "normal",
            "embed_init_weight": recipe.width**-0.5,
            "encoder": layers,
            "decoder": layers,
        },
    }


def write_ids(data: TranslationData, steps: int, folder: Path) -> None:
    """Write what JoeyNMT trains on: our ids as words, and as `plan.json` the batches of our first `steps` steps."""
    data.prepare_data()
    loader = data.train_dataloader()
    line_of: dict[int, int] = {}  # row of the corpus -> line
    plan: list[list[int]] = []
    with open(folder / "train.source", "w") as source_file, open(folder / "train.target", "w") as target_file:
        while len(plan) < steps:
            for batch in loader:  # an epoch
                for row, source, target in zip(
                    batch.index.tolist(), batch.source.tolist(), batch.target_out.tolist(), strict=True
                ):
                    if row not in line_of:
                        line_of[row] = len(line_of)
                        print(*words(source), file=source_file)
                        print(*words(target), file=target_file)
                plan.append([line_of[row] for row in batch.index.tolist()])
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "vocabulary").write_text("".join(f"{word}\n" for word in range(4, data.tokenizer.target.vocab_size)))
    for side in ("source", "target"):  # JoeyNMT wants a development set, though it never gets to it
        (folder / f"dev.{side}").write_text("4\n")


def words(row: list[int]) -> list[int]:
    """A row of a batch without its EOS and padding."""
    return [token for token in row if token not in (EOS, PAD)]


class Toolkit:
    """A training process, asleep until it is told to take some steps."""

    def __init__(self, name: str, precision: str, batches: str, command: Sequence[object], threads: int) -> None:
        self.name, self.precision, self.batches = name, precision, batches
        self.turns: list[Turn] = []
        variables = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **variables},
        )
        self.facts = self._answer()

    def take(self, steps: int) -> Turn:
        """Train for so many steps."""
        assert self._process.stdin is not None
        print(steps, file=self._process.stdin, flush=True)
        answer = self._answer()
        return Turn(**{field: answer[field] for field in Turn._fields})

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"{self.name} ended before its turns did:\n{self._log.read()[-4000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def start(args: argparse.Namespace, recipe: Recipe, folder: Path) -> list[Toolkit]:
    """All processes, ready for their first step; ours in float32 is the first."""
    data = {
        "source": args.data,
        "source_lang": "en",
        "target_lang": "de",
        "vocab_size": recipe.vocab_size,
        "subwords": "bpe",
        "batch_tokens": recipe.batch_tokens,
    }
    write_ids(TranslationData(**data), args.warmup + args.rounds * args.steps + 1, folder)
    toolkits: list[Toolkit] = []
    for precision, label in (("32-true", "float32"), ("bf16-mixed", "bf16-mixed")):
        config = folder / f"{precision}.yaml"
        config.write_text(yaml.safe_dump(our_config(recipe, data, folder, precision)))
        command = (sys.executable, PEERS / "beamtrain_steps.py", config)
        toolkits.append(Toolkit(OURS, label, "ours", command, args.threads))
    for batches in ("ours", "own"):
        config = folder / f"joeynmt_{batches}.yaml"
        config.write_text(yaml.safe_dump(joeynmt_config(recipe, folder, folder / f"joeynmt_{batches}")))
        plan = [folder / "plan.json"] if batches == "ours" else []
        command = (args.peer_python, PEERS / "joeynmt_steps.py", config, *plan)
        toolkits.append(Toolkit("JoeyNMT 2.3.0", "float32", batches, command, args.threads))
    return toolkits


def measure(toolkits: list[Toolkit], warmup: int, rounds: int, steps: int) -> None:
    """Let them warm up, then take turns, back and forth."""
    for toolkit in toolkits:
        toolkit.take(warmup)
    for number in range(rounds):
        for toolkit in toolkits if number % 2 == 0 else reversed(toolkits):
            toolkit.turns.append(toolkit.take(steps))


def table(toolkits: list[Toolkit]) -> str:
    """The measurement in Markdown; a ratio says how many times as fast as that row the first one is."""
    lines = [
        "| toolkit | precision | batches | parameters | target tokens/s (range) | ratio | in CPU time | last loss |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for toolkit in toolkits:
        speeds = [turn.tokens / turn.seconds for turn in toolkit.turns]
        cpu_speeds = [turn.tokens / turn.cpu_seconds for turn in toolkit.turns]
        first = toolkits[0].turns
        last = toolkit.turns[-1]
        cells = (
            toolkit.name,
            toolkit.precision,
            toolkit.batches,
            f"{toolkit.facts['parameters']:,}",
            f"{statistics.median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f})",
            f"{median_ratio([turn.tokens / turn.seconds for turn in first], speeds):.2f}",
            f"{median_ratio([turn.tokens / turn.cpu_seconds for turn in first], cpu_speeds):.2f}",
            f"{last.loss / last.tokens:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def median_ratio(speeds: list[float], others: list[float]) -> float:
    """The median over rounds of speed / other."""
    return statistics.median(speed / other for speed, other in zip(speeds, others, strict=True))


def parsed() -> argparse.Namespace:
    parser = ScriptParser(__doc__)
    parser.add_argument("--peer-python", required=True, help="the Python of JoeyNMT's environment")
    parser.add_argument("--data", default="phrasebook", help="folder with train.en, train.de, val.en and val.de")
    parser.add_argument("--vocab-size", type=int, default=6000, help="joint subwords; the phrasebook has up to 1500")
    parser.add_argument("--width", type=int, default=128, help="the inner width is four times that")
    parser.add_argument("--layers", type=int, default=4, help="of the encoder, and of the decoder")
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--batch-tokens", type=int, default=4096, help="rows x longest side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--warmup", type=int, default=3, help="steps of each before anything counts")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3, help="steps in a turn")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    recipe = Recipe(
        vocab_size=min(args.vocab_size, 1500) if args.data == "phrasebook" else args.vocab_size,
        width=args.width,
        heads=max(4, args.width // 64),
        layers=args.layers,
        dropout=args.dropout,
        batch_tokens=args.batch_tokens,
    )
    toolkits: list[Toolkit] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            toolkits = start(args, recipe, Path(folder))
            measure(toolkits, args.warmup, args.rounds, args.steps)
        finally:
            for toolkit in toolkits:
                toolkit.end()
    print(f"{recipe}\n{args.threads} thread(s), PyTorch {' and '.join({t.facts['torch'] for t in toolkits})}, ", end="")
    print(f"{args.rounds} rounds of {args.steps} steps each after {args.warmup} of warm-up\n")
    print(table(toolkits))


if __name__ == "__main__":
    main()
