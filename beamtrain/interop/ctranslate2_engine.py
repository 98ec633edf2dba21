"""Search by CTranslate2, with our limits of length, our ranking and our scores.

CTranslate2 looks for the hypotheses of greatest log-probability, as we do; the K best of what it hands over are ranked
here, by whatever length penalty. Where its search is another one: a hypothesis that has ended leaves its slot to the
next best open one, and the search ends when one has been the best of its position and a certain number have ended. Ours
ends when no longer one can win any more; with a length penalty that is later, so more than K are asked to end. It
cannot be told to end at a limit: the K hypotheses there are scored anew, with their end. With an exact tie, where ended
hypotheses would have crowded out open ones, or where the winner comes later still, another translation may win. So it
may with a least length or without repeated n-grams, where it searches by other probabilities: what is forbidden has no
share in its softmax, and has one in ours.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from beamtrain.base.errors import UserError
from beamtrain.base.extras import require
from beamtrain.data.tokenizer import BOS, PAD, Tokenizer
from beamtrain.search.hypothesis import Hypothesis
from beamtrain.search.length import length_penalties, longest_translations
from beamtrain.search.options import SearchOptions

Tokens = Sequence[int]
Scored = tuple[list[int], float]
"""Tokens without EOS, and their log-probability."""
_PATIENCE = 1.2
"""As many times K hypotheses end before a search with a length penalty does.

Of 2,460 sentences at K = 5 and lp(n) = n^.75, 25 came out otherwise than from our search at 1, 9 at 1.2, 6 at 1.5, 3 at
2 and at 3. 1.2 costs a twentieth more time than 1, 1.5 a tenth and more, 2 a quarter.
"""
_PAIRS = 64  # scored at once: larger batches are slower, their logits leave the cache


class CTranslate2Engine:
    """A model that `write_ctranslate2` wrote, on the CPU.

    Args:
        threads: those that compute one batch.
        positions: the most tokens of a source or a translation.
        first_token: the only one that a translation may begin with.
        scored: whether anyone reads the scores. If not, they may lack the end of a translation that the limit cut, and
            be those of the engine's probabilities.

    Raises:
        UserError: ctranslate2 is not installed.
    """

    def __init__(
        self,
        folder: Path,
        tokenizer: Tokenizer,
        threads: int,
        positions: int,
        first_token: int | None = None,
        scored: bool = True,
    ) -> None:
        translator = require("ctranslate2", "ctranslate2", "the engine ctranslate2").Translator
        self._model: Any = translator(str(folder), device="cpu", inter_threads=1, intra_threads=threads)
        self._source, self._target = tokenizer.source.vocabulary, tokenizer.target.vocabulary
        self.max_positions = positions
        self._first_token, self._scores_are_read = first_token, scored
        self._ids = {piece: index for index, piece in enumerate(self._target)}

    def search(
        self, sources: Sequence[Tokens], prefixes: Sequence[Tokens], options: SearchOptions
    ) -> list[list[Hypothesis]]:
        """See `translating.engine.Engine`. Batches pay when sources are of like length.

        Raises:
            UserError: a source or a prefix has more tokens than there are positions.
        """
        prefixes = [prefix or self._beginning for prefix in prefixes]
        longest = max(map(len, [*sources, *prefixes]))
        if longest >= self.max_positions:
            raise UserError(
                f"a text of {longest:,} tokens, but the engine has positions for {self.max_positions:,} only"
            )
        limits = longest_translations([len(source) for source in sources], options)
        limits = [
            min(self.max_positions, max(limit, len(prefix) + 1)) for limit, prefix in zip(limits, prefixes, strict=True)
        ]
        found = self._search(sources, prefixes, options, max(limits) - 1, _enough(options))
        beams = [each[: options.beam_size] for each in found]
        cut = [row for row, each in enumerate(found) if any(len(tokens) >= limits[row] - 1 for tokens, _ in each)]
        for limit in {limits[row] for row in cut}:
            rows = [row for row in cut if limits[row] == limit]
            all_the_same_length = limit <= options.min_length  # no end was chosen, so none counts for the order
            wanted = options.n_best if all_the_same_length else options.beam_size
            of_rows = [found[row] for row in rows]
            if limit < max(limits) or _enough(options) < wanted:
                beginnings = [prefixes[row] for row in rows]
                enough = max(_enough(options), wanted)
                of_rows = self._search([sources[row] for row in rows], beginnings, options, limit - 1, enough)
            for row, each in zip(rows, of_rows, strict=True):
                beams[row] = each[:wanted]
        beams = self._with_ends(sources, beams, limits, all_of_them=any(prefixes) or has_rules(options))
        penalties = length_penalties(max(limits), options.length_penalty, options.alpha).tolist()
        return [_ranked(beam, penalties, options.n_best) for beam in beams]

    def log_probs(self, sources: Sequence[Tokens], targets: Sequence[Tokens]) -> list[list[float]]:
        """The log-probability of each token of the targets and, last, of EOS."""
        results = self._model.score_batch(
            [self._pieces(self._source, source[:-1]) for source in sources],
            [self._pieces(self._target, target) for target in targets],
            max_input_length=0,
            max_batch_size=_PAIRS,
        )
        return [list(result.log_probs) for result in results]

    @property
    def _beginning(self) -> Tokens:
        return () if self._first_token is None else (self._first_token,)

    def _search(
        self,
        sources: Sequence[Tokens],
        prefixes: Sequence[Tokens],
        options: SearchOptions,
        longest: int,
        enough: int,
    ) -> list[list[Scored]]:
        """Different hypotheses of at most `longest` tokens besides EOS, the likeliest to the engine first.

        One that is as long may have been cut; `enough` are to end before the search does.
        """
        if longest == 0:
            return self._scored(sources, [[[]]] * len(sources))
        results = self._model.translate_batch(
            [self._pieces(self._source, source[:-1]) for source in sources],
            [self._pieces(self._target, prefix) for prefix in prefixes] if any(prefixes) else None,
            beam_size=options.beam_size,
            patience=max(1.0, enough / options.beam_size),
            num_hypotheses=enough,
            length_penalty=0,
            max_input_length=0,
            max_decoding_length=longest,
            min_decoding_length=max(0, options.min_length - 1),
            no_repeat_ngram_size=options.no_repeat_ngram,
            suppress_sequences=[[self._target[PAD]], [self._target[BOS]]],
            return_scores=True,
        )
        found = []
        for result in results:
            scores = dict(zip(map(tuple, result.hypotheses), result.scores, strict=True))  # a cut prefix comes K times
            found.append([([self._ids[piece] for piece in pieces], score) for pieces, score in scores.items()])
        return found

    def _with_ends(
        self, sources: Sequence[Tokens], beams: list[list[Scored]], limits: list[int], all_of_them: bool
    ) -> list[list[Scored]]:
        """The same with the log-probability of EOS where the limit cut a hypothesis, unless no one wants to know it.

        `all_of_them` are to be scored anew where the engine means another probability: it leaves out that of a prefix,
        and shares that of a forbidden token among the others.
        """
        wanted: list[list[list[int]]] = []
        for beam, limit in zip(beams, limits, strict=True):
            unlike = [tokens for tokens, _ in beam if all_of_them or len(tokens) == limit - 1]
            wanted.append(unlike if self._scores_are_read or len(beam) > 1 else [])
        scored = self._scored(sources, wanted)
        return [
            [*new, *(old for old in beam if old[0] not in tokens)]
            for beam, tokens, new in zip(beams, wanted, scored, strict=True)
        ]

    def _scored(self, sources: Sequence[Tokens], targets: list[list[list[int]]]) -> list[list[Scored]]:
        """The targets of each source with their log-probabilities."""
        pairs = [(source, target) for source, each in zip(sources, targets, strict=True) for target in each]
        totals = iter(map(sum, self.log_probs([one for one, _ in pairs], [two for _, two in pairs])) if pairs else ())
        return [[(target, next(totals)) for target in each] for each in targets]

    @staticmethod
    def _pieces(vocabulary: list[str], tokens: Tokens) -> list[str]:
        return [vocabulary[token] for token in tokens]


def has_rules(options: SearchOptions) -> bool:
    """Whether some tokens are forbidden at some positions, so that the engine's probabilities are others than ours."""
    return options.min_length > 1 or options.no_repeat_ngram > 0


def _enough(options: SearchOptions) -> int:
    """How many hypotheses have to end."""
    by_log_prob = options.length_penalty == "none" and not has_rules(options)
    return options.n_best if by_log_prob or options.beam_size == 1 else math.ceil(_PATIENCE * options.beam_size)


def _ranked(beam: list[Scored], penalties: list[float], n_best: int) -> list[Hypothesis]:
    """The best by their score."""
    hypotheses = [
        Hypothesis(tokens, log_prob / penalties[len(tokens) + 1], log_prob, token_log_probs=[])
        for tokens, log_prob in beam
    ]
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[:n_best]
