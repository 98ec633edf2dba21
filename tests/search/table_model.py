"""Models whose probabilities are written down, and two slow witnesses of what a search over them must find."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy
import torch
from torch import Tensor

from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.model.state import DecoderState

Prefix = tuple[int, ...]
Probabilities = Callable[[int, Prefix], Sequence[float]]  # first source token, target so far -> (V,)


class TableState(DecoderState):
    """The target so far of every beam."""

    def __init__(self, first_tokens: list[int], beams: int, width: int) -> None:
        self.first_tokens, self.width, self.length = first_tokens, width, 0
        self.prefixes: list[list[Prefix]] = [[()] * beams for _ in first_tokens]

    def reorder(self, parents: Tensor) -> None:
        self.prefixes = [
            [row[parent] for parent in chosen] for row, chosen in zip(self.prefixes, parents.tolist(), strict=True)
        ]

    def keep(self, rows: Tensor) -> None:
        self.first_tokens = [self.first_tokens[row] for row in rows]
        self.prefixes = [self.prefixes[row] for row in rows]


class TableModel(Seq2Seq):
    """A model whose next-token probabilities are a function of the first source token and the target so far.

    In float64, so that rounding does not decide between two sentences that score nearly alike.
    """

    def __init__(self, probabilities: Probabilities, vocab_size: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.dtype = dtype
        self.probabilities, self.vocab_size, self.steps = probabilities, vocab_size, 0

    def encode(self, source: Tensor) -> Memory:
        return Memory(source.unsqueeze(-1).float(), source != PAD)

    def decode(self, memory: Memory, target_in: Tensor) -> Tensor:
        return torch.tensor(
            [
                [self._log_probs(int(first), tuple(row[1 : t + 1])) for t in range(len(row))]
                for first, row in zip(memory.states[:, 0, 0], target_in.tolist(), strict=True)
            ],
            dtype=self.dtype,
        )

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden + 3.0  # not normalised

    def start(self, memory: Memory, beams: int) -> TableState:
        return TableState(memory.states[:, 0, 0].long().tolist(), beams, memory.mask.size(1))

    def step(self, inputs: Tensor, state: DecoderState) -> Tensor:
        assert isinstance(state, TableState)
        self.steps += 1
        state.length += 1
        rows = []
        for first, prefixes, tokens in zip(state.first_tokens, state.prefixes, inputs.tolist(), strict=True):
            for slot, token in enumerate(tokens):
                prefixes[slot] = (*prefixes[slot], token)
            assert all(prefix[0] == BOS for prefix in prefixes)
            rows.append([self._log_probs(first, prefix[1:]) for prefix in prefixes])
        return torch.tensor(rows, dtype=self.dtype)

    def _log_probs(self, first: int, prefix: Prefix) -> list[float]:
        return [math.log(p) if p > 0 else -math.inf for p in self.probabilities(first, prefix)]


def random_table(seed: int, vocab_size: int, concentration: float = 0.5) -> TableModel:
    """Dirichlet probabilities, drawn anew for every prefix; PAD and BOS get their share too."""

    @cache
    def probabilities(first: int, prefix: Prefix) -> tuple[float, ...]:
        generator = numpy.random.default_rng([seed, first, *prefix])
        return tuple(generator.dirichlet([concentration] * vocab_size) + 1e-4 * generator.random(vocab_size))

    return TableModel(probabilities, vocab_size)


def moody_table(seed: int, vocab_size: int) -> TableModel:
    """Some prefixes nearly never end, some nearly always; some go on one way, some in every way."""

    @cache
    def probabilities(first: int, prefix: Prefix) -> tuple[float, ...]:
        generator = numpy.random.default_rng([seed, first, *prefix])
        end = generator.choice([0.001, 0.02, 0.2, 0.9])
        others = generator.dirichlet([generator.choice([0.05, 3.0])] * (vocab_size - 3))
        others += 1e-4 * generator.random(vocab_size - 3)  # none so small that two sentences score alike
        return (0.0, 0.0, end, *(others * (1 - end)))

    return TableModel(probabilities, vocab_size)


def log_prob(model: TableModel, first: int, sentence: Sequence[int]) -> float:
    """The model's log-probability of a whole sentence, EOS included."""
    total = 0.0
    for t, token in enumerate(sentence):
        row = model.probabilities(first, tuple(sentence[:t]))
        total += math.log(row[token] / sum(row)) if row[token] else -math.inf
    return total


def penalty(length: int, kind: str, alpha: float) -> float:
    """lp(length) in float32, the precision in which a search compares scores."""
    base = {"none": 1.0, "average": length, "gnmt": (5 + length) / 6}[kind]
    return float(numpy.float32(base**alpha))


def all_sentences(vocab_size: int, limit: int) -> Iterator[Prefix]:
    """Every sentence of at most `limit` tokens, EOS included."""

    def extend(prefix: Prefix) -> Iterator[Prefix]:
        yield (*prefix, EOS)
        if len(prefix) + 1 < limit:
            for token in range(EOS + 1, vocab_size):
                yield from extend((*prefix, token))

    return extend(())


Allowed = Callable[[Prefix], Sequence[int]]  # the tokens that may follow a prefix


def naive_beam_search(
    model: TableModel, first: int, beam_size: int, limit: int, kind: str, alpha: float, allowed: Allowed | None = None
) -> list[tuple[Prefix, float, float]]:
    """Beam search one candidate at a time, run to the very end: (sentence, score, log_prob), best first."""
    beam: list[tuple[float, Prefix]] = [(0.0, ())]
    for t in range(limit):
        candidates = []
        for score, prefix in beam:
            if prefix and prefix[-1] == EOS:
                candidates.append((score, prefix))
                continue
            free = allowed(prefix) if allowed else [EOS, *range(EOS + 1, model.vocab_size)]
            for token in [EOS] if t + 1 == limit else free:
                row = model.probabilities(first, prefix)
                if row[token] > 0:
                    candidates.append((score + math.log(row[token] / sum(row)), (*prefix, token)))
        beam = sorted(candidates, key=lambda candidate: -candidate[0])[:beam_size]
    scored = [(prefix, score / penalty(len(prefix), kind, alpha), score) for score, prefix in beam]
    return sorted(scored, key=lambda entry: -entry[1])
