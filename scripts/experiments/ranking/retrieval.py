"""kNN-MT with a learned metric: the next token also from the nearest decoder states of a domain's training text.

    python scripts/experiments/ranking/retrieval.py --run runs/NAME --source FOLDER

The run was trained on another domain; FOLDER has train.en.gz, train.de.gz, validation.* and test.*. As in Khandelwal et
al. 2021, the decoder outputs of training pairs are kept with the token that follows, and

    p(y) = share * p_kNN(y) + (1 - share) * p_model(y),    p_kNN(y) ~ sum over the k nearest with token y of
                                                                     exp(-distance^2 / temperature)

"kNN-MT" measures distances as they are, scaled to a mean of 1. "learned, SOFT" measures them after a linear map trained
through SOFT: kept states look for their k nearest among the 64 that are nearest as distances are, and -log p of the
right token, with the label mass in the place of p_kNN, is minimised; "learned, SOFT by distance" weighs the members by
exp(-distance^2 / temperature) as p_kNN does; "learned, softmax" has these weights without membership, over the 64.
Share and temperature are chosen by the perplexity of the development set. Deviations from the paper: exact search,
decoder outputs instead of the input of the last feed-forward layer.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import arguments
import torch
from cached import Cells, digest, spread, table
from plots import Points, save_plot
from torch import Tensor, nn

from beamtrain.base.errors import UserError
from beamtrain.base.memory import keep_what_pays
from beamtrain.commands.options import load_named_run
from beamtrain.data.batch import Batch, pad
from beamtrain.data.tokenizer import EOS, Tokenizer
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.model.state import DecoderState
from beamtrain.ranking import membership, squared_distances
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.scoring.evaluation import evaluate
from beamtrain.search.options import SearchOptions
from beamtrain.topk import SoftTopK

LANGUAGES = ["en", "de"]
K = 16
SHARES, TEMPERATURES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [0.03, 0.1, 0.3, 1.0]
LONGEST = 100
STEPS, QUERIES, CANDIDATES, RATE, SOFTNESS = 300, 128, 64, 1e-3, 0.03


def members(scores: Tensor) -> Tensor:
    """(Q, N) -> (Q, N): 1 / k for each of the k nearest."""
    return membership(scores, K, SoftTopK(SOFTNESS, sorted=False)) / K


def members_by_distance(scores: Tensor) -> Tensor:
    """(Q, N) -> (Q, N): the softmax of the k nearest."""
    weights = members(scores) * by_distance(scores)
    return weights / weights.sum(-1, keepdim=True)


def by_distance(scores: Tensor) -> Tensor:
    """(Q, N) -> (Q, N): the softmax of all."""
    return (scores / SOFTNESS).softmax(-1)


LEARNED = {
    "learned, SOFT": members,
    "learned, SOFT by distance": members_by_distance,
    "learned, softmax": by_distance,
}
METHODS = ["without", "kNN-MT", *LEARNED]


class States(NamedTuple):
    """Decoder outputs (N, D), the tokens (N,) that follow them, and log p (N,) that the network gives these."""

    outputs: Tensor
    tokens: Tensor
    log_probs: Tensor


class Retrieving(Seq2Seq):
    """A network whose next-token distribution is mixed with that of the nearest states."""

    def __init__(self, network: Seq2Seq, states: States, metric: nn.Module, share: float, temperature: float) -> None:
        super().__init__()
        self.network, self.states, self.metric = network, states, metric
        self.share, self.temperature, self.vocab_size = share, temperature, network.vocab_size
        with torch.no_grad():
            self.keys = metric(states.outputs)  # (N, features)

    def encode(self, source: Tensor) -> Memory:
        return self.network.encode(source)

    def decode(self, memory: Memory, target_in: Tensor) -> Tensor:
        return self.network.decode(memory, target_in)

    def start(self, memory: Memory, beams: int) -> DecoderState:
        return self.network.start(memory, beams)

    def step(self, inputs: Tensor, state: DecoderState) -> Tensor:
        return self.network.step(inputs, state)

    def logits(self, hidden: Tensor) -> Tensor:
        log_probs = self.network.logits(hidden).log_softmax(-1)
        flat = self.metric(hidden.flatten(0, -2))  # (..., D) -> (Q, features)
        distances, tokens = nearest(flat, self.keys, self.states.tokens)
        weights = (-distances / self.temperature).softmax(-1)  # (Q, k)
        found = torch.zeros(len(flat), self.vocab_size).scatter_add_(-1, tokens, weights).view_as(log_probs)
        return torch.log(self.share * found + (1 - self.share) * log_probs.exp())


def nearest(queries: Tensor, keys: Tensor, tokens: Tensor, block: int = 200) -> tuple[Tensor, Tensor]:
    """Squared distances and tokens (Q, k) of the k nearest keys."""
    parts = [squared_distances(part, keys).topk(K, largest=False) for part in queries.split(block)]
    return torch.cat([part.values for part in parts]), tokens[torch.cat([part.indices for part in parts])]


class Metric(nn.Module):
    """(..., D) -> (..., D): at first only scaled, so that random states lie at a mean squared distance of 1."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.scale = outputs.var(0).sum().mul(2).rsqrt().item()
        self.map = nn.Parameter(torch.eye(outputs.shape[-1]))

    def forward(self, outputs: Tensor) -> Tensor:
        return outputs @ self.map * self.scale


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True, help="the folder of the other domain")
    parser.add_argument("--languages", nargs=2, default=LANGUAGES)
    parser.add_argument("--pairs", type=arguments.whole(1), default=20_000, help="training pairs whose states are kept")
    parser.add_argument("--test", type=arguments.whole(1), default=500, help="test pairs")
    parser.add_argument("--beam", type=arguments.whole(1), default=4)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    options = parser.parse_args()
    cells = Cells(options.out / "retrieval.jsonl")
    read = {split: pairs(options.source, split, options.languages) for split in ("train", "validation", "test")}
    run = load_named_run(options.run, "cpu", "fp32")
    what = f"{options.run.name} on {options.source.name}, {'-'.join(options.languages)}"
    cells.belong_to(digest(*run.network.parameters(), repr(read)), what)
    known = collected(run.network, run.tokenizer, read["train"][: options.pairs])
    check_enough(known, options.pairs)
    tuning = collected(run.network, run.tokenizer, read["validation"][:200])
    test = read["test"][: options.test]
    for seed in options.seeds:
        for name in options.methods:
            if seed != options.seeds[0] and name not in LEARNED:
                continue  # nothing random
            settings = {"method": name, "seed": seed, "run": options.run.name, "source": options.source.name}
            if options.languages != LANGUAGES:
                settings["languages"] = "-".join(options.languages)
            cells.run(
                settings | {"pairs": options.pairs, "test": options.test, "beam": options.beam},
                partial(measured, name, seed, run.network, run.tokenizer, known, tuning, test, options.beam),
            )
    print(report(cells))
    plot(cells, options.pictures / "retrieval.png")


def pairs(folder: Path, split: str, languages: list[str]) -> list[tuple[str, str]]:
    """Source and target lines. Raises UserError for files that are broken, or two that do not belong together."""
    lines = []
    for language in languages:
        path = folder / f"{split}.{language}.gz"
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                lines.append(file.read().removesuffix("\n").split("\n"))
        except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise UserError(f"{path}: not lines of UTF-8 packed by gzip: {error}") from error
    if not 0 < len(lines[0]) == len(lines[1]):
        files = " and ".join(f"{split}.{language}.gz" for language in languages)
        raise UserError(f"--source {folder}: {files} have {len(lines[0]):,} and {len(lines[1]):,} lines")
    return list(zip(*lines, strict=True))


@torch.no_grad()
def collected(network: Seq2Seq, tokenizer: Tokenizer, text: list[tuple[str, str]]) -> States:
    """The states of all target tokens of some pairs. Raises UserError where none is short enough."""
    parts = []
    for batch in batches(tokenizer, text):
        outputs = batch.at_targets(network.decode(network.encode(batch.source), batch.target_in))  # (N, D)
        tokens = batch.at_targets(batch.target_out)
        log_probs = network.logits(outputs).log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        parts.append(States(outputs, tokens, log_probs))
    if not parts:
        raise UserError(f"none of {len(text):,} pairs has 1 to {LONGEST} tokens on each side; give others by --source")
    return States(*(torch.cat(column) for column in zip(*parts, strict=True)))


def check_enough(known: States, pairs: int) -> None:
    """Raise UserError unless a state has as many others as a metric chooses among."""
    if len(known.tokens) <= CANDIDATES:
        raise UserError(
            f"--pairs {pairs}: they have {len(known.tokens)} states, and more than {CANDIDATES} are needed; give more"
        )


def batches(tokenizer: Tokenizer, text: list[tuple[str, str]], most: int = 64) -> Iterator[Batch]:
    """Pairs of like length together; those of more than LONGEST tokens on a side are left out."""
    sides = zip(
        tokenizer.source.encode([source for source, _ in text]),
        tokenizer.target.encode([target for _, target in text]),
        strict=True,
    )
    kept = sorted((pair for pair in sides if 0 < max(map(len, pair)) <= LONGEST), key=lambda pair: len(pair[1]))
    for begin in range(0, len(kept), most):
        source, target = (pad([[*ids, EOS] for ids in side]) for side in zip(*kept[begin : begin + most], strict=True))
        yield Batch.of_pairs(source, target, torch.arange(len(source)))


def measured(
    name: str,
    seed: int,
    network: Seq2Seq,
    tokenizer: Tokenizer,
    known: States,
    tuning: States,
    test: list[tuple[str, str]],
    beam: int,
) -> dict[str, float]:
    """Perplexity of the development set and BLEU of the test set."""
    torch.manual_seed(seed)
    share, temperature, log_probs, used = 0.0, 1.0, tuning.log_probs, network
    if name != "without":
        metric = learned(known, LEARNED[name], seed) if name in LEARNED else Metric(known.outputs)
        share, temperature, log_probs = tuned(metric, known, tuning)
        used = Retrieving(network, known, metric, share, temperature)
    search = SearchOptions(beam_size=beam)
    sources, references = ([pair[side] for pair in test] for side in (0, 1))
    scoring = ScoringOptions()
    with torch.no_grad():
        found = evaluate(used, tokenizer, search, sources, references, data="test", checkpoint="", scoring=scoring)
    return {
        "perplexity": round(torch.exp(-log_probs.mean()).item(), 3),
        "BLEU": round(found.scores.bleu.value, 2),
        "share": share,
        "temperature": temperature,
    }


def learned(
    known: States, weights_of: Callable[[Tensor], Tensor], seed: int, steps: int = STEPS, rate: float = RATE
) -> Metric:
    """The metric by which the nearest states, weighing as much as `weights_of` says, tell most of the next token."""
    metric = Metric(known.outputs)
    with torch.no_grad():
        keys = metric(known.outputs)  # (N, D) as distances are
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(metric.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        queries = torch.randint(len(known.tokens), (QUERIES,), generator=generator)
        distances = squared_distances(keys[queries], keys)
        distances.scatter_(-1, queries.unsqueeze(-1), torch.inf)  # a state does not find itself
        near = distances.topk(CANDIDATES, largest=False).indices  # (Q, M)
        ours, theirs = metric(known.outputs[queries]).unsqueeze(1), metric(known.outputs[near])  # (Q, 1, D), (Q, M, D)
        scores = -squared_distances(ours, theirs).squeeze(1)
        right = (weights_of(scores) * (known.tokens[queries].unsqueeze(-1) == known.tokens[near])).sum(-1)
        loss = -torch.log(0.5 * right + 0.5 * known.log_probs[queries].exp()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return metric.requires_grad_(False)


@torch.no_grad()
def tuned(metric: Metric, known: States, tuning: States) -> tuple[float, float, Tensor]:
    """Share and temperature of the least perplexity, and log p (N,) of the right tokens with them."""
    distances, tokens = nearest(metric(tuning.outputs), metric(known.outputs), known.tokens)
    right = tokens == tuning.tokens.unsqueeze(-1)
    best = (0.0, 1.0, tuning.log_probs)
    for temperature in TEMPERATURES:
        found = ((-distances / temperature).softmax(-1) * right).sum(-1)
        for share in SHARES:
            log_probs = torch.log(share * found + (1 - share) * tuning.log_probs.exp())
            if log_probs.mean() > best[2].mean():
                best = (share, temperature, log_probs)
    return best


def setups(cells: Cells) -> list[dict[str, Any]]:
    """What the finished cells differ in besides method and seed."""
    alike = [{k: v for k, v in settings.items() if k not in ("method", "seed")} for settings, _ in cells.finished]
    return [each for number, each in enumerate(alike) if each not in alike[:number]]


def results_of(cells: Cells, name: str, setup: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of all seeds."""
    return cells.results(method=name, **({"languages": None} | setup))


def report(cells: Cells) -> str:
    rows = []
    for setup in setups(cells):
        for name in METHODS:
            if mine := results_of(cells, name, setup):
                figures = (spread((result[key] for result in mine), 2) for key in ("BLEU", "perplexity", "share"))
                seconds = spread((result["cpu_seconds"] for result in mine), 0)
                rows.append([name, f"{setup['pairs']:,}", f"{setup['test']:,}", *figures, seconds])
    head = ["method", "pairs kept", "test pairs", "BLEU", "perplexity of the development set", "share", "CPU seconds"]
    return table(head, rows)


def plot(cells: Cells, path: Path) -> None:
    """BLEU against perplexity, one point for each seed."""
    panels: dict[str, dict[str, Points]] = {}
    for setup in setups(cells):
        points: dict[str, Points] = {}
        for name in METHODS:
            mine = results_of(cells, name, setup)
            points[name] = [result["perplexity"] for result in mine], [result["BLEU"] for result in mine]
        panels[f"{setup['run']} on {setup['source']}, {setup['pairs']:,} pairs kept"] = points
    save_plot(path, panels, "perplexity of the development set", "BLEU of the test set", "o")


if __name__ == "__main__":
    keep_what_pays()
    arguments.run(main)
