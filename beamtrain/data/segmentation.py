"""Random segmentations of a word into subwords, a pure function of the random numbers given."""

import heapq
import math
from bisect import bisect
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple, Protocol

from sentencepiece import SentencePieceProcessor

Random = Callable[[], float]  # the next number of [0, 1)

UNKNOWN_PENALTY = 10.0  # SentencePiece's: how much less likely than the rarest piece an unknown character is
CACHED_WORDS = 20_000


class Vocabulary(NamedTuple):
    """The pieces that text can be cut into.

    Attributes:
        ids: of each piece.
        scores: of each piece: its log-probability (unigram), or the negative rank of its merge (BPE).
        spell: ids of a character that is no piece.
    """

    ids: dict[str, list[int]]
    scores: dict[str, float]
    spell: Callable[[str], list[int]]

    def tokens(self, piece: str) -> list[int]:
        """The ids of a piece or of an unknown character."""
        return self.ids.get(piece) or self.spell(piece)


class Segmenter(Protocol):
    """A way to draw segmentations."""

    def draw(self, word: str, alpha: float, random: Random) -> list[int]:
        """Token ids of one random segmentation of `word`, `alpha` as in `SubwordModel.sample`."""
        ...


class _Step(NamedTuple):
    """A piece of a segmentation: how many characters it has, and its ids."""

    length: int
    tokens: list[int]


class _Arrivals(NamedTuple):
    """The pieces that end at one position of a word, with their cumulative probabilities given that one ends there."""

    cumulative: list[float]
    steps: list[_Step]


class UnigramSampling:
    """Draws a segmentation x with probability proportional to P(x)^alpha, over all segmentations.

    Subword regularisation (Kudo 2018, arXiv:1804.10959, section 3.2, with l unbounded) by forward filtering and
    backward sampling. An unknown character is SentencePiece's: a piece of its own, 10 nats below the rarest one.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._spell = vocabulary.spell
        self._scores = vocabulary.scores
        self._steps = {piece: _Step(len(piece), tokens) for piece, tokens in vocabulary.ids.items()}
        self._longest = max(map(len, vocabulary.ids), default=1)
        self._unknown_score = min(vocabulary.scores.values(), default=0.0) - UNKNOWN_PENALTY
        self._lattice = lru_cache(CACHED_WORDS)(self._build)

    def draw(self, word: str, alpha: float, random: Random) -> list[int]:
        """Token ids of one segmentation."""
        lattice = self._lattice(word, alpha)
        drawn, position = [], len(word)
        while position:
            cumulative, steps = lattice[position - 1]
            length, tokens = steps[bisect(cumulative, random() * cumulative[-1], hi=len(cumulative) - 1)]
            drawn.append(tokens)
            position -= length
        return [token for tokens in reversed(drawn) for token in tokens]

    def _build(self, word: str, alpha: float) -> list[_Arrivals]:
        forward = [0.0]  # log of the sum of P(x)^alpha over the segmentations x of the first characters
        lattice = []
        for end in range(1, len(word) + 1):
            weights, steps = [], []
            for start in range(max(0, end - self._longest), end):
                piece = word[start:end]
                if piece in self._scores:
                    weights.append(forward[start] + alpha * self._scores[piece])
                    steps.append(self._steps[piece])
            if not steps or steps[-1].length > 1:
                weights.append(forward[-1] + alpha * self._unknown_score)
                steps.append(_Step(1, self._spell(word[end - 1])))
            highest = max(weights)
            cumulative = list(accumulate([math.exp(weight - highest) for weight in weights]))
            forward.append(highest + math.log(cumulative[-1]))
            lattice.append(_Arrivals(cumulative, steps))
        return lattice


class BPEDropout:
    """Merges pairs by rank, each possible merge left out of each step with probability alpha.

    BPE-dropout (Provilkov et al. 2020, arXiv:1910.13267, algorithm 1): what is left out of one step may be merged in
    the next, and a word is done when a step leaves out all its merges. (SentencePiece's dropout forbids a pair that was
    left out for good, and so cuts words into more pieces at the same alpha.) Merges are tried from the best down until
    one is kept, which has the same distribution as a draw for each.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def draw(self, word: str, alpha: float, random: Random) -> list[int]:
        """Token ids of one segmentation."""
        pieces: list[str] = list(word)  # a merged piece stands where its first one was, the others are ""
        following = [*range(1, len(word) + 1)]
        before = [*range(-1, len(word))]
        merges: list[tuple[float, int, str]] = []

        def consider(left: int, right: int) -> None:
            if left >= 0 and right < len(word):
                merged = pieces[left] + pieces[right]
                if merged in self._vocabulary.scores:
                    heapq.heappush(merges, (-self._vocabulary.scores[merged], left, merged))

        for left, right in pairwise(range(len(word))):
            consider(left, right)
        left_out: list[tuple[float, int, str]] = []
        while merges:
            merge = heapq.heappop(merges)
            _, left, merged = merge
            right = following[left]
            if not pieces[left] or right == len(word) or pieces[left] + pieces[right] != merged:
                continue  # one of the two has been merged otherwise
            if random() < alpha:
                left_out.append(merge)
                continue
            pieces[left], pieces[right] = merged, ""
            following[left] = following[right]
            before[following[right]] = left
            for again in left_out:
                heapq.heappush(merges, again)
            left_out.clear()
            consider(before[left], left)
            consider(left, following[left])
        return [token for piece in pieces if piece for token in self._vocabulary.tokens(piece)]


def segmenter(processor: SentencePieceProcessor) -> Segmenter:
    """The way to draw that suits a trained model: sampling for unigram, dropout for BPE."""
    normal = [
        i
        for i in range(processor.get_piece_size())
        if not (processor.is_control(i) or processor.is_unknown(i) or processor.is_byte(i))
    ]
    ids = {processor.id_to_piece(i): [i] for i in normal}
    scores = {processor.id_to_piece(i): processor.get_score(i) for i in normal}
    vocabulary = Vocabulary(ids, scores, _spelling(processor))
    return UnigramSampling(vocabulary) if _is_unigram(processor) else BPEDropout(vocabulary)


def _spelling(processor: SentencePieceProcessor) -> Callable[[str], list[int]]:
    """Byte pieces where the model has them, UNK where not."""
    spelt = [processor.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)]
    if processor.is_byte(spelt[0]):
        return lambda character: [spelt[byte] for byte in character.encode()]
    return lambda character: [processor.unk_id()]


def _is_unigram(processor: SentencePieceProcessor) -> bool:
    try:
        processor.nbest_encode("a", nbest_size=1)
    except RuntimeError:  # SentencePiece's answer for every other algorithm
        return False
    return True
