"""Subwords by SentencePiece: text to token ids and back."""

import io
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from random import Random
from typing import Literal

import sentencepiece
from sentencepiece.sentencepiece_model_pb2 import ModelProto, NormalizerSpec

from beamtrain.base.errors import UserError
from beamtrain.base.files import atomic_path
from beamtrain.data.segmentation import Segmenter, segmenter

PAD, BOS, EOS, UNK = 0, 1, 2, 3

Algorithm = Literal["unigram", "bpe"]
Side = Literal["source", "target"]
Normalization = Literal["identity", "nfkc", "nfkc_cf", "nmt_nfkc", "nmt_nfkc_cf"]
"""What SentencePiece does to text before it is cut: nothing; Unicode's NFKC; the same and case folding; `nmt_`: the
same and control characters dropped, all kinds of white space made spaces. Each makes runs of spaces one space, and
takes the spaces at both ends off."""

_WORD = re.compile("▁[^▁]*")  # of normalised text: no piece reaches beyond one

_JOINT_FILE = "tokenizer.model"
_SOURCE_FILE, _TARGET_FILE = "tokenizer.source.model", "tokenizer.target.model"
FOREIGN = "huggingface"
"""The folder of a tokenizer that another library runs: see `foreign_tokenizer`."""


class Subwords(ABC):
    """The subwords of one side."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of token ids, PAD, BOS, EOS and UNK included."""

    @cached_property
    @abstractmethod
    def vocabulary(self) -> list[str]:
        """Every piece, by its id."""

    @cached_property
    @abstractmethod
    def normalization(self) -> str | None:
        """The name of what is done to text before it is cut; None for a way that has no name here."""

    @abstractmethod
    def encode(self, lines: list[str]) -> list[list[int]]:
        """Token ids of each line, without BOS and EOS; none of a line of which nothing is left."""

    @abstractmethod
    def sample(self, lines: list[str], alpha: float, seeds: list[int]) -> list[list[int]]:
        """One random segmentation per line, the same for the same seed."""

    @abstractmethod
    def decode(self, ids: list[list[int]]) -> list[str]:
        """One line of text per row of ids."""

    @abstractmethod
    def pieces(self, ids: list[int]) -> list[str]:
        """The subwords, as they are shown to people."""


class SubwordModel(Subwords):
    """One trained SentencePiece model. Its control pieces are never read from text: `</s>` in a line is four letters.

    Text is normalised as the model says, see `Normalization`. With "identity" and byte pieces, decoding gives back all
    that was encoded but for spaces beyond one and U+2581, SentencePiece's own sign for a space.
    """

    def __init__(self, serialized: bytes) -> None:
        self.serialized = serialized
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=serialized)

    @property
    def vocab_size(self) -> int:
        return self._processor.get_piece_size()

    @cached_property
    def vocabulary(self) -> list[str]:
        return self.pieces(list(range(self.vocab_size)))

    @cached_property
    def normalization(self) -> str:
        """The name of what is done to text before it is cut."""
        return str(ModelProto.FromString(self.serialized).normalizer_spec.name)

    def normalized_by(self, normalization: Normalization) -> "SubwordModel":
        """The same pieces for text that is normalised in another way."""
        proto = ModelProto.FromString(self.serialized)
        rule = _rule(normalization)
        proto.normalizer_spec.name = rule.name
        proto.normalizer_spec.precompiled_charsmap = rule.precompiled_charsmap
        return SubwordModel(proto.SerializeToString(deterministic=True))

    def encode(self, lines: list[str]) -> list[list[int]]:
        return self._processor.encode(lines, num_threads=1)

    def sample(self, lines: list[str], alpha: float, seeds: list[int]) -> list[list[int]]:
        """One random segmentation per line: subword regularisation for unigram, dropout for BPE.

        Unigram draws a segmentation x with probability proportional to P(x)^alpha (Kudo 2018, arXiv:1804.10959,
        section 3.2, over all segmentations); BPE leaves out each merge with probability alpha (Provilkov et al. 2020,
        arXiv:1910.13267, algorithm 1). A line and its seed give the same tokens at any time in any process, which
        SentencePiece's own sampling does not promise.
        """
        normalized = self._processor.normalize(lines)
        return [self._sample_line(line, alpha, seed) for line, seed in zip(normalized, seeds, strict=True)]

    def _sample_line(self, normalized: str, alpha: float, seed: int) -> list[int]:
        random = Random(seed).random
        tokens: list[int] = []
        for word in _WORD.findall(normalized):
            for token in self._segmenter.draw(word, alpha, random):
                if token != UNK or tokens[-1:] != [UNK]:  # a run of unknown characters is one UNK, as in `encode`
                    tokens.append(token)
        return tokens

    @cached_property
    def _segmenter(self) -> Segmenter:
        return segmenter(self._processor)

    def decode(self, ids: list[list[int]]) -> list[str]:
        """One line of text per row of ids; a line feed spelt by byte pieces becomes a space, so lines stay lines."""
        return [text.replace("\n", " ") for text in self._processor.decode(ids)] if ids else []

    def pieces(self, ids: list[int]) -> list[str]:
        """The subwords as SentencePiece writes them, a leading `▁` marking the start of a word."""
        return [self._processor.id_to_piece(i) for i in ids]

    def save(self, path: Path) -> None:
        """Write the model in SentencePiece's own format."""
        with atomic_path(path) as temporary:
            temporary.write_bytes(self.serialized)

    def __reduce__(self) -> tuple[type["SubwordModel"], tuple[bytes]]:
        return SubwordModel, (self.serialized,)

    @classmethod
    def load(cls, path: Path) -> "SubwordModel":
        """Read a model file.

        Raises:
            UserError: not a readable SentencePiece model, or one whose control pieces have other ids than ours.
        """
        try:
            model = cls(path.read_bytes())
        except (OSError, RuntimeError) as error:
            raise UserError(f"{path}: not a readable SentencePiece model ({error})") from None
        processor = model._processor
        ids = (processor.pad_id(), processor.bos_id(), processor.eos_id(), processor.unk_id())
        if ids != (PAD, BOS, EOS, UNK):
            raise UserError(
                f"{path}: pad, bos, eos, unk have the ids {ids}, not {(PAD, BOS, EOS, UNK)}; "
                "use a tokenizer that beamtrain trained"
            )
        return model


class Tokenizer:
    """The subword models of both sides: with a joint vocabulary the same pieces, and perhaps other normalisations."""

    source: Subwords
    target: Subwords
    can_sample = True
    """Whether a text can be cut at random."""

    def __init__(self, source: SubwordModel, target: SubwordModel | None = None) -> None:
        target = source if target is None or target.serialized == source.serialized else target
        self.source, self.target = source, target
        self._models = {_JOINT_FILE: source} if target is source else {_SOURCE_FILE: source, _TARGET_FILE: target}

    @cached_property
    def joint(self) -> bool:
        """Whether both sides share one vocabulary."""
        return self.source is self.target or self.source.vocabulary == self.target.vocabulary

    def fingerprint(self) -> str:
        """A digest of both models."""
        source, *_, target = [model.serialized for model in self._models.values()] * 2
        return blake2b(source + target, digest_size=16).hexdigest()

    def save(self, folder: Path | str) -> None:
        """Write `tokenizer.model`, or where the sides differ `tokenizer.source.model` and `tokenizer.target.model`.

        What another tokenizer has left in the folder is removed.
        """
        kept = self._write(Path(folder))
        for name in {_JOINT_FILE, _SOURCE_FILE, _TARGET_FILE} - kept:
            (Path(folder) / name).unlink(missing_ok=True)
        if FOREIGN not in kept:
            shutil.rmtree(Path(folder) / FOREIGN, ignore_errors=True)

    def _write(self, folder: Path) -> set[str]:
        """Write the files; their names."""
        for name, model in self._models.items():
            model.save(folder / name)
        return {*self._models}

    @classmethod
    def load(cls, folder: Path | str) -> "Tokenizer":
        """Read what `save` wrote.

        Raises:
            UserError: the folder holds no tokenizer.
        """
        folder = Path(folder)
        if (folder / _JOINT_FILE).is_file():
            return cls(SubwordModel.load(folder / _JOINT_FILE))
        if (folder / _SOURCE_FILE).is_file() and (folder / _TARGET_FILE).is_file():
            return cls(SubwordModel.load(folder / _SOURCE_FILE), SubwordModel.load(folder / _TARGET_FILE))
        if (folder / FOREIGN).is_dir():
            from beamtrain.data.foreign_tokenizer import ForeignTokenizer

            return ForeignTokenizer.read(folder)
        raise UserError(f"{folder}: no tokenizer here; expected {_JOINT_FILE}, or {_SOURCE_FILE} and {_TARGET_FILE}")


def train_subwords(
    lines: Iterable[str],
    *,
    vocab_size: int,
    algorithm: Algorithm,
    byte_fallback: bool,
    character_coverage: float,
    normalization: Normalization,
) -> SubwordModel:
    """Train one subword model on `lines`; the same lines and settings give the same model on any machine.

    Args:
        lines: the text; blank lines are passed over.
        vocab_size: number of token ids, the four control pieces (and 256 byte pieces) included.
        algorithm: `unigram` (Kudo 2018) or `bpe` (Sennrich et al. 2016).
        byte_fallback: spell characters outside the vocabulary as UTF-8 bytes, rather than as UNK.
        character_coverage: share of the text's characters that the vocabulary must hold, 0 to 1.
        normalization: what is done to text first, here and whenever the model is used.

    Raises:
        UserError: the text is empty, or cannot fill `vocab_size`, or needs a larger one.
    """
    serialized = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=serialized,
            model_type=algorithm,
            vocab_size=vocab_size,
            byte_fallback=byte_fallback,
            character_coverage=character_coverage,
            normalization_rule_name=normalization,
            pad_id=PAD,
            bos_id=BOS,
            eos_id=EOS,
            unk_id=UNK,
            num_threads=16,  # sums are split among threads: a fixed number keeps the model the same everywhere
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(_explain(str(error), vocab_size)) from None
    return SubwordModel(serialized.getvalue())


def train_tokenizer(
    lines: Callable[[Side], Iterable[str]],
    *,
    joint: bool,
    vocab_size: int,
    algorithm: Algorithm,
    byte_fallback: bool,
    character_coverage: float,
    normalization: dict[Side, Normalization],
) -> Tokenizer:
    """Train one vocabulary on both sides of `lines` (joint), or one for each side with `vocab_size` ids each.

    Each side is normalised in its own way. A joint vocabulary is learnt from both sides as they are after that.
    """

    def train(text: Iterable[str], normalization: Normalization) -> SubwordModel:
        return train_subwords(
            text,
            vocab_size=vocab_size,
            algorithm=algorithm,
            byte_fallback=byte_fallback,
            character_coverage=character_coverage,
            normalization=normalization,
        )

    source, target = normalization["source"], normalization["target"]
    if not joint:
        return Tokenizer(train(lines("source"), source), train(lines("target"), target))
    if source == target:
        return Tokenizer(train(chain(lines("source"), lines("target")), source))
    normalized = chain(_normalized(lines("source"), source), _normalized(lines("target"), target))
    pieces = train(normalized, "identity")
    return Tokenizer(pieces.normalized_by(source), pieces.normalized_by(target))


def _rule(normalization: Normalization) -> NormalizerSpec:
    """SentencePiece's table of a normalisation."""
    normalizer = sentencepiece.SentencePieceNormalizer(rule_name=normalization)
    return ModelProto.FromString(normalizer.serialized_model_proto()).normalizer_spec


def _normalized(lines: Iterable[str], normalization: Normalization) -> Iterator[str]:
    normalizer = sentencepiece.SentencePieceNormalizer(
        rule_name=normalization, add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=True
    )
    return map(normalizer.normalize, lines)


def _explain(message: str, vocab_size: int) -> str:
    """SentencePiece's complaint, in terms of the user's settings."""
    if match := re.search(r"too high .*<= (\d+)", message):
        return (
            f"vocab_size {vocab_size} is more than the training text can fill: "
            f"set it to {match[1]} or less, or give more text"
        )
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return (
            f"vocab_size {vocab_size} has no room for the characters of the training text: "
            f"set it to more than {match[1]}, or lower character_coverage"
        )
    if "sentences_.empty()" in message or "all_chars_count" in message:
        return "the training text is empty: there is nothing to learn a vocabulary from"
    return f"SentencePiece could not train a vocabulary of {vocab_size}: {message}"
