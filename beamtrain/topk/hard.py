"""Hard top-k."""

import torch
from torch import Tensor

GROUP = 16


def hard_topk(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """torch.topk of scores (B, N), sorted, values and indices (B, k), several times faster on long rows.

    The k best lie in the k groups with the largest maxima, so only those are looked at. Ties are broken arbitrarily.
    """
    rows, columns = scores.shape
    groups = columns // GROUP
    if groups < 2 * k:
        return scores.topk(k, dim=-1)
    whole = scores[:, : groups * GROUP].view(rows, GROUP, groups)  # strided groups: maxima of contiguous rows are fast
    chosen = whole.amax(1).topk(k, dim=-1, sorted=False).indices  # (B, groups) -> (B, k)
    inside = chosen.unsqueeze(1) + torch.arange(0, groups * GROUP, groups, device=scores.device).unsqueeze(-1)
    left = torch.arange(groups * GROUP, columns, device=scores.device).expand(rows, -1)
    pool = torch.cat([inside.flatten(1), left], -1)  # (B, GROUP k + N mod GROUP)
    best, places = scores.gather(1, pool).topk(k, dim=-1)
    return best, pool.gather(1, places)
