"""What an export wrote, loaded as its users load it, to be compared with the network."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from beamtrain.base.extras import require
from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import BOS, EOS, PAD, Tokenizer
from beamtrain.interop.ctranslate2_engine import CTranslate2Engine
from beamtrain.interop.export_huggingface import PURPOSE
from beamtrain.interop.parity import log_probs, of_tokens
from beamtrain.runs.loading import load_run
from beamtrain.search.beam import beam_search
from beamtrain.search.length import longest_translations
from beamtrain.search.options import SearchOptions

Rows = Sequence[Sequence[int]]


class HuggingFaceCounterpart:
    """`AutoTokenizer` and `AutoModelForSeq2SeqLM` of a folder; beam search as its generation_config.json says."""

    name = "transformers"

    def __init__(self, folder: Path) -> None:
        transformers = require("transformers", "hf", PURPOSE)
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self._model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        return self._tokenizer(list(lines)).input_ids if lines else []

    @torch.no_grad()
    def search(self, sources: Rows, options: SearchOptions) -> list[list[int]]:
        greedy = {
            "num_beams": 1,
            "early_stopping": None,
            "length_penalty": None,
            "no_repeat_ngram_size": options.no_repeat_ngram,
            "min_new_tokens": max(0, options.min_length - 1),
        }
        rows = self._model.generate(
            pad(sources),
            attention_mask=torch.ones(len(sources), len(sources[0]), dtype=torch.long),
            max_length=longest_translations([len(sources[0])], options)[0] + 1,  # BOS is one
            **(greedy if options.beam_size == 1 else {}),
        )
        return [[token for token in row[1:] if token not in (EOS, PAD)] for row in rows.tolist()]

    @torch.no_grad()
    def log_probs(self, sources: Rows, targets: Rows) -> list[list[float]]:
        source, target_in = pad(sources), pad([[BOS, *target] for target in targets])
        output = self._model(
            input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=target_in, use_cache=False
        )
        return of_tokens(output.logits, targets)


class CTranslate2Counterpart:
    """Our engine by CTranslate2, which leaves subwords to us."""

    name = "CTranslate2"

    def __init__(self, engine: CTranslate2Engine, tokenizer: Tokenizer) -> None:
        self._engine, self._tokenizer = engine, tokenizer

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        return [[*source, EOS] for source in self._tokenizer.source.encode(list(lines))]

    def search(self, sources: Rows, options: SearchOptions) -> list[list[int]]:
        found = self._engine.search(sources, [[]] * len(sources), replace(options, n_best=1))
        return [hypotheses[0].tokens for hypotheses in found]

    def log_probs(self, sources: Rows, targets: Rows) -> list[list[float]]:
        return self._engine.log_probs(sources, targets)


class RunCounterpart:
    """The run that was written, loaded again."""

    name = "the exported run"

    def __init__(self, folder: Path) -> None:
        self._run = load_run(folder)

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        return [[*source, EOS] for source in self._run.tokenizer.source.encode(list(lines))]

    def search(self, sources: Rows, options: SearchOptions) -> list[list[int]]:
        return [found[0].tokens for found in beam_search(self._run.network, pad(sources), options)]

    def log_probs(self, sources: Rows, targets: Rows) -> list[list[float]]:
        return log_probs(self._run.network, sources, targets)
