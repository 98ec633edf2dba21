"""Which of a network's parameters are trained."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from beamtrain.base.errors import UserError


def train_only(network: nn.Module, patterns: Sequence[str]) -> None:
    """Leave a gradient to the parameters whose names fit one of the shell patterns, and to no others.

    Raises:
        UserError: a pattern that no parameter's name fits, or no pattern.
    """
    parameters = dict(network.named_parameters())
    fitting = {pattern: [name for name in parameters if fnmatchcase(name, pattern)] for pattern in patterns}
    for pattern, names in fitting.items():
        if not names:
            kinds = ", ".join(dict.fromkeys(re.sub(r"\d+", "*", name) for name in parameters))
            raise UserError(f"model.trained has {pattern!r}, which fits no parameter of the network; there are {kinds}")
    if not fitting:
        raise UserError("model.trained is empty, so nothing would be trained; give patterns, or null for all")
    trained = {name for names in fitting.values() for name in names}
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in trained)
