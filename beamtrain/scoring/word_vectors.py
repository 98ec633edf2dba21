"""Where the vectors of words come from that distances between texts need: a file of them, or the table of a run."""

import gzip
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy
import torch
from numpy.typing import NDArray
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from beamtrain.base.errors import UserError
from beamtrain.runs.description import load_description
from beamtrain.runs.loading import load_run

Array = NDArray[numpy.float64]
_GREATEST = 1e100  # of a vector's numbers, whose squares are added up


class Vectors(ABC):
    """A vector of each word, of whatever is taken for one."""

    name: str
    unit: str

    @abstractmethod
    def words(self, line: str) -> list[str] | list[int]:
        """What the line consists of."""

    @abstractmethod
    def find(self, word: str | int) -> Array | None:
        """The word's vector (D,), if it has one."""


class RunVectors(Vectors):
    """The rows of a run's target embedding table; words are its subwords.

    Raises:
        UserError: it is no run, or its network has no such table.
    """

    unit = "subword"

    def __init__(self, folder: Path) -> None:
        run = load_run(folder)
        self.name, self._model = folder.resolve().name, run.tokenizer.target
        with torch.no_grad():
            self._table = run.network.embed(torch.arange(run.network.vocab_size)).double().numpy()

    def words(self, line: str) -> list[int]:
        return self._model.encode([line])[0]

    def find(self, word: str | int) -> Array | None:
        found: Array = self._table[word]
        return found


class FileVectors(Vectors):
    """Text, a word and its numbers on each line, with or without a first line of the two sizes, as word2vec, GloVe and
    fastText write it; perhaps packed (`.gz`). Words are those of sacrebleu's 13a, as they are or in small letters.

    Args:
        path: the file.
        lines: the text whose words are wanted; the others are passed over.

    Raises:
        UserError: it cannot be read, or a line of it is not like that.
    """

    unit = "word"

    def __init__(self, path: Path, lines: Iterable[str]) -> None:
        self.name, self._tokenized = path.name, Tokenizer13a()
        wanted = {form for line in lines for word in self.words(line) for form in (word, word.lower())}
        self._found: dict[str, Array] = {}
        width = 0
        for number, (word, numbers) in enumerate(_entries(path), 1):
            if width and len(numbers) != width:
                raise UserError(f"{path}, vector {number:,}: {len(numbers)} numbers, but the first one has {width}")
            width = len(numbers)
            if word in wanted and word not in self._found:
                try:
                    self._found[word] = numpy.array(numbers, dtype=float)
                except ValueError as error:
                    raise UserError(f"{path}, vector {number:,}: {error}") from error
                if not (numpy.abs(self._found[word]) < _GREATEST).all():
                    raise UserError(
                        f"{path}, vector {number:,}: the numbers of {word!r} must be finite, below {_GREATEST:g}"
                    )

    def words(self, line: str) -> list[str]:
        return self._tokenized(line).split()

    def find(self, word: str | int) -> Array | None:
        return self._found.get(str(word), self._found.get(str(word).lower()))


def load_vectors(path: Path, lines: Iterable[str]) -> Vectors:
    """Those of a run's folder, or of a file for the words of these lines."""
    return RunVectors(path) if path.is_dir() else FileVectors(path, lines)


def check_vectors(path: Path) -> None:
    """Raises UserError, before any work, for what cannot be read or has no vector, and if POT is not installed."""
    if find_spec("ot") is None:
        raise UserError("WMD and WRD need one more package: pip install 'beamtrain[transport]'")
    if path.is_dir():
        load_description(path)
    elif next(_entries(path), None) is None:
        raise UserError(f"{path}: no word vectors; each line must be a word and its numbers")


def _entries(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Every word with its numbers; a word may have spaces in it, where others have shown how many numbers there are."""
    width = -1
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                word, *numbers = line.rstrip().rsplit(" ", width)
                if numbers and not (number == 0 and len(numbers) == 1):  # the sizes
                    width = len(numbers) if width < 0 else width
                    yield word, numbers
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise UserError(f"{path}: word vectors cannot be read ({error})") from error
