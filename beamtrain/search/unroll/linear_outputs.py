"""A decoder run again over what it has computed before: its matrix products are looked up, not multiplied.

A search without a graph has passed every prefix through every linear map of the decoder. To differentiate the decoder
at those prefixes it has to run once more with a graph, but what y = x W' + b came to is known. With the outputs kept,
the second run costs what is between the linear maps, and its backward pass is the usual one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode


class LinearOutputs:
    """What the linear maps of a network gave: (R, out) a call, row below row, or (B, S, out) in a single one."""

    def __init__(self) -> None:
        self._parts: dict[int, list[Tensor]] = {}  # by the weight's id

    @contextmanager
    def recording(self, network: nn.Module) -> Iterator[None]:
        """Keep what every `nn.Linear` of `network` gives meanwhile.

        An output that is changed in place is kept as changed: harmless for the ReLU, which changes it once only,
        and of the nonlinearities the only one that does.
        """
        maps = [module for module in network.modules() if isinstance(module, nn.Linear)]
        hooks = [module.register_forward_hook(self._record) for module in maps]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _record(self, module: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._parts.setdefault(id(module.weight), []).append(output)

    def __contains__(self, weight: Tensor) -> bool:
        return id(weight) in self._parts

    def take(self, weight: Tensor, rows: Tensor) -> Tensor:
        """What the map with this weight gave: these of its rows (r,), as (r, out), or the whole (B, S, out) of a single
        call. It is forgotten then, to free its memory."""
        first, *others = self._parts.pop(id(weight))
        return first.clone() if first.dim() > 2 else torch.cat((first, *others)).index_select(0, rows)


class looking_up(TorchFunctionMode):  # noqa: N801 (a context, as torch.no_grad)
    """Within it, a linear map whose outputs are known gives `rows` (r,) of them, for the r rows of its input, or the
    whole, once; the others compute."""

    def __init__(self, outputs: LinearOutputs, rows: Tensor) -> None:
        super().__init__()
        self._outputs, self._rows = outputs, rows

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is linear and args[1] in self._outputs:
            x, weight, bias = args
            given = self._outputs.take(weight, self._rows)
            x, cast, bias = (each.to(given.dtype) for each in (x, weight, bias))  # as autocast did for the outputs
            return _Given.apply(x, cast, bias, given)
        return function(*args, **(kwargs or {}))


class _Given(Function):
    """x W' + b, whose value is given."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, given: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.mark_dirty(given)
        return given

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows = outer.flatten(0, -2)
        return outer @ weight, rows.t() @ x.flatten(0, -2), rows.sum(0), None
