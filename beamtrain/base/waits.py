"""When the host may read a value that a device computes: on a GPU it would wait for it."""

import torch
from torch import Tensor


def may_wait(tensor: Tensor) -> bool:
    """Whether reading a value back is free of device synchronisation, so that an iteration may stop early."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()
