"""The optimiser and its learning rate after a resume: the state of the checkpoint, the settings that are typed."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from beamtrain.training.schedule import Schedule


class TypedRate(LambdaLR):
    """The optimiser's learning rate times `schedule`; loading a state takes over the step, and nothing else."""

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        super().__init__(optimizer, lambda step: schedule(step))  # not the object, whose settings would be saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        typed = {"lr_lambdas": state_dict["lr_lambdas"], "base_lrs": self.base_lrs}
        super().load_state_dict({**state_dict, **typed})
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


def keep_settings(optimizer: Optimizer) -> None:
    """Have `optimizer.load_state_dict` leave the settings of its parameter groups as they are."""

    def with_present_settings(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        groups = [
            {**saved, **{name: value for name, value in present.items() if name != "params"}}
            for saved, present in zip(state["param_groups"], optimizer.param_groups, strict=True)
        ]
        return {**state, "param_groups": groups}

    optimizer.register_load_state_dict_pre_hook(with_present_settings)
