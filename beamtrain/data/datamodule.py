"""The data behind Lightning's interface: what a config's `data:` section sets."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.data.cleaning import CleaningCounts
from beamtrain.data.corpus import ROLES, Role, Split, Text, absolute, open_corpus
from beamtrain.data.loader import BatchLoader, PairDataset, evaluation_loader
from beamtrain.data.prepare import Prepared, prepare
from beamtrain.data.resegment import Resegment
from beamtrain.data.sampler import EpochSampler
from beamtrain.data.tokenizer import BOS, EOS, PAD, UNK, Normalization, Side, Tokenizer


class TranslationData(LightningDataModule):
    """A parallel corpus as batches of subwords.

    Args:
        source: where the text is: a local folder or file, a bundled corpus, or a hub id such as `wmt/wmt14`.
        source_lang: language to translate from, as files or columns name it.
        target_lang: language to translate into.
        config_name: configuration of a hub data set such as `de-en`, or subfolder of a local one.
        train_split: split to train on, by name or path; None finds it by its name.
        validation_split: split to validate on; None takes validation, valid, val or dev.
        test_split: split to report on; None takes test, test_* or newstest*, if there is just one.
        train_rows: train on the first so many pairs only; None takes all.
        vocab_size: subwords in the vocabulary (in each of the two, if not joint), control pieces included.
        subwords: how subwords are learnt, `unigram` or `bpe`.
        joint_vocabulary: one vocabulary for both languages.
        byte_fallback: spell unknown characters as bytes; otherwise they are lost as UNK.
        character_coverage: share of the characters of the training text that the vocabulary holds, 0 to 1.
        source_normalization: what is done to source text before it is cut into subwords: `nmt_nfkc` (Unicode's NFKC,
            control characters dropped, all kinds of white space made spaces), `nfkc`, both also with case folding
            (`nmt_nfkc_cf`, `nfkc_cf`), or nothing: `identity`.
        target_normalization: the same for target text, and so for what is translated.
        subword_sampling: alpha of subword regularisation in training; 0 is off, smaller unigram alphas are wilder.
        tokenizer_from: folder with the tokenizer to use, such as a run; None learns one from the training text.
        max_length: training pairs with a longer side are dropped, in subwords.
        max_length_ratio: training pairs with one side so many times longer than the other are dropped, in subwords.
        deduplicate: drop training pairs that occurred before.
        batch_tokens: budget of a training batch on each process, rows x longest side, in subwords.
        eval_batch_tokens: the same for the likelihood of the validation text; translating it has batches of its own.
        num_workers: processes that make training batches ahead; 0 makes them in the training process.
        cache_dir: folder for prepared corpora; None is `beamtrain` in XDG_CACHE_HOME or ~/.cache.
        seed: fixes the batches and their order.
    """

    def __init__(
        self,
        source: str = "phrasebook",
        source_lang: str = "en",
        target_lang: str = "de",
        config_name: str | None = None,
        train_split: str | None = None,
        validation_split: str | None = None,
        test_split: str | None = None,
        train_rows: int | None = None,
        vocab_size: int = 8000,
        subwords: Literal["unigram", "bpe"] = "unigram",
        joint_vocabulary: bool = True,
        byte_fallback: bool = True,
        character_coverage: float = 0.9999,
        source_normalization: Normalization = "nmt_nfkc",
        target_normalization: Normalization = "identity",
        subword_sampling: float = 0.0,
        tokenizer_from: str | None = None,
        max_length: int = 256,
        max_length_ratio: float = 4.0,
        deduplicate: bool = True,
        batch_tokens: int = 4096,
        eval_batch_tokens: int = 4096,
        num_workers: int = 0,
        cache_dir: str | None = None,
        seed: int = 1,
    ) -> None:
        super().__init__()
        if not source:
            raise UserError("data.source is empty: say what to train on, by --data.source FOLDER for instance")
        for name, value, allowed, needed in (
            ("train_rows", train_rows, train_rows is None or train_rows > 0, "at least 1"),
            ("vocab_size", vocab_size, vocab_size > len((PAD, BOS, EOS, UNK)), "more than the 4 control pieces"),
            ("character_coverage", character_coverage, 0 < character_coverage <= 1, "more than 0, at most 1"),
            ("subword_sampling", subword_sampling, 0 <= subword_sampling <= 1, "from 0 to 1"),
            ("max_length", max_length, max_length > 0, "at least 1"),
            ("max_length_ratio", max_length_ratio, max_length_ratio >= 1, "at least 1"),
            ("batch_tokens", batch_tokens, batch_tokens > max_length, f"more than max_length, which is {max_length}"),
            ("eval_batch_tokens", eval_batch_tokens, eval_batch_tokens > 0, "at least 1"),
            ("num_workers", num_workers, num_workers >= 0, "at least 0"),
            ("seed", seed, seed >= 0, "at least 0"),
        ):
            if not allowed:
                raise UserError(f"data.{name} is {value}; it must be {needed}")
        self.source = source
        self.source_lang = source_lang
        self.target_lang = target_lang
        self._config_name = config_name
        self._split_names: dict[Role, str | None] = {
            "train": train_split,
            "validation": validation_split,
            "test": test_split,
        }
        self._train_rows = train_rows
        self._vocab_size = vocab_size
        self._subwords = subwords
        self._joint_vocabulary = joint_vocabulary
        self._byte_fallback = byte_fallback
        self._character_coverage = character_coverage
        self._normalization: dict[Side, Normalization] = {
            "source": source_normalization,
            "target": target_normalization,
        }
        self._subword_sampling = subword_sampling
        self._tokenizer_from = tokenizer_from
        self._max_length = max_length
        self._max_length_ratio = max_length_ratio
        self._deduplicate = deduplicate
        self._batch_tokens = batch_tokens
        self._eval_batch_tokens = eval_batch_tokens
        self._num_workers = num_workers
        self._cache_dir = Path(cache_dir).expanduser() if cache_dir else default_cache()
        self._seed = seed
        self._splits: dict[Role, Split] | None = None
        self._prepared: Prepared | None = None

    @property
    def splits(self) -> dict[Role, str]:
        """Role -> the corpus's own name of that split."""
        return {role: split.name for role, split in self._corpus().items()}

    @property
    def tokenizer(self) -> Tokenizer:
        """The subword models of both sides."""
        return self._ready().tokenizer

    @property
    def cleaning(self) -> CleaningCounts:
        """What cleaning dropped from the training split."""
        return self._ready().counts

    @property
    def digests(self) -> dict[str, str]:
        """What the numbers of a training run depend on: digests of the vocabulary and of the text it is trained and
        validated on, equal whenever the tokens are."""
        prepared = self._ready()
        return {
            "vocabulary": prepared.tokenizer.fingerprint(),
            "training text": prepared.digests["train"],
            "development text": prepared.digests["validation"],
        }

    def longest(self, role: Role) -> int:
        """Tokens of the longest sentence of a split, on either side, EOS included."""
        source, target, _ = self._ready().tables(role)
        return int(max(source.lengths.max(), target.lengths.max()))

    def pairs(self, split: str, most: int | None = None) -> tuple[list[str], list[str]]:
        """Raw source and reference lines of a split, by its role or name, in the order of the corpus; the first `most`.

        Raises:
            UserError: the corpus has no such split.
        """
        for role, found in self._corpus().items():
            if split in (role, found.name):
                return _lines(found, most)
        if split in ROLES:
            self._require(split)
        return _lines(self._open({"test": split})["test"], most)

    def prepare_data(self) -> None:
        """Prepare the corpus, or find it prepared, and say on standard error what cleaning dropped."""
        prepared = self._ready()
        print(f"{self.source}: {prepared.counts} (prepared in {prepared.folder})", file=sys.stderr)

    def setup(self, stage: str | None = None) -> None:
        """Open the prepared corpus."""
        self._ready()

    def train_dataloader(self) -> BatchLoader:
        """Training batches, resumable after any of them."""
        source, target, rows = self._ready().tables("train")
        resample = None
        if self._subword_sampling > 0:
            text = self._corpus()["train"].load()
            resample = Resegment(
                text, self.tokenizer, alpha=self._subword_sampling, seed=self._seed, longest=self.longest("train")
            )
        rank, world_size = self._process()
        sampler = EpochSampler(
            source.lengths,
            target.lengths,
            batch_tokens=self._batch_tokens,
            seed=self._seed,
            rank=rank,
            world_size=world_size,
        )
        return BatchLoader(PairDataset(source, target, rows, resample), sampler, num_workers=self._num_workers)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Every validation pair once, in the same batches every time."""
        source, target, rows = self._ready().tables("validation")
        rank, world_size = self._process()
        return evaluation_loader(
            PairDataset(source, target, rows),
            source.lengths,
            target.lengths,
            batch_tokens=self._eval_batch_tokens,
            rank=rank,
            world_size=world_size,
        )

    def _process(self) -> tuple[int, int]:
        """Number of this process among those that train together, and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _corpus(self) -> dict[Role, Split]:
        if self._splits is None:
            self._splits = self._open(self._split_names)
        return self._splits

    def _open(self, split_names: dict[Role, str | None]) -> dict[Role, Split]:
        return open_corpus(
            self.source,
            source_lang=self.source_lang,
            target_lang=self.target_lang,
            config_name=self._config_name,
            split_names=split_names,
            cache_dir=self._cache_dir,
        )

    def _require(self, role: str) -> None:
        if role not in self._corpus():
            there = ", ".join(self.splits.values()) or "none"
            raise UserError(f"{self.source} has no {role} split (it has {there}); name one by data.{role}_split")

    def _ready(self) -> Prepared:
        if self._prepared is None:
            self._require("train")
            self._require("validation")
            self._prepared = prepare(
                self._corpus(),
                cache_dir=self._cache_dir,
                tokenizer=self._given_tokenizer(),
                vocab_size=self._vocab_size,
                algorithm=self._subwords,
                joint=self._joint_vocabulary,
                byte_fallback=self._byte_fallback,
                character_coverage=self._character_coverage,
                normalization=self._normalization,
                max_length=self._max_length,
                max_length_ratio=self._max_length_ratio,
                deduplicate=self._deduplicate,
                train_rows=self._train_rows,
            )
        return self._prepared

    def _given_tokenizer(self) -> Tokenizer | None:
        if self._tokenizer_from is None:
            return None
        tokenizer = Tokenizer.load(self._tokenizer_from)
        for name, has, wanted in (
            ("vocab_size", tokenizer.source.vocab_size, self._vocab_size),
            ("vocab_size", tokenizer.target.vocab_size, self._vocab_size),
            ("joint_vocabulary", tokenizer.joint, self._joint_vocabulary),
            ("source_normalization", tokenizer.source.normalization, self._normalization["source"]),
            ("target_normalization", tokenizer.target.normalization, self._normalization["target"]),
        ):
            if has not in (wanted, None):
                raise UserError(
                    f"data.{name} is {str(wanted).lower()}, but the tokenizer in {self._tokenizer_from} was made with "
                    f"{str(has).lower()}; set it to that"
                )
        if self._subword_sampling and not tokenizer.can_sample:
            raise UserError(
                f"data.subword_sampling is {self._subword_sampling}, but the tokenizer in {self._tokenizer_from} cuts "
                "a text in one way only; set it to 0"
            )
        return tokenizer


def with_absolute_places(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `TranslationData` with every place among them such that it holds in every folder."""
    others = {
        name: os.path.abspath(Path(place).expanduser())
        for name, place in settings.items()
        if name in ("tokenizer_from", "cache_dir") and place is not None
    }
    return {**absolute(settings, settings["source_lang"], settings["target_lang"]), **others}


def _lines(split: Split, most: int | None) -> tuple[list[str], list[str]]:
    text = Text(split.load())
    return text.read(0, len(text) if most is None else min(most, len(text)))


def default_cache() -> Path:
    """Where prepared corpora lie unless `cache_dir` says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beamtrain"
