"""Numbers that no run can have, refused before anything is started or allocated."""

import os
from collections.abc import Mapping
from typing import Any

import torch

from beamtrain.base.errors import UserError
from beamtrain.data.corpus import Role
from beamtrain.data.datamodule import TranslationData
from beamtrain.model.base import Seq2Seq
from beamtrain.runs import networks
from beamtrain.training.settings import class_of

BOUNDS: dict[str, tuple[float, float]] = {
    "seed_everything": (0, 2**32 - 1),
    "save_every": (0, 1e12),
    "log_sentences": (0, 1000),
    "trainer.devices": (-1, 1024),
    "trainer.max_steps": (-1, 1e12),
    "trainer.max_epochs": (-1, 1e12),
    "trainer.min_steps": (0, 1e12),
    "trainer.min_epochs": (0, 1e12),
    "trainer.accumulate_grad_batches": (1, 1e6),
    "trainer.log_every_n_steps": (1, 1e12),
    "trainer.check_val_every_n_epoch": (1, 1e12),
    "trainer.num_sanity_val_steps": (-1, 1e12),
    "data.vocab_size": (5, 1e6),
    "data.num_workers": (0, 1024),
    "data.batch_tokens": (1, 1e9),
    "data.eval_batch_tokens": (1, 1e9),
    **{f"model.network.init_args.{name}": bounds for name, bounds in networks.BOUNDS.items()},
}
NOT_ZERO = {
    "trainer.devices",
    "trainer.max_steps",
    "trainer.max_epochs",
    "trainer.val_check_interval",
    "model.optimizer.init_args.lr",
}
COPIES = 4
"""Of each weight while training: the weight, its gradient, and two averages of Adam."""
WEIGHT_BYTES = 4


def check_bounds(settings: Mapping[str, Any]) -> None:
    """Check all numbers, by their dotted names.

    Raises:
        UserError: one is out of its bounds, or not a number.
    """
    for name, (lowest, highest) in BOUNDS.items():
        value = _number(settings.get(name))
        if value is not None and not lowest <= value <= highest:
            raise UserError(f"{name} is {settings[name]}; it must be from {lowest:,.0f} to {highest:,.0f}")
    for name in NOT_ZERO:
        if _number(settings.get(name)) == 0:
            raise UserError(f"{name} is 0: nothing would be done")


def check_size(class_path: str, arguments: Mapping[str, Any]) -> None:
    """Check that one of our networks fits into this machine's memory while it is trained, without building it.

    Raises:
        UserError: it does not.
    """
    network = class_of(class_path)
    if network is None or not class_path.startswith(networks.OWN):
        return
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in network(**arguments).parameters())
    needed, there = weights * WEIGHT_BYTES * COPIES / 1e9, _memory() / 1e9
    if needed > there:
        raise UserError(
            f"a network of {weights:,} weights takes {needed:,.0f} GB with gradients and optimiser, and this machine "
            f"has {there:,.0f} GB; lower model.network width or layers, or data.vocab_size"
        )


def check_lengths(data: TranslationData, network: Seq2Seq) -> None:
    """Check that the network has positions for all sentences that it is trained and validated on.

    Raises:
        UserError: it has not.
    """
    most = network.max_positions
    remedies: dict[Role, str] = {"train": "lower data.max_length", "validation": "leave that sentence out"}
    for role, remedy in remedies.items():
        longest = data.longest(role)
        if most is not None and longest > most:
            raise UserError(
                f"the longest sentence of the {role} split has {longest:,} tokens, EOS included, and the network has "
                f"positions for {most:,}: {remedy}"
            )


def _number(value: Any) -> float | None:
    """A value that is a number, also one that the parser has left as text, such as of `trainer.devices`."""
    if isinstance(value, str) and value.removeprefix("-").isdigit():
        return int(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _memory() -> int:
    """Bytes of the largest memory here: that of the machine, or of a GPU."""
    gpus = [torch.cuda.get_device_properties(index).total_memory for index in range(torch.cuda.device_count())]
    return max(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *gpus, 0)
