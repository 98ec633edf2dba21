"""What a report has a run decode, each thing once: it is kept in the run's folder, by weights and options."""

import gzip
import hashlib
import json
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from beamtrain.base.errors import UserError
from beamtrain.base.text_io import make_output_folder, open_output
from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import EOS
from beamtrain.runs.loading import Run
from beamtrain.runs.weights import digest
from beamtrain.scoring.evaluation import translate_share
from beamtrain.search.exact import exact_search
from beamtrain.search.options import SearchOptions
from beamtrain.translating.forced import Forced, forced
from beamtrain.translating.translator import Translation

_Read = TypeVar("_Read")
FOLDER = "decoded"
_FORMAT = "1"  # of the kept files: raise it when what they hold changes
_EXACT_AT_ONCE = 4  # sentences; of 1, 4 and 8 the quickest


@dataclass(frozen=True)
class Candidate:
    """One translation of a line."""

    text: str
    score: float
    log_prob: float
    length: int
    """Tokens, EOS included."""


@dataclass(frozen=True)
class Line:
    """What became of one line."""

    candidates: list[Candidate]
    """Best first; never empty."""
    source_tokens: list[str]
    tokens: list[str]
    """Of the best candidate."""
    attention: list[str] | None = None
    """On request, of the best candidate: a row for each of its tokens and its end, a digit for each source token, which
    is the weight in tenths, cut off."""
    translated: bool = True
    """False for a line that was left empty."""


class Decodings:
    """What a run makes of the same sources, searched in several ways.

    Args:
        sources: the lines to translate.
        batch_tokens: as of `beamtrain evaluate`; the outputs do not depend on it, up to rounding.
    """

    def __init__(self, run: Run, sources: Sequence[str], batch_tokens: int) -> None:
        self.run, self.sources, self._batch_tokens = run, list(sources), batch_tokens
        self._folder = run.path / FOLDER
        self._keeps = True
        device = next(run.network.parameters()).device
        self._made_with = [
            _FORMAT,
            digest({name: tensor.cpu() for name, tensor in run.network.state_dict().items()}),
            run.tokenizer.fingerprint(),
            run.description.network,
            device.type,
            batch_tokens,
            self.sources,
        ]

    def searched(self, search: SearchOptions, attention: bool = False) -> list[Line]:
        """The translations of all lines, as `beamtrain evaluate` finds them."""

        def compute() -> list[dict[str, Any]]:
            self._say(f"beam {search.beam_size}, {search.length_penalty} {search.alpha:g}")
            found = translate_share(
                self.run.network,
                self.run.tokenizer,
                search,
                self.sources,
                batch_tokens=self._batch_tokens,
                attention=attention,
            )
            return [asdict(_line(found[line])) for line in sorted(found)]

        def lines(rows: Any) -> list[Line]:
            return [_kept_line(row) for row, _ in zip(rows, self.sources, strict=True)]

        return self._kept(["searched", asdict(search), attention], compute, lines)

    def forced(self, translations: Sequence[str]) -> list[Forced | None]:
        """The run's log-probability of given translations; None for a line that it would leave empty."""

        def compute() -> list[dict[str, Any] | None]:
            self._say("log-probabilities of the references")
            network, tokenizer = self.run.network, self.run.tokenizer
            found = forced(network, tokenizer, self.sources, translations, batch_tokens=self._batch_tokens)
            return [asdict(each) if each else None for each in found]

        def scores(rows: Any) -> list[Forced | None]:
            return [None if row is None else Forced(**row) for row, _ in zip(rows, self.sources, strict=True)]

        return self._kept(["forced", list(translations)], compute, scores)

    def exact(self, search: SearchOptions, longest: int, most: int) -> dict[int, Candidate | None]:
        """Place of a line -> its best translation of all, None if the search for it was given up.

        Args:
            longest: only lines of at most so many source tokens, EOS included.
            most: prefixes that may be open at once, see `exact_search`.
        """

        tokenizer = self.run.tokenizer
        encoded = [[*ids, EOS] for ids in tokenizer.source.encode(self.sources)]
        lines = [line for line, ids in enumerate(encoded) if 1 < len(ids) <= longest and self.sources[line].strip()]
        lines.sort(key=lambda line: len(encoded[line]))

        def compute() -> list[list[Any]]:
            self._say(f"exact search of {len(lines):,} sentences, {search.length_penalty} {search.alpha:g}")
            device = next(self.run.network.parameters()).device
            rows: list[list[Any]] = []
            for start in range(0, len(lines), _EXACT_AT_ONCE):
                batch = lines[start : start + _EXACT_AT_ONCE]
                source = pad([encoded[line] for line in batch]).to(device)
                for line, best in zip(batch, exact_search(self.run.network, source, search, most), strict=True):
                    if best is None:
                        rows.append([line, None])
                        continue
                    (text,) = tokenizer.target.decode([best.tokens])
                    candidate = Candidate(text.replace("\r", " "), best.score, best.log_prob, len(best.tokens) + 1)
                    rows.append([line, asdict(candidate)])
            return sorted(rows)

        def optima(rows: Any) -> dict[int, Candidate | None]:
            found = {line: None if best is None else Candidate(**best) for line, best in rows}
            if sorted(found) != sorted(lines):
                raise ValueError("other lines")
            return found

        return self._kept(["exact", asdict(search), longest, most], compute, optima)

    def _kept(self, what: list[Any], compute: Callable[[], Any], read: Callable[[Any], _Read]) -> _Read:
        """What was computed before, or is now, and is kept as JSON.

        Args:
            read: makes of that JSON what is returned.
        """
        key = hashlib.sha256(json.dumps([*self._made_with, *what]).encode()).hexdigest()[:32]
        path = self._folder / f"{key}.json.gz"
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                return read(json.load(file))
        except (OSError, EOFError, ValueError, zlib.error, TypeError, KeyError):  # not there, damaged, or another's
            pass
        result = compute()
        if self._keeps:
            try:
                make_output_folder(self._folder)
                with open_output(path) as output:
                    output.write(json.dumps(result).encode())
            except UserError as error:
                self._keeps = False
                print(f"{error}; the next report decodes again", file=sys.stderr)
        return read(result)

    def _say(self, what: str) -> None:
        print(f"{self.run.path}: {what}", file=sys.stderr, flush=True)


def _kept_line(row: Any) -> Line:
    """Raises ValueError, TypeError or KeyError for what is no line."""
    candidates = [Candidate(**each) for each in row["candidates"]]
    if not candidates:
        raise ValueError("a line without a candidate")
    return Line(**{**row, "candidates": candidates})


def _line(translation: Translation) -> Line:
    best = translation.candidates[0]
    return Line(
        candidates=[
            Candidate(each.text, each.score, each.log_prob, len(each.token_log_probs))
            for each in translation.candidates
        ],
        source_tokens=translation.source_tokens,
        tokens=best.tokens,
        attention=None if best.attention is None else [_tenths(row) for row in best.attention.tolist()],
        translated=bool(translation.source_tokens),
    )


def _tenths(weights: list[float]) -> str:
    return "".join(str(min(9, int(10 * weight))) for weight in weights)
