"""Forced decoding: what probability a network gives to translations that it did not choose."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from beamtrain.base.inference_sizes import BATCH_TOKENS, MAX_SOURCE_TOKENS
from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import BOS, EOS, PAD, Tokenizer
from beamtrain.model.base import Seq2Seq
from beamtrain.search.unroll.log_probs import token_log_probs
from beamtrain.translating.packing import packed


@dataclass(frozen=True)
class Forced:
    """A given translation under the model."""

    log_prob: float
    """Of the whole sentence, its EOS included, spelled in the subwords that the tokenizer gives it."""
    length: int
    """Tokens, EOS included."""


@dataclass(frozen=True)
class _Pair:
    line: int
    source: list[int]  # ends in EOS
    target: list[int]  # ends in EOS

    @property
    def longest(self) -> int:
        return max(len(self.source), len(self.target))


@torch.no_grad()
def forced(
    network: Seq2Seq,
    tokenizer: Tokenizer,
    sources: Sequence[str],
    translations: Sequence[str],
    *,
    batch_tokens: int = BATCH_TOKENS,
    max_source_tokens: int = MAX_SOURCE_TOKENS,
) -> list[Forced | None]:
    """The log-probability of each translation of its source; None where the translator would leave the line empty, or
    the network has no positions for the translation."""
    most = network.max_positions or math.inf
    rows = zip(tokenizer.source.encode(list(sources)), tokenizer.target.encode(list(translations)), strict=True)
    pairs = [
        _Pair(line, [*source, EOS], [*target, EOS])
        for line, (source, target) in enumerate(rows)
        if sources[line].strip() and 0 < len(source) <= min(max_source_tokens, most - 1) and len(target) < most
    ]
    found: list[Forced | None] = [None] * len(sources)
    device = next(network.parameters()).device
    for batch in packed(pairs, lambda pair: pair.longest, batch_tokens):
        memory = network.encode(pad([pair.source for pair in batch]).to(device))
        target_out = pad([pair.target for pair in batch]).to(device)  # (B, T)
        target_in = pad([[BOS, *pair.target[:-1]] for pair in batch]).to(device)
        real = target_out != PAD
        hidden = network.decode(memory, target_in)[real]  # (B, T, D) -> (N, D)
        log_probs = target_out.new_zeros(target_out.shape, dtype=torch.float32)
        log_probs[real] = token_log_probs(network, hidden, target_out[real]).float()
        for pair, total in zip(batch, log_probs.double().sum(1).tolist(), strict=True):
            found[pair.line] = Forced(total, len(pair.target))
    return found
