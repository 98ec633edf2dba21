"""A model of Hugging Face's library in its own numbering, as `parity` asks it: in ours."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from beamtrain.data.batch import pad
from beamtrain.data.foreign_tokenizer import quiet_transformers
from beamtrain.data.tokenizer import PAD
from beamtrain.interop.conventions import Conventions
from beamtrain.interop.export_huggingface import average_alpha
from beamtrain.interop.parity import of_tokens
from beamtrain.search.length import longest_translations
from beamtrain.search.options import SearchOptions

Rows = Sequence[Sequence[int]]


class ForeignCounterpart:
    """Its tokenizer, its network and `generate`, which is told all that it is to do.

    `generate` begins with the model's own tokens, never says PAD, as we do not, and ends with EOS where a translation
    gets no longer.
    """

    name = "transformers"

    def __init__(self, network: Any, tokenizer: Any, conventions: Conventions) -> None:
        self._settings = quiet_transformers("comparing with a model of Hugging Face's library").GenerationConfig
        network.generation_config = self._settings()  # which would fill in what is not said
        self._network, self._tokenizer = network, tokenizer
        self._numbering, self._start, self._first = conventions.numbering, conventions.start, conventions.first

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        if not lines:
            return []
        code = self._tokenizer.convert_ids_to_tokens(self._numbering.source_prefix)
        marked = "".join(code) if hasattr(self._tokenizer, "supported_language_codes") else ""
        numbering = self._numbering
        rows = self._tokenizer([marked + line for line in lines], verbose=False)["input_ids"]
        return [numbering.ends_swapped(numbering.source.to_ours(row)) for row in rows]

    @torch.no_grad()
    def search(self, sources: Rows, options: SearchOptions) -> list[list[int]]:
        longest, target = longest_translations([len(sources[0])], options)[0], self._numbering.target
        beams = options.beam_size > 1
        rows = self._network.generate(
            **self._sources(sources),
            generation_config=self._settings(
                num_beams=options.beam_size,
                do_sample=False,
                length_penalty=average_alpha(options) if beams else None,
                early_stopping="never" if beams else None,
                max_new_tokens=longest,
                min_new_tokens=max(options.min_length - 1, 0) or None,
                no_repeat_ngram_size=options.no_repeat_ngram or None,
                suppress_tokens=[target.pad],
                pad_token_id=target.pad,
                eos_token_id=target.eos,
                decoder_start_token_id=self._start,
                forced_bos_token_id=self._first,
                forced_eos_token_id=target.eos,
            ),
        )
        ends = (target.eos, target.pad)
        return [target.to_ours(each for each in row[1:] if each not in ends) for row in rows.tolist()]

    @torch.no_grad()
    def log_probs(self, sources: Rows, targets: Rows) -> list[list[float]]:
        target = self._numbering.target
        inputs = [[self._start, *target.to_theirs(row)] for row in targets]
        longest = max(map(len, inputs))
        padded = torch.tensor([row + [target.pad] * (longest - len(row)) for row in inputs])
        logits = self._network(**self._sources(sources), decoder_input_ids=padded, use_cache=False).logits  # (B, T, V)
        return of_tokens(target.logits_to_ours(logits), targets)

    def _sources(self, sources: Rows) -> dict[str, Tensor]:
        ours = pad([self._numbering.ends_swapped(row) for row in sources])
        theirs = torch.tensor(self._numbering.source.theirs)[ours]
        return {"input_ids": theirs, "attention_mask": (ours != PAD).long()}
