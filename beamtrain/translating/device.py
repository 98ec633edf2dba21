"""Where inference computes, and in which number format."""

import torch
from torch import nn

from beamtrain.base.errors import UserError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is the first GPU if there is one.

    Raises UserError for a name torch does not know and for a device this machine has not.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"--device {name}: not on this machine, which has {', '.join(_devices())} (torch {torch.__version__}); "
            "leave --device out to let beamtrain choose"
        ) from error
    return device


def device_of_process(name: str, rank: int) -> str:
    """The device for one of several processes: "auto" and "cuda" give each the next GPU, if there is one."""
    count = torch.cuda.device_count()
    return f"cuda:{rank % count}" if name in ("auto", "cuda") and count else name


def _devices() -> list[str]:
    names = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return [*names, "mps"] if torch.backends.mps.is_available() else names


def cast(network: nn.Module, precision: str) -> None:
    """Bring the network's weights, in place, into the number format they are computed in.

    Raises UserError for a format other than fp32 and bf16.
    """
    if precision not in PRECISIONS:
        raise UserError(f"--precision {precision}: must be {' or '.join(PRECISIONS)}")
    network.to(PRECISIONS[precision])
