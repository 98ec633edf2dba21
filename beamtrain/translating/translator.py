"""Lines in, translations out: one for each line, in order, as they come, in bounded memory.

Lines are taken in windows, sorted by length within a window into batches of like length, decoded, and given back in
the order they came in. The first window is small, so that the first translations appear early.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from random import Random
from reprlib import repr as shortened

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.base.inference_sizes import BATCH_TOKENS, MAX_SOURCE_TOKENS
from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import EOS, Tokenizer
from beamtrain.model.base import Seq2Seq
from beamtrain.model.packing import packed_weights
from beamtrain.search.beam import beam_search
from beamtrain.search.hypothesis import Hypothesis
from beamtrain.search.length import least
from beamtrain.search.options import SearchOptions
from beamtrain.search.sampling import sample
from beamtrain.translating.engine import Engine
from beamtrain.translating.packing import packed

FIRST_WINDOW, LARGEST_WINDOW = 32, 4096  # lines
SHORTEST = 16  # a line counts as this many tokens at least, which bounds the sentences of a batch


@dataclass(frozen=True)
class Candidate:
    """One translation of a line."""

    text: str
    score: float
    """What the search ranks by."""
    log_prob: float
    tokens: list[str]
    """The target subwords, without the end of the sentence."""
    token_log_probs: list[float]
    """One for each token and, last, one for the end of the sentence; none where the engine does not know them."""
    attention: Tensor | None = None
    """On request: (len(tokens) + 1, S), how each prediction looked at the S source tokens."""


@dataclass(frozen=True)
class Translation:
    """What became of one line."""

    line: int
    """Its number in the input, from 1."""
    source_tokens: list[str]
    """The source subwords and the end of the sentence; empty for a line that was not decoded."""
    candidates: list[Candidate]
    """Best first; never empty."""
    problem: str | None = None
    """Why the line was left untranslated."""

    @property
    def text(self) -> str:
        return self.candidates[0].text


@dataclass(frozen=True)
class Sampling:
    """Draw translations at random; see `search.sampling.sample` for the meaning of each setting."""

    samples: int = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 1
    """With the number of a line it fixes the line's draws, whatever the other lines are and however many are drawn."""


@dataclass(frozen=True)
class Window:
    """Lines to translate together, and what their translations must begin with."""

    first_line: int
    lines: Sequence[str]
    prefixes: Sequence[str]


@dataclass(frozen=True)
class _Job:
    """A line to decode."""

    line: int
    source: list[int]  # ends in EOS
    prefix: list[int]
    begins_with: str  # what the prefix is to say


class Translator:
    """Translates lines with a network: by beam search, or by `sampling` within the same limits of length. Either way
    the candidates of a line come best first, by their score. Another engine in its place does the search.

    A batch holds at most `batch_tokens` source tokens, with padding, each beam or sample counted. A line of more than
    `max_source_tokens` tokens, or of more than the network has positions for, is not decoded: its translation is empty
    and says why. A blank line stays empty. A batch
    that does not fit into a GPU's memory is halved and tried again.
    """

    def __init__(
        self,
        network: Seq2Seq | Engine,
        tokenizer: Tokenizer,
        options: SearchOptions,
        *,
        sampling: Sampling | None = None,
        batch_tokens: int = BATCH_TOKENS,
        max_source_tokens: int = MAX_SOURCE_TOKENS,
        attention: bool = False,
    ):
        self._network = network
        self._tokenizer = tokenizer
        self._options = options
        self._sampling = sampling
        self._rows = options.beam_size if sampling is None else sampling.samples  # the decoder's, for each line
        self._batch_tokens = batch_tokens
        positions = network.max_positions
        self._max_source_tokens = max_source_tokens if positions is None else min(max_source_tokens, positions - 1)
        self._longest = least(options.max_length, positions)
        self._attention = attention

    def translate(self, lines: Iterable[str], prefixes: Iterable[str] | None = None) -> Iterator[Translation]:
        """Translate `lines`; each translation begins with the line of `prefixes` in the same place.

        Raises UserError when there are not as many prefixes as lines.
        """
        return chain.from_iterable(self.translate_windows(_windows(lines), prefixes))

    def translate_windows(
        self, windows: Iterable[Sequence[str]], prefixes: Iterable[str] | None = None
    ) -> Iterator[list[Translation]]:
        """`translate`, with the lines already in the windows to sort and decode together."""
        return map(self.translate_window, numbered(windows, prefixes))

    def translate_window(self, window: Window) -> list[Translation]:
        """A translation of each line of the window."""
        translations = self.translate_share(window)
        return [translations[line] for line in sorted(translations)]

    def translate_share(self, window: Window, number: int = 0, shares: int = 1) -> dict[int, Translation]:
        """Line number -> translation, of the lines in each `shares`-th batch of the window from batch `number` on.

        Lines that are left empty are in share 0.
        """
        left = dict.fromkeys(range(window.first_line, window.first_line + len(window.lines)))  # and why
        jobs = []
        for job in self._jobs(window):
            left[job.line] = self._problem(job)
            if left[job.line] is None:
                jobs.append(job)
                del left[job.line]
        translations = {line: _left_empty(line, why) for line, why in left.items()} if number == 0 else {}
        with packed_weights():
            for batch in islice(packed(jobs, self._width, self._batch_tokens), number, None, shares):
                for job, hypotheses in zip(batch, self._decode(batch), strict=True):
                    translations[job.line] = self._translation(job, hypotheses)
        return translations

    def _jobs(self, window: Window) -> list[_Job]:
        """The lines that have something to translate: also not those of which no subword is left."""
        filled = [place for place, line in enumerate(window.lines) if line.strip()]
        sources = self._tokenizer.source.encode([window.lines[place] for place in filled])
        forced = self._tokenizer.target.encode([window.prefixes[place] for place in filled])
        return [
            _Job(window.first_line + place, [*source, EOS], prefix, window.prefixes[place])
            for place, source, prefix in zip(filled, sources, forced, strict=True)
            if source
        ]

    def _problem(self, job: _Job) -> str | None:
        for name, count in (("source", len(job.source) - 1), ("prefix", len(job.prefix))):
            if count > self._max_source_tokens:
                return f"{name} of {count:,} tokens, above the limit of {self._max_source_tokens:,}; left empty"
        if job.prefix or job.begins_with:
            (said,) = self._texts([job.prefix])
            if said != job.begins_with:
                return (
                    f"no translation can begin with {shortened(job.begins_with)}, whose subwords say "
                    f"{shortened(said)}; left empty"
                )
        if self._longest is not None and len(job.prefix) >= self._longest:
            had, most = f"{len(job.prefix):,}", f"{self._longest:,}"
            return f"prefix of {had} tokens, but at most {most} with its end are allowed; left empty"
        return None

    def _width(self, job: _Job) -> int:
        """What a line takes of the budget."""
        return max(len(job.source), SHORTEST) * self._rows

    def _decode(self, batch: list[_Job]) -> list[list[Hypothesis]]:
        try:
            return self._search(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise UserError(
                    f"line {batch[0].line} ({len(batch[0].source):,} tokens) does not fit into the GPU's memory; "
                    "use a smaller beam, a lower limit of source tokens, or the CPU"
                ) from error
        torch.cuda.empty_cache()
        middle = len(batch) // 2
        return self._decode(batch[:middle]) + self._decode(batch[middle:])

    def _search(self, batch: list[_Job]) -> list[list[Hypothesis]]:
        if not isinstance(self._network, Seq2Seq):
            sources, prefixes = [job.source for job in batch], [job.prefix for job in batch]
            return self._network.search(sources, prefixes, self._options)
        device = next(self._network.parameters()).device
        source = pad([job.source for job in batch]).to(device)  # (B, S)
        prefix = pad([job.prefix for job in batch]).to(device)  # (B, P)
        begun = prefix if prefix.size(1) else None
        if self._sampling is not None:
            return self._sample(self._network, source, begun, self._sampling, [job.line for job in batch])
        return beam_search(self._network, source, self._options, prefix=begun, attention=self._attention)

    def _sample(
        self, network: Seq2Seq, source: Tensor, prefix: Tensor | None, sampling: Sampling, lines: list[int]
    ) -> list[list[Hypothesis]]:
        drawn = sample(
            network,
            source,
            seeds=[Random(f"{sampling.seed} {line}").getrandbits(63) for line in lines],
            prefix=prefix,
            samples=sampling.samples,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            max_length=self._options.max_length,
            max_length_ratio=self._options.max_length_ratio,
            max_length_offset=self._options.max_length_offset,
        )
        return [sorted(hypotheses, key=lambda hypothesis: -hypothesis.score) for hypotheses in drawn]

    def _translation(self, job: _Job, hypotheses: list[Hypothesis]) -> Translation:
        texts = self._texts([hypothesis.tokens for hypothesis in hypotheses])
        return Translation(
            line=job.line,
            source_tokens=self._tokenizer.source.pieces(job.source),
            candidates=[
                Candidate(
                    text=text,
                    score=hypothesis.score,
                    log_prob=hypothesis.log_prob,
                    tokens=self._tokenizer.target.pieces(hypothesis.tokens),
                    token_log_probs=hypothesis.token_log_probs,
                    attention=None if hypothesis.attention is None else hypothesis.attention[:, : len(job.source)],
                )
                for text, hypothesis in zip(texts, hypotheses, strict=True)
            ],
        )

    def _texts(self, rows: list[list[int]]) -> list[str]:
        """What rows of target subwords say, each on one line: some readers end one at a carriage return too."""
        return [text.replace("\r", " ") for text in self._tokenizer.target.decode(rows)]


def _left_empty(line: int, problem: str | None = None) -> Translation:
    return Translation(line, [], [Candidate("", 0.0, 0.0, [], [])], problem)


def numbered(windows: Iterable[Sequence[str]], prefixes: Iterable[str] | None) -> Iterator[Window]:
    """The windows with the numbers of their lines and with their prefixes, empty ones unless given.

    Raises UserError, after the last whole window, when there are not as many prefixes as lines.
    """
    done = 0
    forced = repeat("") if prefixes is None else iter(prefixes)
    for lines in windows:
        taken = list(islice(forced, len(lines)))
        if len(taken) < len(lines):
            raise UserError(f"the prefixes end after line {done + len(taken)}, but not the input")
        yield Window(done + 1, lines, taken)
        done += len(lines)
    if prefixes is not None and next(forced, None) is not None:
        raise UserError(f"the input ends after line {done}, but not the prefixes")


def window_sizes() -> Iterator[int]:
    """Lines of one window after the other: few at first, so that the first translations come early."""
    size = FIRST_WINDOW
    while True:
        yield size
        size = min(2 * size, LARGEST_WINDOW)


def _windows(lines: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(lines)
    for size in window_sizes():
        window = list(islice(rest, size))
        if not window:
            return
        yield window
