"""What a decoder remembers between two steps of a search.

Keys and values of every position stay where they were written, for all K beams. What moves, when the search picks its
next beams, is only the *ancestry*: for each beam of the present, which beam it was at each position of the past.
A hard search picks, and its ancestry says yes or no. A soft search mixes beams by a row-stochastic matrix P (K, K), and
its ancestry is the product of those matrices; since keys and values are mixed linearly, attending through the product
is attending to mixed caches, without ever writing them.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import dropout

from beamtrain.base.recomputing import recomputed
from beamtrain.base.waits import may_wait
from beamtrain.model.attention import additive, attend
from beamtrain.topk.transforms import product


class DecoderState(ABC):
    """The decoder's memory of B sentences with K beams each."""

    length: int  # positions written so far
    record_attention: bool = False
    attention: Tensor | None = None  # (B, K, S) cross-attention of the last step, kept when `record_attention`

    @abstractmethod
    def reorder(self, parents: Tensor) -> None:
        """Hard search: beam r goes on from beam `parents[b, r]`; from now on there are as many as in `parents`."""

    @abstractmethod
    def keep(self, rows: Tensor) -> None:
        """Drop all sentences but `rows` (R,); they are renumbered in that order."""

    def mix(self, parents: Tensor) -> None:
        """Soft search: beam r goes on from sum_j parents[b, r, j] beam j; rows of `parents` (B, K, K) sum to 1."""
        raise AssertionError("a hard state is reordered, not mixed")

    def cut(self) -> None:
        """Soft search: no gradient goes back beyond this position through the state (truncated back-propagation)."""
        raise AssertionError("a hard state has no gradient")


class Past(ABC):
    """One decoder layer's keys and values of every position so far, and how the beams look at them.

    While the number of beams stays, position s of beam j is row s * K + j.
    """

    @abstractmethod
    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, dropout: float) -> Tensor:
        """Store this position, then attend from each beam to its own past: all (B, H, K, D/H).

        `dropout` is the probability that an attention weight is dropped.
        """

    @abstractmethod
    def keep(self, rows: Tensor) -> None:
        """Drop all sentences but `rows` (R,)."""


class HardAncestry:
    """`visible[b, r, s * K + j]` says that beam r was beam j at position s."""

    mask: Tensor | None = None
    """For attention, additive, (B, 1, K, length * K); None while there has been one beam, which sees all its past."""

    def __init__(self, sentences: int, beams: int, like: Tensor) -> None:
        self.visible = torch.empty(sentences, beams, 0, dtype=torch.bool, device=like.device)  # (B, K, length * K)
        self._like, self._positions = like.new_empty(0), 0

    def extend(self) -> None:
        """Add the present position, where every beam sees itself."""
        self._positions += 1
        B, K, _ = self.visible.shape
        own = torch.eye(K, dtype=torch.bool, device=self.visible.device).expand(B, K, K)
        self.visible = torch.cat((self.visible, own), dim=2)
        alone = K == 1 and self.visible.size(2) == self._positions
        self.mask = None if alone else additive(self.visible, self._like).unsqueeze(1)

    def reorder(self, parents: Tensor) -> None:
        index = parents.unsqueeze(2).expand(-1, -1, self.visible.size(2))
        self.visible = self.visible.gather(1, index)

    def keep(self, rows: Tensor) -> None:
        self.visible = self.visible[rows]


class HardPast(Past):
    """Buffers written in place, for inference. They grow by doubling: a search pays for the length it reaches."""

    def __init__(self, ancestry: HardAncestry) -> None:
        self._ancestry = ancestry
        self._keys: Tensor | None = None  # (B, H, capacity, D/H)
        self._values: Tensor | None = None
        self._used = 0

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, dropout: float) -> Tensor:
        past_keys, past_values = self._append(keys, values)
        return attend(queries, past_keys, past_values, self._ancestry.mask, dropout)

    def _append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, K, D/H) each -> all positions so far, (B, H, length * K, D/H) each"""
        B, H, K, E = keys.shape
        if self._keys is None or self._values is None:
            self._keys, self._values = (keys.new_empty(B, H, 16 * K, E) for _ in range(2))
        elif self._used + K > self._keys.size(2):
            more = keys.new_empty(B, H, max(self._keys.size(2), 16 * K), E)
            self._keys, self._values = torch.cat((self._keys, more), dim=2), torch.cat((self._values, more), dim=2)
        end = self._used + K
        self._keys[:, :, self._used : end] = keys
        self._values[:, :, self._used : end] = values
        self._used = end
        return self._keys[:, :, :end], self._values[:, :, :end]

    def keep(self, rows: Tensor) -> None:
        if self._keys is None or self._values is None:
            return
        moved = (rows != torch.arange(rows.size(0), device=rows.device)).nonzero().squeeze(1)
        for buffer in (self._keys, self._values):
            written = buffer[:, :, : self._used]
            written[moved] = written[rows[moved]]  # the others stay where they are
        self._keys, self._values = self._keys[: rows.size(0)], self._values[: rows.size(0)]


class TreePast(Past):
    """All prefixes of a search that is over, computed at once."""

    def __init__(self, ancestry: HardAncestry) -> None:
        self._ancestry = ancestry

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, dropout: float) -> Tensor:
        """All (B, H, N, D/H)"""
        return attend(queries, keys, values, self._ancestry.visible.unsqueeze(1), dropout)

    def keep(self, rows: Tensor) -> None:
        raise AssertionError("a tree of prefixes is whole")


class SoftAncestry:
    """`share[b, r, s * K + j]` is how much of beam r was beam j at position s: C_s = P_t P_(t-1) ... P_(s+1)."""

    def __init__(self, sentences: int, beams: int, like: Tensor) -> None:
        dtype = torch.promote_types(like.dtype, torch.float32)
        self.share = torch.empty(sentences, beams, 0, dtype=dtype, device=like.device)  # (B, K, length * K)
        self._own = torch.eye(beams, dtype=dtype, device=like.device)

    def extend(self) -> None:
        """Add the present position, where every beam is itself."""
        self.share = torch.cat((self.share, self._own.expand(self.share.size(0), -1, -1)), dim=2)

    def mix(self, parents: Tensor) -> None:
        self.share = product(parents, self.share)  # (B, K, K) x (B, K, length * K)

    def cut(self) -> None:
        self.share = self.share.detach()

    def keep(self, rows: Tensor) -> None:
        self.share = self.share[rows]


class SoftPast(Past):
    """Every position as the network wrote it, in the autograd graph; attention to a long past is recomputed for the
    gradient. So nothing is stored twice: T positions take memory T * K * D per layer, not T^2 * K * D.
    """

    def __init__(self, ancestry: SoftAncestry) -> None:
        self._ancestry = ancestry
        self._positions: list[tuple[Tensor, Tensor]] = []

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, dropout: float) -> Tensor:
        self._positions.append((keys, values))
        all_keys, all_values = zip(*self._positions, strict=True)
        return recomputed(
            _attend_to_mixture,
            queries,
            self._ancestry.share,
            dropout,
            *all_keys,
            *all_values,
            kept=2 * len(all_keys) * keys.numel(),
            draws=dropout > 0,
        )

    def keep(self, rows: Tensor) -> None:
        self._positions = [(keys[rows], values[rows]) for keys, values in self._positions]

    def cut(self) -> None:
        self._positions = [(keys.detach(), values.detach()) for keys, values in self._positions]


def _attend_to_mixture(queries: Tensor, share: Tensor, p: float, *past: Tensor) -> Tensor:
    """Attention of beam r to sum_j C_s[r, j] (k_(s,j), v_(s,j)) for every s.

    queries (B, H, K, D/H), share (B, K, T * K), past: T keys, then T values, each (B, H, K, D/H) -> (B, H, K, D/H)
    """
    T, K = len(past) // 2, queries.size(2)
    keys, values = torch.cat(past[:T], dim=2), torch.cat(past[T:], dim=2)  # (B, H, T * K, D/H)
    logits = queries @ keys.transpose(2, 3) / queries.size(-1) ** 0.5  # (B, H, K, T * K)
    share = share.unsqueeze(1)  # (B, 1, K, T * K)
    mixed = (logits * share).unflatten(3, (T, K)).sum(-1)  # (B, H, K, T)
    weights = dropout(mixed.softmax(-1), p)  # (B, H, K, T)
    weights = weights.repeat_interleave(K, dim=3) * share  # (B, H, K, T * K)
    return weights.to(values.dtype) @ values


class LayerCache:
    """What one decoder layer keeps: its own past, and the source's keys and values, each (B, H, S, D/H)."""

    def __init__(self, past: Past, source: tuple[Tensor, Tensor]) -> None:
        self.past, self.source = past, source

    def keep(self, rows: Tensor) -> None:
        self.past.keep(rows)
        self.source = self.source[0][rows], self.source[1][rows]


class TransformerState(DecoderState):
    """The caches of every layer, and the ancestry that all layers share."""

    def __init__(
        self, ancestry: HardAncestry | SoftAncestry, layers: list[LayerCache], source_mask: Tensor | None
    ) -> None:
        self.ancestry, self.layers, self.length = ancestry, layers, 0
        self.source_mask = source_mask  # for attention, (B, 1, 1, S); None where all tokens of the source are real

    @classmethod
    def hard(cls, sources: list[tuple[Tensor, Tensor]], source_mask: Tensor, beams: int) -> "TransformerState":
        """For inference; `sources` are the source's keys and values for each layer."""
        keys = sources[0][0]
        ancestry = HardAncestry(source_mask.size(0), beams, like=keys)
        by_head = [(keys.contiguous(), values.contiguous()) for keys, values in sources]
        whole = may_wait(source_mask) and bool(source_mask.all())
        mask = None if whole else additive(_for_attention(source_mask), like=keys)
        return cls(ancestry, [LayerCache(HardPast(ancestry), source) for source in by_head], mask)

    @classmethod
    def tree(cls, sources: list[tuple[Tensor, Tensor]], source_mask: Tensor, visible: Tensor) -> "TransformerState":
        """For all N prefixes of a search at once; `visible` (B, N, N) is their hard ancestry."""
        ancestry = HardAncestry(visible.size(0), visible.size(1), like=sources[0][0])
        ancestry.visible = visible
        layers = [LayerCache(TreePast(ancestry), source) for source in sources]
        return cls(ancestry, layers, _for_attention(source_mask))

    @classmethod
    def soft(cls, sources: list[tuple[Tensor, Tensor]], source_mask: Tensor, beams: int) -> "TransformerState":
        """For a search that is differentiated."""
        ancestry = SoftAncestry(source_mask.size(0), beams, like=sources[0][0])
        return cls(
            ancestry, [LayerCache(SoftPast(ancestry), source) for source in sources], _for_attention(source_mask)
        )

    def reorder(self, parents: Tensor) -> None:
        assert isinstance(self.ancestry, HardAncestry), "a soft state is mixed, not reordered"
        self.ancestry.reorder(parents)

    def mix(self, parents: Tensor) -> None:
        assert isinstance(self.ancestry, SoftAncestry), "a hard state is reordered, not mixed"
        self.ancestry.mix(parents)

    def cut(self) -> None:
        assert isinstance(self.ancestry, SoftAncestry), "a hard state has no gradient"
        self.ancestry.cut()
        for layer in self.layers:
            assert isinstance(layer.past, SoftPast)
            layer.past.cut()

    def keep(self, rows: Tensor) -> None:
        if self.source_mask is not None:
            self.source_mask = self.source_mask[rows]
        self.ancestry.keep(rows)
        for layer in self.layers:
            layer.keep(rows)
        if self.attention is not None:
            self.attention = self.attention[rows]


def _for_attention(source_mask: Tensor) -> Tensor:
    """(B, S), True at real tokens -> (B, 1, 1, S)"""
    return source_mask[:, None, None, :]
