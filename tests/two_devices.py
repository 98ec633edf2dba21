"""A GPU's rules about where tensors lie, kept by tensors that all lie on the CPU.

What is made inside `as_on_a_gpu()` without a device counts as the host's, everything else, and what is computed of it,
as the GPU's. An operation on both is refused as a GPU would refuse it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from beamtrain.base import waits

MADE = {torch.arange, torch.as_tensor, torch.empty, torch.eye, torch.from_numpy, torch.full, torch.linspace}
MADE |= {torch.ones, torch.rand, torch.randint, torch.randn, torch.randperm, torch.tensor, torch.zeros}
JOINED = {torch.cat, torch.stack}  # where one number is no exception, which it is elsewhere
TAKE_BOTH = {Tensor.copy_, Tensor.__getitem__, Tensor.type_as, Tensor.new_tensor}


class OnHost(Tensor):
    """A tensor that a GPU would not have."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        hosts = [each for each in tensors if isinstance(each, OnHost)]
        mixed = len(hosts) < len(tensors)
        if mixed and func not in TAKE_BOTH and func is not Tensor.to:
            shapes = ", ".join(str(list(each.shape)) for each in hosts)
            assert func not in JOINED, f"{func.__name__} of tensors of both devices"
            assert not any(each.dim() for each in hosts), f"{func.__name__}: {shapes} on the host, others on the GPU"
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        if mixed or (func is Tensor.to and names_a_device(args[1:], kwargs or {})):
            return tree_map_only(Tensor, lambda found: found.as_subclass(Tensor), result)
        return tree_map_only(Tensor, lambda found: found.as_subclass(OnHost), result)


def names_a_device(words, options):
    return "device" in options or any(isinstance(word, str | torch.device) for word in words)


class _Made(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func in MADE and (kwargs or {}).get("device") is None:
            return result.as_subclass(OnHost)
        return result


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Also takes the ways that code takes on a GPU, where reading a value back is a wait."""
    ours = [module for name, module in sys.modules.items() if name.partition(".")[0] == "beamtrain"]
    asking = [module for module in ours if vars(module).get("may_wait") is waits.may_wait]
    with patch.multiple(waits, may_wait=lambda _: False), _Made():
        patches = [patch.object(module, "may_wait", lambda _: False) for module in asking if module is not waits]
        for each in patches:
            each.start()
        try:
            yield
        finally:
            for each in patches:
                each.stop()
