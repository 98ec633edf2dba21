"""Dropout whose random numbers cost little on a CPU."""

import torch
from torch import Tensor, nn

_LEVELS = 2**16


class Dropout(nn.Dropout):
    """Inverted dropout (Srivastava et al. 2014): an entry is dropped with probability p, the others divided by 1 - p.

    PyTorch draws one random number for each entry, an eighth of a training step on a CPU. Here, on a CPU, one 64-bit
    number serves four entries, so that p is rounded to a multiple of 2^-16. Draws come from the default generator.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape -> the same shape"""
        threshold = round(self.p * _LEVELS)
        if not self.training or threshold in (0, _LEVELS) or x.device.type != "cpu":
            return super().forward(x)
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        levels = words.view(torch.int16)[: x.numel()].view(x.shape)  # uniform from -2^15 to 2^15 - 1
        kept = (levels >= threshold - _LEVELS // 2).to(x.dtype)
        return x * kept.mul_(_LEVELS / (_LEVELS - threshold))
