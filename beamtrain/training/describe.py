"""What model.json will say of a run, from its settings."""

from typing import Any

from jsonargparse import Namespace

from beamtrain.base.errors import UserError
from beamtrain.base.plugins import OPTION as IMPORT
from beamtrain.data.datamodule import with_absolute_places
from beamtrain.runs.description import CORPUS, Description
from beamtrain.runs.networks import OWN, check_plain, find_network
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.search.options import SearchOptions


def describe(config: Any) -> Description:
    """The description by which the run is loaded.

    Raises:
        UserError: the network is none that could be loaded, or takes no vocabulary; or a search that cannot be.
    """
    network, imported = config.model.network, config[IMPORT.removeprefix("--")]
    data = with_absolute_places(vars(config.data))
    arguments = {**vars(network.get("init_args") or Namespace()), **(network.get("dict_kwargs") or {})}
    for name in ("vocab_size",) if data["joint_vocabulary"] else ("vocab_size", "source_vocab_size"):
        if name not in arguments:
            raise UserError(
                f"model.network is {network.class_path}, whose __init__ takes no {name}: give it that argument"
                + ("" if name == "vocab_size" else ", or set data.joint_vocabulary to true")
            )
    check_plain(arguments)
    try:
        search = SearchOptions(**vars(config.model.search))
    except UserError as error:
        raise UserError(f"model.search.{error}") from error
    module = find_network(network.class_path, "model.network").__module__
    return Description(
        network=network.class_path,
        arguments=arguments,
        source_lang=data["source_lang"],
        target_lang=data["target_lang"],
        search=search,
        scoring=ScoringOptions(**vars(config.model.scoring)),
        corpus={key: data[key] for key in CORPUS},
        imports=[] if network.class_path.startswith(OWN) else list(dict.fromkeys([*imported, module])),
    )
