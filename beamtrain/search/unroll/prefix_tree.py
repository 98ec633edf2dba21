"""All prefixes of a search that is over, as a tree."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from beamtrain.base.waits import may_wait
from beamtrain.data.tokenizer import PAD
from beamtrain.model.slots import OpenSlots


@dataclass(frozen=True)
class PrefixTree:
    """N prefixes for each of B sentences. A prefix is its last token and the prefixes before it, all in the tree."""

    tokens: Tensor
    """(B, N) the last token of each prefix, PAD where a hypothesis has ended or there is no prefix."""
    depths: Tensor
    """(B, N) its position, from 0."""
    visible: Tensor
    """(B, N, N) which prefixes are the beginning of prefix n, itself included."""
    rows: Tensor
    """(B, N) the row of each prefix among those that the search has computed, position after position."""

    @classmethod
    def of_search(cls, tokens: list[Tensor], visible: list[Tensor]) -> "PrefixTree":
        """Of T positions' K tokens (B, K) and ancestries (B, K, t * K): slot j at position t is prefix t * K + j."""
        (B, K), T = tokens[0].shape, len(tokens)
        depths = torch.arange(T, device=tokens[0].device).repeat_interleave(K).expand(B, -1)
        everywhere = [pad(each, (0, T * K - each.size(2))) for each in visible]  # T times (B, K, T * K)
        rows, computed = [], 0
        for each in tokens:
            slots = OpenSlots(each)
            rows.append(slots.unpack(torch.arange(computed, computed + slots.count, device=each.device)))  # (B, K)
            computed += slots.count
        return cls(torch.cat(tokens, dim=1), depths, torch.cat(everywhere, dim=1), torch.cat(rows, dim=1))

    def without_others(self, wanted: Tensor) -> tuple["PrefixTree", Tensor]:
        """The smallest tree with all the prefixes `wanted` (B, N), and where in it each prefix is (B, N).

        On a GPU, where asking for the size would be a wait, it is the whole tree.
        """
        if not may_wait(wanted):
            return self, torch.arange(wanted.size(1), device=wanted.device).expand_as(wanted)
        needed = (self.visible & wanted.unsqueeze(2)).any(1)  # (B, N): some wanted one begins with it
        size = max(1, int(needed.sum(1).max()))
        rows = needed.sort(dim=1, descending=True, stable=True).indices[:, :size]  # (B, n)
        places = (needed.cumsum(1) - 1).clamp(min=0)  # (B, N)
        kept = needed.gather(1, rows)  # shorter trees are filled up
        columns = self.visible.gather(2, rows.unsqueeze(1).expand(-1, self.visible.size(1), -1))  # (B, N, n)
        visible = columns.gather(1, rows.unsqueeze(2).expand(-1, -1, size))  # (B, n, n)
        tokens = self.tokens.gather(1, rows).masked_fill(~kept, PAD)
        return PrefixTree(tokens, self.depths.gather(1, rows), visible, self.rows.gather(1, rows)), places
