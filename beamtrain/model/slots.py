"""Which beams a step of the decoder computes."""

from torch import Tensor

from beamtrain.base.waits import may_wait
from beamtrain.data.tokenizer import EOS, PAD


class OpenSlots:
    """The R slots, of K for each of B sentences, whose hypothesis goes on; the others need no arithmetic.

    What treats each slot by itself runs on (R, ...). Only attention wants the slots side by side, as (B, K, ...).
    On a GPU all slots are open: counting them would wait for the device, and idle arithmetic costs little there.
    """

    def __init__(self, inputs: Tensor) -> None:
        """`inputs` are token ids (B, K), of which EOS and PAD say that a hypothesis has ended, or vectors (B, K, D)."""
        self._shape = inputs.shape[:2]
        self._rows: Tensor | None = None  # (R,) the open ones of all B * K slots; None: all
        if not inputs.is_floating_point() and may_wait(inputs):
            going = ((inputs != EOS) & (inputs != PAD)).flatten()  # (B, K) -> (B * K,)
            rows = going.nonzero().squeeze(1)
            if 0 < rows.size(0) < going.size(0):
                self._rows, self._places = rows, (going.cumsum(0) - 1).clamp(min=0)  # (B * K,) slot -> row

    @property
    def count(self) -> int:
        """R"""
        return self._shape.numel() if self._rows is None else self._rows.size(0)

    def pack(self, x: Tensor) -> Tensor:
        """(B, K, ...) -> (R, ...)"""
        x = x.flatten(0, 1)
        return x if self._rows is None else x.index_select(0, self._rows)

    def unpack(self, x: Tensor) -> Tensor:
        """(R, ...) -> (B, K, ...), with some other slot's values for a hypothesis that has ended."""
        x = x if self._rows is None else x.index_select(0, self._places)  # (R, ...) -> (B * K, ...)
        return x.unflatten(0, self._shape)
