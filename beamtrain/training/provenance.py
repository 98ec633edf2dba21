"""What a checkpoint was made with, and goes on with only: text, languages, scores, network, trained part, optimiser."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from beamtrain.base.errors import UserError
from beamtrain.data.datamodule import TranslationData
from beamtrain.runs.networks import is_dropout
from beamtrain.training.class_paths import short_path

KEY = "provenance"  # in a training checkpoint
ALWAYS_THE_SAME = {"source_lang", "target_lang", "seed"}
"""Data settings that a run keeps even where the sentences are the same."""
SAME_SENTENCES = {"test_split", "subword_sampling", "batch_tokens", "eval_batch_tokens", "num_workers", "cache_dir"}
"""Data settings that leave the sentences as they are, and that a resumed run may change."""
FIT_ANY_STATE = {"lr", "betas", "eps", "weight_decay", "foreach", "fused", "capturable", "differentiable"}
"""Settings of an optimiser that may change under what it has kept of the steps before."""
FROM_DATA = {"vocab_size", "source_vocab_size"}
"""Arguments of a network that follow from the data settings."""

Settings = Mapping[str, Any]


def provenance(config: Any, network: str, data: TranslationData, optimizer: Optimizer) -> dict[str, Settings]:
    """What a run is made with, in values that a checkpoint may hold.

    Args:
        config: the settings of the run.
        network: the path of its class.
    """
    group = {name: value for name, value in optimizer.param_groups[0].items() if name not in ("params", "initial_lr")}
    return {
        "data": _plain({name: value for name, value in vars(config.data).items() if name not in SAME_SENTENCES}),
        "digests": data.digests,
        "scoring": _plain(vars(config.model.scoring)),
        "network": _plain({"class": network, **vars(config.model.network.init_args)}),
        "trained": {"trained": config.model.trained},
        "optimizer": _plain({"class": short_path(type(optimizer)), **group}),
    }


def check_same(then: Mapping[str, Settings], now: Mapping[str, Settings], checkpoint: Path, run: Path) -> None:
    """Check that `checkpoint` of `run`, made with `then`, may go on with `now`.

    Raises:
        UserError: the text, the vocabulary, the network, its trained parameters or the optimiser is another one, or
            scores are, by which the best checkpoint was chosen.
    """
    warm = f"start a new run from its weights by --init_from {run} --name NAME"
    for changed, else_ in (
        (_data_differences(then, now), warm),
        (_differences("model.scoring ", then["scoring"], now["scoring"]), warm),
        (network_differences(then["network"], now["network"]), "start a new run by --name NAME"),
        (_differences("model.", then["trained"], now["trained"]), warm),
        (_differences("model.optimizer ", then["optimizer"], now["optimizer"], but=FIT_ANY_STATE), warm),
    ):
        if changed:
            raise UserError(f"{checkpoint} cannot go on with this: {changed}; set that back, or {else_}")


def network_differences(then: Settings, now: Settings) -> str:
    """The settings of a network that change what its weights do and are not the same; rates of dropout do not."""
    return _differences("model.network ", then, now, but=filter(is_dropout, now))


def _data_differences(then: Mapping[str, Settings], now: Mapping[str, Settings]) -> str:
    changed = [name for name, digest in now["digests"].items() if then["digests"].get(name) != digest]
    theirs, ours = then["data"], now["data"]
    settings = _differences("data.", theirs, ours, but=() if changed else {*theirs, *ours} - ALWAYS_THE_SAME)
    if settings or not changed:
        return settings
    learnt = "vocabulary" in changed and ours["tokenizer_from"] is None
    what = "training text" if learnt else " and the ".join(changed)
    return f"the {what} of {ours['source']} has changed since"


def _differences(prefix: str, then: Settings, now: Settings, but: Iterable[str] = ()) -> str:
    """Each setting that is not the same, with both values; where the class is another one, only that."""
    if then.get("class") != now.get("class"):
        then, now = ({"class": each.get("class")} for each in (then, now))
    return ", ".join(
        f"{prefix}{name} {_shown(now.get(name))} (there {_shown(then.get(name))})"
        for name in sorted({*then, *now} - set(but))
        if then.get(name) != now.get(name)
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _plain(settings: Settings) -> Settings:
    return json.loads(json.dumps(settings, default=str))
