"""Data sets of the Hugging Face hub."""

import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from beamtrain.base.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

_PROBE_SECONDS = 5.0


def load_hub_splits(name: str, config_name: str | None) -> dict[str, "Dataset"]:
    """Split name -> data set, downloaded once and then memory-mapped from the cache of `datasets`.

    A hub that does not answer within five seconds counts as out of reach; what was downloaded before still loads.

    Raises:
        UserError: no such data set or configuration, or the hub is out of reach.
    """
    import datasets

    if not _reachable():
        _go_offline()
    try:
        return dict(datasets.load_dataset(name, config_name))
    except Exception as error:  # the hub client raises dozens of types; each one is the user's to read
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        config = f" (config {config_name})" if config_name else ""
        raise UserError(
            f"{name}{config}: neither a local folder nor a data set that the hub could give: {reason.rstrip('.')}; "
            "without the hub, give --data.source FOLDER with train.SRC and train.TGT, train.tsv, train.jsonl or "
            "train-*.parquet, and the same for validation"
        ) from None


def _reachable() -> bool:
    """Whether the hub answers in time. A thread asks, because looking up a name cannot be given a time limit."""
    import datasets
    from huggingface_hub import constants

    if datasets.config.HF_HUB_OFFLINE:
        return False
    answered = threading.Event()
    threading.Thread(target=_ask, args=(constants.ENDPOINT, answered), daemon=True).start()
    return answered.wait(_PROBE_SECONDS)


def _ask(address: str, answered: threading.Event) -> None:
    try:
        urllib.request.urlopen(address, timeout=_PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        answered.set()  # an error that the hub itself reports
    except (OSError, ValueError):
        return
    answered.set()


def _go_offline() -> None:
    """Let `datasets` look in its cache at once, rather than retry for half a minute first."""
    import datasets
    import huggingface_hub.constants

    datasets.config.HF_HUB_OFFLINE = True
    huggingface_hub.constants.HF_HUB_OFFLINE = True
