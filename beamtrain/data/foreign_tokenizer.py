"""The tokenizer of a model of Hugging Face's library, run by that library, with our ids.

Its files lie in the folder `huggingface` of a run or of a prepared corpus, beside the model's own settings, and
numbering.json, which says how our ids follow from theirs and what stands around a text.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from beamtrain.base.errors import UserError
from beamtrain.base.extras import require
from beamtrain.base.files import atomic_path
from beamtrain.base.typed_values import check_values
from beamtrain.data.renumbering import Renumbering
from beamtrain.data.tokenizer import EOS, FOREIGN, UNK, Side, Subwords, Tokenizer

NUMBERING = "numbering.json"
EXTRA = "hf"  # of this package, with what such a tokenizer needs
KINDS = ("Marian", "Pegasus", "M2M100", "Nllb", "Bart", "Roberta", "MBart", "MBart50")
CLASSES = {f"{kind}Tokenizer{fast}" for kind in KINDS for fast in ("", "Fast")} | {
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
}
"""What a tokenizer_config.json may name: classes of the library, none of which runs what lies in a folder."""


@dataclass(frozen=True)
class Numbering:
    """How a text becomes our ids, on either side."""

    source: Renumbering
    target: Renumbering
    source_prefix: list[int]
    """Their tokens before a source, such as the code of its language."""
    target_prefix: list[int]
    source_end: int | None = None
    """Their token that ends a source after EOS, if one does. Our EOS then stands for it, and its id for EOS."""
    source_lang: str | None = None
    """The library's code of the source's language, for a tokenizer that wants one."""
    target_lang: str | None = None

    def __post_init__(self) -> None:
        end = [] if self.source_end is None else [self.source_end]
        for ids, size in (([*self.source_prefix, *end], self.source.size), (self.target_prefix, self.target.size)):
            if not all(isinstance(each, int) and 0 <= each < size for each in ids):
                raise UserError(f"{ids} are not all tokens of a vocabulary of {size:,}")

    def ends_swapped(self, ids: Sequence[int]) -> list[int]:
        """Our ids of a source, with EOS for what ends it."""
        if self.source_end is None:
            return list(ids)
        last = self.source.ours[self.source_end]
        return [{EOS: last, last: EOS}.get(each, each) for each in ids]

    def to_text(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str, where: str) -> "Numbering":
        """Read what `to_text` gave; `where` is what the file is called in messages.

        Raises:
            UserError: it is damaged.
        """
        try:
            said = json.loads(text)
        except ValueError as error:
            raise UserError(f"{where} is damaged: it is no JSON ({error})") from error
        sides, ids = ("source", "target"), ("source_prefix", "target_prefix")
        optional = {"source_end": int | None, "source_lang": str | None, "target_lang": str | None}
        check_values(said, dict.fromkeys(sides, dict) | dict.fromkeys(ids, list) | optional, (*sides, *ids), where)
        layout = {"size": int, "pad": int, "eos": int, "unk": int | None}
        for side in sides:
            check_values(said[side], layout, ("size", "pad", "eos"), f"{where}: {side}")
        try:
            return cls(**{**said, **{side: Renumbering(**said[side]) for side in sides}})
        except UserError as error:
            raise UserError(f"{where}: {error}") from error


class ForeignTokenizer(Tokenizer):
    """The tokenizer in such a folder.

    Args:
        files: the names and the content of all that lies there.
        where: what the folder is called in messages.

    Raises:
        UserError: a file is missing or damaged, or the library is not installed.
    """

    can_sample = False

    def __init__(self, files: dict[str, bytes], where: str = FOREIGN) -> None:
        if NUMBERING not in files:
            raise UserError(f"{where} has no {NUMBERING}: import the model again")
        self.files = files
        self.numbering = Numbering.from_text(files[NUMBERING].decode(errors="replace"), f"{where}/{NUMBERING}")
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            backend = load_backend(Path(folder), where)
        speak_between(backend, self.numbering.source_lang, self.numbering.target_lang)
        self.source = ForeignSubwords(backend, "source", self.numbering)
        self.target = ForeignSubwords(backend, "target", self.numbering)
        self.backend = backend

    @cached_property
    def joint(self) -> bool:
        return not getattr(self.backend, "separate_vocabs", False)

    def fingerprint(self) -> str:
        digest = blake2b(digest_size=16)
        for name, content in sorted(self.files.items()):
            digest.update(f"{name} {len(content)}\n".encode() + content)
        return digest.hexdigest()

    def _write(self, folder: Path) -> set[str]:
        for path in (folder / FOREIGN).glob("*"):  # what a killed process left of another model
            if path.is_file() and path.name not in self.files:
                path.unlink()
        for name, content in self.files.items():
            with atomic_path(folder / FOREIGN / name) as temporary:
                temporary.write_bytes(content)
        return {FOREIGN}

    @classmethod
    def read(cls, folder: Path) -> "ForeignTokenizer":
        """What `save` wrote into `folder`."""
        try:
            files = {path.name: path.read_bytes() for path in sorted((folder / FOREIGN).iterdir()) if path.is_file()}
        except OSError as error:
            raise UserError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
        return cls(files, f"{folder}/{FOREIGN}")

    def __reduce__(self) -> tuple[type["ForeignTokenizer"], tuple[dict[str, bytes]]]:
        return ForeignTokenizer, (self.files,)


class ForeignSubwords(Subwords):
    """One side of such a tokenizer.

    Special tokens in a source are read as the library reads them; in a target `</s>` is four letters. PAD is read in
    neither.
    """

    normalization = None

    def __init__(self, backend: Any, side: Side, numbering: Numbering) -> None:
        self.backend, self._side, self._numbering = backend, side, numbering
        self._ids: Renumbering = getattr(numbering, side)
        self._prefix = self._ids.to_ours(getattr(numbering, f"{side}_prefix"))

    @property
    def vocab_size(self) -> int:
        return self._ids.size + 1

    @cached_property
    def vocabulary(self) -> list[str]:
        return [self._names.get(each, f"<unused {each}>") for each in range(self.vocab_size)]

    @cached_property
    def _names(self) -> dict[int, str]:
        """The tokens that have a name; a model may have vectors for more."""
        vocabulary = self.backend.get_vocab() | getattr(self.backend, "lang_token_to_id", {})  # M2M100's are not in it
        if self._side == "target" and getattr(self.backend, "separate_vocabs", False):
            vocabulary = self.backend.target_encoder
        return {self._ids.ours[each]: name for name, each in vocabulary.items() if each < self._ids.size}

    def encode(self, lines: list[str]) -> list[list[int]]:
        if not lines:
            return []
        settings = {"add_special_tokens": False, "verbose": False}
        if self._side == "source":
            texts = self.backend(lines, **settings)["input_ids"]
            dropped = {self._ids.pad}
        else:
            texts = self.backend(text_target=lines, split_special_tokens=True, **settings)["input_ids"]
            dropped = {self._ids.pad, self._ids.eos}
        return [self._surrounded([each for each in text if each not in dropped]) for text in texts]

    def _surrounded(self, theirs: list[int]) -> list[int]:
        if not theirs:
            return []
        ours = [*self._prefix, *self._ids.to_ours(theirs)]
        if self._side == "target":
            return ours
        before_the_end = [] if self._numbering.source_end is None else [EOS]
        return self._numbering.ends_swapped([*ours, *before_the_end])

    def decode(self, ids: list[list[int]]) -> list[str]:
        if not ids:
            return []
        rows = [self._ids.to_theirs([each if each in self._names else UNK for each in self._said(row)]) for row in ids]
        texts = self.backend.batch_decode(rows, skip_special_tokens=True)
        return [" ".join(text.split("\n")) for text in texts]

    def _said(self, ids: list[int]) -> list[int]:
        """A text without what every text of the side begins with."""
        return ids[len(self._prefix) :] if ids[: len(self._prefix)] == self._prefix else ids

    def pieces(self, ids: list[int]) -> list[str]:
        ids = self._numbering.ends_swapped(ids) if self._side == "source" else ids
        return [self._names.get(each, f"<unused {each}>") for each in ids]

    def sample(self, lines: list[str], alpha: float, seeds: list[int]) -> list[list[int]]:
        raise UserError("data.subword_sampling: this tokenizer cuts a text in one way only; set it to 0")


def load_backend(folder: Path, where: str) -> Any:
    """The library's tokenizer in `folder`, none of whose files is run.

    Raises:
        UserError: there is none, it is damaged, of another kind than `KINDS`, or would run code of its own.
    """
    transformers = quiet_transformers("a model of Hugging Face's library")
    name = _class_name(folder, where)
    if name is not None and name not in CLASSES:
        raise UserError(f"{where}: a tokenizer of the class {name}; those that can be used here: {', '.join(KINDS)}")
    try:
        backend = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # a broken or missing file raises half a dozen types, Rust's among them
        said = " ".join(str(error).split()).replace(str(folder), where)
        raise UserError(f"{where}: its tokenizer cannot be read ({said[:200]})") from error
    names = [*type(backend).vocab_files_names.values(), "tokenizer.json"]
    if not any((folder / each).is_file() for each in names):  # the library then makes an empty one
        raise UserError(f"{where}: its tokenizer cannot be read (none of {', '.join(dict.fromkeys(names))} is there)")
    if type(backend).__name__ not in CLASSES:
        raise UserError(
            f"{where}: a tokenizer of the class {type(backend).__name__}; those that can be used here: "
            f"{', '.join(KINDS)}"
        )
    return backend


def quiet_transformers(purpose: str) -> Any:
    """The library, without hints that are meant for programmers, and without progress bars.

    Raises:
        UserError: it is not installed.
    """
    transformers = require("transformers", EXTRA, purpose)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def speak_between(backend: Any, source_lang: str | None, target_lang: str | None) -> None:
    """Set the languages of a tokenizer that has some."""
    if source_lang is not None:
        backend.src_lang = source_lang
    if target_lang is not None:
        backend.tgt_lang = target_lang


def _class_name(folder: Path, where: str) -> str | None:
    """The class that tokenizer_config.json names, if it names one.

    Raises:
        UserError: the file is damaged, or wants code to be run that is not the library's.
    """
    path = folder / "tokenizer_config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise UserError(f"{where}/{path.name} is damaged: it is no JSON ({error})") from error
    if not isinstance(settings, dict):
        raise UserError(f"{where}/{path.name} is damaged: it must hold names with values")
    if "auto_map" in settings:
        raise UserError(f"{where}: its tokenizer is code of its own, which is never run")
    name = settings.get("tokenizer_class")
    return None if name is None else str(name)
