"""Which parameters a loss teaches something: of one run, the gradient's signal and noise by kind of parameter.

    python scripts/experiments/gradient_noise.py RUN --text FOLDER

The gradient is taken on two halves of training sentences drawn at random. Their dot product is the square of what both
have in common, the signal, without bias; what either has more is noise of its sentences. For each kind of parameter:
how many they are, their share of the squared gradient and of the squared signal, the signal's norm, and how alike the
halves are (cosine: 1, all signal; 0, all noise).
"""

from collections.abc import Callable
from pathlib import Path

import torch
from choice_gradient import batches, gradient
from command_line import positive, run_script
from corpora import lines_of
from figures import header, row
from torch import Tensor, nn

from beamtrain.base.errors import UserError
from beamtrain.base.memory import keep_what_pays
from beamtrain.base.script_parser import ScriptParser
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives import BeamTraining, ExpectedReward, MinimumRisk
from beamtrain.runs.loading import load_run
from beamtrain.search.unroll.options import UnrollOptions

KINDS = ["norms", "biases", "embeddings", "matrices of the encoder", "matrices of the decoder"]
LOSSES: dict[str, Callable[[], BeamTraining]] = {
    "minimum risk": lambda: BeamTraining(MinimumRisk(sharpness=0.3), unroll=UnrollOptions(selection="hard")),
    "GLEU": lambda: BeamTraining(ExpectedReward()),  # straight-through
}


def main() -> None:
    parser = ScriptParser(__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--text", type=Path, required=True, help="the folder with train.LANGUAGE.gz")
    parser.add_argument("--languages", nargs=2, default=["en", "de"])
    parser.add_argument("--sentences", type=positive, default=2048, help="of a half")
    parser.add_argument("--loss", choices=LOSSES, default="minimum risk")
    options = parser.parse_args()
    run = load_run(options.run)
    network = run.network.eval().requires_grad_(True)
    pairs = drawn(options.text, options.languages, 2 * options.sentences)
    halves = [batches(run.tokenizer, pairs[part::2]) for part in (0, 1)]
    objective, parameters = LOSSES[options.loss](), list(network.parameters())
    first, second = (gradient(objective, network, parameters, half) for half in halves)
    print(header("parameters", "million", "of the squared gradient", "of the signal", "norm of it", "alike"))
    for kind, chosen in kinds(network).items():
        print(row(kind, *shares(first, second, chosen)))


def drawn(folder: Path, languages: list[str], count: int) -> list[tuple[str, str]]:
    """So many training pairs, at random. Raises UserError where there are fewer."""
    sources, targets = (lines_of(folder / f"train.{language}.gz") for language in languages)
    if len(sources) < count:
        raise UserError(f"{folder}: {len(sources):,} training pairs, but two halves are {count:,}: lower --sentences")
    chosen = torch.randperm(len(sources), generator=torch.Generator().manual_seed(5))[:count].tolist()
    return [(sources[place], targets[place]) for place in chosen]


def kinds(network: Seq2Seq) -> dict[str, Tensor]:
    """Where the parameters of each kind are in the vector of all."""
    names, sizes = zip(*((name, each.numel()) for name, each in network.named_parameters()), strict=True)
    kind_of = torch.tensor([KINDS.index(kind(name, network)) for name in names]).repeat_interleave(torch.tensor(sizes))
    found = {name: kind_of == number for number, name in enumerate(KINDS)}
    return {"all": torch.ones_like(kind_of, dtype=torch.bool)} | {name: at for name, at in found.items() if at.any()}


def kind(name: str, network: Seq2Seq) -> str:
    module = network.get_submodule(name.rpartition(".")[0])
    if isinstance(module, nn.LayerNorm):
        return "norms"
    if "bias" in name:
        return "biases"
    if isinstance(module, nn.Embedding):
        return "embeddings"
    return f"matrices of the {name.partition('.')[0].partition('_')[0]}"


def shares(first: Tensor, second: Tensor, chosen: Tensor) -> list[str]:
    """The figures of one row."""
    one, other = first[chosen], second[chosen]
    squares = (first.square() + second.square()) / 2
    return [
        f"{int(chosen.sum()) / 1e6:.3f}",
        f"{squares[chosen].sum() / squares.sum():.2f}",
        f"{one @ other / (first @ second):.2f}",
        f"{(one @ other).relu().sqrt():.4f}",
        f"{one @ other / (one.norm() * other.norm()):.3f}",
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    keep_what_pays()
    run_script(main)
