"""Several runs of one network as one, as fast as any of them.

Runs that went on from the same weights with other seeds differ by the noise of their batches, and their mean has less
of it: the uniform soup of Wortsman et al., ICML 2022, section 2. Averaging the last checkpoints of one run (Vaswani et
al. 2017, section 6.1) is Lightning's `EMAWeightAveraging` here.

Runs that were taught something different from the same weights changed them differently, and the sum of the changes
has what each was taught: task arithmetic, Ilharco et al., ICLR 2023, section 2, with all coefficients 1.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml

from beamtrain.base.errors import UserError
from beamtrain.runs.loading import Run
from beamtrain.runs.networks import defaults, is_dropout

_ORIGIN = "init_from"  # in config.yaml: the run whose weights a run began with


def average(runs: Sequence[Run]) -> Run:
    """The first of the runs with the mean of all their weights; its network is changed in place.

    Means are taken in float64; what is not a floating-point number, such as a count, is the first run's.

    Args:
        runs: at least two, of the same network and the same subwords.

    Raises:
        UserError: there are fewer, or they differ in network, languages or subwords, or a weight is not finite.
    """
    if len(runs) < 2:
        raise UserError(f"{len(runs)} run: the average is of two or more; name others too")
    first, states = runs[0], _states(runs)
    first.network.load_state_dict({name: _mean([state[name] for state in states]) for name in states[0]})
    steps = {run.weights.get("step") for run in runs}
    return replace(first, weights={"step": steps.pop()} if len(steps) == 1 else {})


def add(start: Run, runs: Sequence[Run]) -> Run:
    """The start with all that the runs have changed in its weights; its network is changed in place.

    Sums are taken in float64; what is not a floating-point number is the start's.

    Args:
        start: what the runs began with.
        runs: at least two, of the same network and the same subwords.

    Raises:
        UserError: there are fewer, or they differ in network, languages or subwords, or a weight is not finite.
    """
    if len(runs) < 2:
        raise UserError(f"{len(runs)} run: the changes of two or more are added; name others too")
    before, *states = _states([start, *runs])
    start.network.load_state_dict({name: _sum(before[name], [state[name] for state in states]) for name in before})
    return replace(start, weights={})


def began_together(folders: Sequence[Path]) -> bool:
    """Whether all runs began with the weights of one run, by themselves or through runs between, or went on from one
    of these."""
    return bool(set.intersection(*({folder.resolve(), *_origins(folder)} for folder in folders)))


def began_with(start: Path, folder: Path) -> bool:
    """Whether a run began with the weights of start, by itself or through runs between."""
    return start.resolve() in _origins(folder)


def _states(runs: Sequence[Run]) -> list[dict[str, torch.Tensor]]:
    """The weights of runs that belong together."""
    for other in runs[1:]:
        _check_alike(runs[0], other)
    states = [run.network.state_dict() for run in runs]
    for run, state in zip(runs, states, strict=True):
        if strange := next((name for name, each in state.items() if not each.isfinite().all()), None):
            raise UserError(f"{run.path} has weights that are not finite, in {strange}: leave that run out")
    return states


def _mean(tensors: list[torch.Tensor]) -> torch.Tensor:
    if not tensors[0].is_floating_point():
        return tensors[0]
    return torch.stack([each.double() for each in tensors]).mean(0).to(tensors[0].dtype)


def _sum(before: torch.Tensor, tensors: list[torch.Tensor]) -> torch.Tensor:
    if not before.is_floating_point():
        return before
    start = before.double()
    return (start + torch.stack([each.double() - start for each in tensors]).sum(0)).to(before.dtype)


def _check_alike(first: Run, other: Run) -> None:
    """Raises UserError unless the runs are of one network and have the same subwords."""
    ours, theirs = _characteristics(first), _characteristics(other)
    different = next((name for name in ours | theirs if ours.get(name) != theirs.get(name)), None)
    if different is not None:
        raise UserError(
            f"{other.path} has {different} {theirs.get(different)}, and {first.path} {ours.get(different)}: only "
            "runs of one network with the same subwords can be made one"
        )


def _characteristics(run: Run) -> dict[str, Any]:
    description = run.description
    arguments = defaults(run.network) | description.arguments
    return {
        "network": description.network,
        **{name: value for name, value in arguments.items() if not is_dropout(name)},
        "source_lang": description.source_lang,
        "target_lang": description.target_lang,
        "subwords": run.tokenizer.fingerprint(),
    }


def _origins(folder: Path) -> list[Path]:
    """The run whose weights this one began with, the one that that began with, and so on."""
    found: list[Path] = []
    origin = _origin(folder)
    while origin and origin not in found:
        found.append(origin)
        origin = _origin(origin)
    return found


def _origin(folder: Path) -> Path | None:
    try:
        config: Any = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    origin = config.get(_ORIGIN) if isinstance(config, dict) else None
    return Path(origin).resolve() if isinstance(origin, str) else None
