"""How much of the gradient through choices is signal: of one run, on sentences of several lengths.

    python scripts/experiments/choice_gradient.py RUN --text FOLDER

The recipe's loss, 1 - expected GLEU, is differentiated with a hard selection and with a straight-through one; what the
second has more is the gradient through choices. Both are taken on two halves of the sentences: how large they are, how
alike they point, how alike on either half (1: all signal, 0: all noise), and by how much the expected GLEU of the hard
search (in %) rises on the first half and on the second, when the weights move by --step along the first half's.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from command_line import positive, positive_real, run_script
from corpora import lines_of
from figures import header, row
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from beamtrain.base.memory import keep_what_pays
from beamtrain.base.script_parser import ScriptParser
from beamtrain.data.batch import Batch, pad
from beamtrain.data.tokenizer import EOS, Tokenizer
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives import BeamTraining, ExpectedReward
from beamtrain.runs.loading import load_run
from beamtrain.search.unroll.options import UnrollOptions

BUCKETS = [(1, 9), (10, 19), (20, 60)]  # words of a source sentence
AT_ONCE, LONGEST = 64, 100  # sentences in a batch, tokens of a side

Pair = tuple[str, str]


def main() -> None:
    parser = ScriptParser(__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--text", type=Path, required=True, help="the folder with train.LANGUAGE.gz")
    parser.add_argument("--languages", nargs=2, default=["en", "de"])
    parser.add_argument("--sentences", type=positive, default=256, help="of a half")
    parser.add_argument("--step", type=positive_real, default=0.1, help="2-norm of the change of the weights")
    options = parser.parse_args()
    run = load_run(options.run)
    network = run.network.eval().requires_grad_(True)
    columns = ["words", "norm: hard", "choices", "cosine", "either half: hard", "choices", "GLEU"]
    columns += [f"a step: {name}, {half}" for name in ("hard", "choices") for half in ("first half", "second")]
    print(header(*columns))
    for bucket, pairs in drawn(options.text, options.languages, 2 * options.sentences).items():
        words = f"{bucket[0]} to {bucket[1]}"
        if len(pairs) == 2 * options.sentences:
            halves = [batches(run.tokenizer, pairs[part::2]) for part in (0, 1)]
            print(row(words, *measured(network, halves, options.step)), flush=True)
        else:
            print(row(f"{words}: {len(pairs)} pairs, left out", *[""] * (len(columns) - 1)))


def drawn(folder: Path, languages: list[str], count: int) -> dict[tuple[int, int], list[Pair]]:
    """So many training pairs of each length, at random."""
    sides = [lines_of(folder / f"train.{language}.gz") for language in languages]
    found: dict[tuple[int, int], list[Pair]] = {bucket: [] for bucket in BUCKETS}
    for place in torch.randperm(len(sides[0]), generator=torch.Generator().manual_seed(0)).tolist():
        words = len(sides[0][place].split())
        for (least, most), pairs in found.items():
            if least <= words <= most and len(pairs) < count:
                pairs.append((sides[0][place], sides[1][place]))
    return found


def batches(tokenizer: Tokenizer, pairs: list[Pair]) -> list[Batch]:
    """Pairs of like length together."""
    sources, targets = zip(*pairs, strict=True)
    encoded = zip(tokenizer.source.encode(list(sources)), tokenizer.target.encode(list(targets)), strict=True)
    kept = sorted((pair for pair in encoded if 0 < max(map(len, pair)) <= LONGEST), key=lambda pair: len(pair[1]))
    parts = [kept[begin : begin + AT_ONCE] for begin in range(0, len(kept), AT_ONCE)]
    padded = [[pad([[*ids, EOS] for ids in side]) for side in zip(*part, strict=True)] for part in parts]
    return [Batch.of_pairs(source, target, torch.arange(len(source))) for source, target in padded]


def measured(network: Seq2Seq, halves: list[list[Batch]], step: float) -> list[str]:
    """The figures of one row."""
    parameters = list(network.parameters())
    hard = BeamTraining(ExpectedReward(), unroll=UnrollOptions(selection="hard"))
    through = BeamTraining(ExpectedReward(), unroll=UnrollOptions())
    scores, both = ([gradient(each, network, parameters, half) for half in halves] for each in (hard, through))
    choices = [whole - part for whole, part in zip(both, scores, strict=True)]
    start = parameters_to_vector(parameters).detach().clone()
    before = [expected_gleu(hard, network, half) for half in halves]
    gains = []
    for direction in (scores[0], choices[0]):
        vector_to_parameters(start - step * direction / direction.norm(), parameters)
        gains += [expected_gleu(hard, network, half) - was for half, was in zip(halves, before, strict=True)]
    vector_to_parameters(start, parameters)
    return [
        f"{scores[0].norm():.3f}",
        f"{choices[0].norm():.3f}",
        *(f"{cosine_similarity(a, b, dim=0):.2f}" for a, b in ((scores[0], choices[0]), scores, choices)),
        f"{sum(before) / 2:.1f}",
        *(f"{gain:+.2f}" for gain in gains),
    ]


def gradient(
    objective: BeamTraining, network: Seq2Seq, parameters: list[nn.Parameter], half: Iterable[Batch]
) -> Tensor:
    """Of the mean loss over the sentences, as one vector."""
    total, sentences = torch.zeros(sum(each.numel() for each in parameters)), 0
    for batch in half:
        mean, _ = objective.part(network, batch)
        found = torch.autograd.grad(mean * len(batch.source), parameters, allow_unused=True)
        total += parameters_to_vector(
            [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
        )
        sentences += len(batch.source)
    return total / sentences


@torch.no_grad()
def expected_gleu(objective: BeamTraining, network: Seq2Seq, half: Iterable[Batch]) -> float:
    """Of the hard search's beams, in %."""
    total, sentences = 0.0, 0
    for batch in half:
        total += (1 - objective.part(network, batch)[0].item()) * len(batch.source)
        sentences += len(batch.source)
    return 100 * total / sentences


if __name__ == "__main__":
    torch.set_num_threads(1)
    keep_what_pays()
    run_script(main)
