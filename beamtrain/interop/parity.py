"""Whether another engine does what our network does: the table that ends an import or an export."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.base.inference_sizes import MAX_SOURCE_TOKENS
from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import BOS, EOS, Tokenizer
from beamtrain.model.base import Seq2Seq
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions

TOLERANCE = 1e-4
"""Nats by which a token's log-probability in float32 may differ."""
ANOTHER_BEAM = "a hypothesis that has ended keeps its slot in our beam; there it leaves it to the next open one"
ONE_LIMIT = "how long a translation may get follows from its source here (max_length_ratio, max_length_offset)"
FORCED = "what is forced there is free: the first token, and an end at the last position; here it has its probability"
Rows = Sequence[Sequence[int]]
BATCH = 32  # sentences
LINES = (
    "Hello.",
    "Thank you very much for your help!",
    "Two young men are outside near many bushes.",
    "The train to Vienna leaves at half past seven, doesn't it?",
    "A little girl in a pink dress climbs into a wooden playhouse.",
    "He paid 1,250.75 euros on 3 April 2024 (plus 19% tax).",
    "“Where”, she asked, “have you been all day?”",
    "Please send an e-mail to info@example.org or call +49 30 1234567.",
    "It was not until the middle of the following year that the committee, which had met only twice, reported.",
    "  Several   spaces, and a tab\tin the middle  ",
    "Zwei junge Männer sind im Freien in der Nähe vieler Büsche.",
    "Könnten Sie bitte das Fenster öffnen?",
    "Une petite fille grimpe dans une maisonnette en bois.",
    "¿Dónde está la biblioteca más cercana?",
    "Здравствуйте, как у вас дела?",
    "今天天气很好，我们去公园吧。",
    "ＡＢＣ ﬁve ½ №7 ☃ 🙂 \u200b x\u0301",
    "</s> <unk> [MASK] \\n & < >",
    "a",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG",
)
"""What is compared unless the user gives lines: of several languages, with signs and characters that no model knows."""


class Counterpart(Protocol):
    """Another engine, for the network of a run. Tokens are those of the run; sources end in EOS, targets do not."""

    name: str

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        """The sources that it makes of lines itself."""

    def search(self, sources: Sequence[Sequence[int]], options: SearchOptions) -> list[list[int]]:
        """The best translation of each source; all sources have the same number of tokens."""

    def log_probs(self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> list[list[float]]:
        """The log-probability of each token of the targets and, last, of EOS."""


@dataclass(frozen=True)
class Parity:
    """How far a counterpart agrees on some lines, with their numbers, from 1."""

    name: str
    exact: bool
    """Whether it computes in float32, so that it must agree."""
    lines: int
    subwords: list[int]
    """Lines that it cuts into other subwords."""
    greedy: list[int]
    """Lines that it translates otherwise by greedy search."""
    deviation: float
    """The greatest difference of a token's log-probability, in nats."""
    beam_size: int
    beam: list[int]
    """Lines that it translates otherwise by beam search."""
    unlike: list[str] = field(default_factory=list)
    """What it cannot reproduce of how we search."""

    @property
    def holds(self) -> bool:
        """Whether it does what our network does, to rounding; of number formats below float32 nothing is asked."""
        return not self.exact or not (self.subwords or self.greedy or self.deviation > TOLERANCE)

    def rows(self) -> list[tuple[str, str, str]]:
        """What was compared, what came out, what is asked."""
        asked = "identical" if self.exact else ""
        return [
            ("subwords", self._same(self.subwords), "identical"),
            ("greedy translations", self._same(self.greedy), asked),
            ("log-probability of a token", f"within {self.deviation:.1e}", f"within {TOLERANCE:.0e}" if asked else ""),
            (f"translations with beam {self.beam_size}", self._same(self.beam), ""),
        ]

    def _same(self, differing: list[int]) -> str:
        if not differing:
            return f"all {self.lines} identical"
        first = ", ".join(map(str, differing[:3])) + (", ..." if len(differing) > 3 else "")
        return f"{len(differing)} of {self.lines} differ ({len(differing) / self.lines:.1%}; line {first})"


def compare(
    network: Seq2Seq,
    tokenizer: Tokenizer,
    search: SearchOptions,
    counterpart: Counterpart,
    lines: Iterable[str] = LINES,
    *,
    exact: bool = True,
    unlike: Sequence[str] = (),
) -> Parity:
    """Translate the lines with the network and with its counterpart: greedily, and as `search` says.

    Lines without subwords, and those of more than `MAX_SOURCE_TOKENS` or than the network has positions for, are left
    out: no engine gets them.
    """
    lines = list(lines)
    sources = comparable(network, tokenizer, lines)
    theirs = counterpart.tokenize([lines[number - 1] for number in sources])
    subwords = [number for number, their in zip(sources, theirs, strict=True) if sources[number] != their]
    greedy = replace(search, beam_size=1, n_best=1, length_penalty="none", no_repeat_ngram=0, min_length=0)
    differing: dict[SearchOptions, list[int]] = {greedy: [], replace(search, n_best=1): []}
    deviation = 0.0
    for numbers in _batches(sources):
        batch = [sources[number] for number in numbers]
        for options, found in differing.items():
            ours = [hypotheses[0].tokens for hypotheses in beam_search(network, pad(batch), options)]
            other = counterpart.search(batch, options)
            found += [number for number, one, two in zip(numbers, ours, other, strict=True) if one != two]
            if options is greedy:
                deviation = max(deviation, _deviation(network, counterpart, batch, ours))
    one_by_one, by_beam = map(sorted, differing.values())
    return Parity(
        counterpart.name, exact, len(sources), subwords, one_by_one, deviation, search.beam_size, by_beam, [*unlike]
    )


def comparable(network: Seq2Seq, tokenizer: Tokenizer, lines: Iterable[str]) -> dict[int, list[int]]:
    """The sources of the lines, with their numbers from 1, that an engine gets.

    Raises:
        UserError: there are none.
    """
    numbered = {number: line for number, line in enumerate(lines, start=1) if line.strip()}
    encoded = zip(numbered, tokenizer.source.encode(list(numbered.values())), strict=True)
    most = MAX_SOURCE_TOKENS if network.max_positions is None else min(MAX_SOURCE_TOKENS, network.max_positions - 1)
    sources = {number: [*source, EOS] for number, source in encoded if 0 < len(source) <= most}
    if not sources:
        raise UserError("there is nothing to compare: no line has a subword; give other lines by --check")
    return sources


def _batches(sources: dict[int, list[int]]) -> Iterable[list[int]]:
    """Lines of the same number of tokens, which may have translations of the same length."""
    by_length = defaultdict(list)
    for number, source in sources.items():
        by_length[len(source)].append(number)
    for numbers in by_length.values():
        for start in range(0, len(numbers), BATCH):
            yield numbers[start : start + BATCH]


def _deviation(network: Seq2Seq, counterpart: Counterpart, sources: list[list[int]], targets: list[list[int]]) -> float:
    ours, theirs = log_probs(network, sources, targets), counterpart.log_probs(sources, targets)
    return max(
        abs(one - two) for row, other in zip(ours, theirs, strict=True) for one, two in zip(row, other, strict=True)
    )


@torch.no_grad()
def log_probs(network: Seq2Seq, sources: Rows, targets: Rows) -> list[list[float]]:
    """Our log-probability of each token of the targets and, last, of EOS."""
    target_in = pad([[BOS, *target] for target in targets])  # (B, T)
    logits = network.logits(network.decode(network.encode(pad(sources)), target_in))  # (B, T, V)
    return of_tokens(logits, targets)


def of_tokens(logits: Tensor, targets: Sequence[Sequence[int]]) -> list[list[float]]:
    """The log-probability of each token of the targets and, last, of EOS, from the logits (B, T, V)."""
    target_out = pad([[*target, EOS] for target in targets])  # (B, T)
    chosen = logits.float().log_softmax(-1).gather(-1, target_out.unsqueeze(-1)).squeeze(-1)  # (B, T)
    return [row[: len(target) + 1] for row, target in zip(chosen.tolist(), targets, strict=True)]
