"""Which tokens a search may not use, and what it must use."""

import math

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.model.base import Seq2Seq
from beamtrain.search.length import least, length_limits


class Constraints:
    """Forbids tokens by setting their log-probability to -inf; all others keep the model's log-probability.

    - PAD and BOS are never used.
    - A token of the forced prefix is the only one allowed at its position, whatever the rules below say; so is
      `first_token` at the first, if there is one.
    - At a sentence's last allowed position only EOS is allowed: every hypothesis is a complete sentence.
    - Before `min_length` tokens (EOS included) EOS is not allowed.
    - With `no_repeat_ngram` = n, no token may complete n tokens that its hypothesis already has (Paulus et al. 2018,
      section 2.5). EOS is exempt, and where that leaves no other token, EOS is allowed before `min_length` too.

    Args:
        limits: (B,) the most tokens of each sentence, EOS included; at least min_length and the prefix with EOS.
        min_length: the fewest tokens, EOS included.
        no_repeat_ngram: n, or 0 for no such rule.
        prefix: (B, P) ids padded with PAD, or None.
        first_token: what every hypothesis begins with, as every prefix that is not empty has to; None: anything.
        first_limit: the least of the limits, or less, if it is known: on a GPU asking is a wait.
    """

    def __init__(
        self,
        limits: Tensor,
        min_length: int = 0,
        no_repeat_ngram: int = 0,
        prefix: Tensor | None = None,
        first_token: int | None = None,
        first_limit: int | None = None,
    ) -> None:
        self.limits = limits
        self.min_length, self.no_repeat_ngram = min_length, no_repeat_ngram
        self.prefix = limits.new_empty(limits.size(0), 0) if prefix is None else prefix
        if first_token is not None:
            self.prefix = _beginning_with(first_token, self.prefix)
        self._first_limit = int(limits.min()) if first_limit is None else first_limit

    @classmethod
    def for_sources(
        cls,
        source_mask: Tensor,
        network: Seq2Seq,
        *,
        max_length: int | None,
        max_length_ratio: float,
        max_length_offset: int,
        min_length: int = 0,
        no_repeat_ngram: int = 0,
        prefix: Tensor | None = None,
    ) -> "Constraints":
        """With the limits that follow from the sources (B, S), see `length_limits`, and from the network; raised for a
        prefix and its EOS.

        Raises:
            UserError: the prefix is malformed, or does not fit into max_length.
        """
        first_token, max_length = network.first_token, least(max_length, network.max_positions)
        lengths = source_mask.sum(1)  # (B,)
        at_least = torch.full_like(lengths, max(1 if first_token is None else 2, min_length))
        if prefix is not None:
            check_prefix(prefix, lengths.size(0), max_length)
            at_least = at_least.maximum((prefix != PAD).sum(1) + 1)
        limits = length_limits(lengths, max_length, max_length_ratio, max_length_offset, at_least)
        return cls(limits, min_length, no_repeat_ngram, prefix, first_token)

    def keep(self, rows: Tensor) -> None:
        """Drop all sentences but `rows` (R,)."""
        self.limits, self.prefix = self.limits[rows], self.prefix[rows]
        self._first_limit = int(self.limits.min())

    def forbid(self, log_probs: Tensor, history: Tensor) -> None:
        """Set forbidden entries of log_probs (B, K, V) to -inf in place, given the tokens so far (B, K, t)."""
        forced = self._forced(history.size(-1))
        if forced is None:
            self._forbid(log_probs, history)
            return
        forced = forced[:, None, None].expand(-1, log_probs.size(1), 1)  # (B,) -> (B, K, 1)
        log_prob = log_probs.gather(-1, forced)
        self._forbid(log_probs, history)
        log_probs.masked_fill_(forced != PAD, -math.inf)
        log_probs.scatter_(-1, forced, log_prob.masked_fill(forced == PAD, -math.inf))

    def _forced(self, position: int) -> Tensor | None:
        """(B,) the only token allowed at this position, PAD where there is a choice; None where there always is."""
        in_prefix, closing = position < self.prefix.size(1), position + 1 >= self._first_limit
        if not (in_prefix or closing):
            return None
        forced = self.prefix[:, position] if in_prefix else torch.full_like(self.limits, PAD)
        return forced.masked_fill(position + 1 >= self.limits, EOS)

    def _forbid(self, log_probs: Tensor, history: Tensor) -> None:
        """The rules for free positions."""
        position = history.size(-1)
        end = log_probs[..., EOS].clone()  # (B, K)
        log_probs[..., PAD] = log_probs[..., BOS] = -math.inf
        if position + 1 < self.min_length:
            log_probs[..., EOS] = -math.inf
        if 0 < self.no_repeat_ngram <= position:
            log_probs.scatter_(-1, _repeating(history, self.no_repeat_ngram), -math.inf)
            stuck = log_probs.amax(-1) == -math.inf  # (B, K)
            log_probs[..., EOS] = torch.where(stuck, end, log_probs[..., EOS])


def _beginning_with(first_token: int, prefix: Tensor) -> Tensor:
    """Prefixes (B, P) with that token where there is none: (B, P), or (B, 1) for P = 0"""
    prefix = prefix if prefix.size(1) else prefix.new_full((prefix.size(0), 1), PAD)
    first = prefix[:, :1]
    return torch.cat((first.masked_fill(first == PAD, first_token), prefix[:, 1:]), dim=1)


def _repeating(history: Tensor, n: int) -> Tensor:
    """Tokens that would complete an n-gram of their own history (B, K, t) again: (B, K, t - n + 1), or PAD."""
    ngrams = history.unfold(-1, n, 1)  # (B, K, t - n + 1, n)
    latest = history[..., history.size(-1) - n + 1 :].unsqueeze(2)  # (B, K, 1, n - 1)
    again = (ngrams[..., :-1] == latest).all(-1)  # always true for n = 1
    return ngrams[..., -1].masked_fill(~again, PAD)


def check_prefix(prefix: Tensor, sentences: int, max_length: int | None) -> None:
    """Raises UserError unless `prefix` is (sentences, P) target ids, PAD only at the end, and leaves room for EOS."""
    if prefix.dim() != 2 or prefix.size(0) != sentences:
        raise UserError(
            f"prefix has shape {tuple(prefix.shape)}; it must have one row for each of {sentences} sentences"
        )
    padding = prefix == PAD  # (B, P)
    if bool((padding[:, :-1] & ~padding[:, 1:]).any()):
        raise UserError("a prefix has PAD between its tokens; it may only stand after them")
    if bool(((prefix == BOS) | (prefix == EOS)).any()):
        raise UserError("a prefix holds BOS or EOS; give its subwords only")
    longest = int((~padding).sum(1).max()) + 1
    if max_length is not None and longest > max_length:
        raise UserError(f"a prefix and its EOS have {longest} tokens, max_length is {max_length}; raise it")
