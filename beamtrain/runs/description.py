"""model.json: what a run's network is, what it translates, how it searches unless told otherwise, and its corpus."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.base.typed_values import check_values
from beamtrain.runs.checkpoints import first_line
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.search.options import SearchOptions

CORPUS = ("source", "config_name", "train_split", "validation_split", "test_split")
"""What names a corpus, of the arguments of `TranslationData`."""
_LAYOUT = {"network": dict, "source_lang": str, "target_lang": str, "search": dict, "scoring": dict, "corpus": dict}

Options = TypeVar("Options", SearchOptions, ScoringOptions)


@dataclass(frozen=True)
class Description:
    """What model.json says."""

    network: str
    """The path of its class."""
    arguments: dict[str, Any]
    """Of the network."""
    source_lang: str
    target_lang: str
    search: SearchOptions = field(default_factory=SearchOptions)
    """How the run was validated."""
    corpus: dict[str, Any] = field(default_factory=dict)
    """What the run was trained on: some of `CORPUS`."""
    imports: list[str] = field(default_factory=list)
    """The modules that the user has to import for a network that is not the package's."""
    scoring: ScoringOptions = field(default_factory=ScoringOptions)
    """How the validation was scored."""


def save_description(folder: Path, description: Description) -> None:
    """Write model.json."""
    content = asdict(description)
    network = {"class_path": content["network"], "arguments": content.pop("arguments")}
    imports = content.pop("imports")
    content["network"] = {**network, "import": imports} if imports else network
    write_text(folder / "model.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def load_description(folder: Path) -> Description:
    """Read model.json, and check all that it says but what `build_network` checks: the network's class and arguments.

    Raises:
        UserError: the folder is missing or holds no readable model.json, or what it says is not what it must be.
    """
    path = folder / "model.json"
    content = _read(path, folder)
    check_values(content, _LAYOUT, ("network", "source_lang", "target_lang"), str(path))
    network = content["network"]
    parts = {"class_path": str, "arguments": dict, "import": list}
    check_values(network, parts, ("class_path", "arguments"), f"{path}: network")
    corpus = content.get("corpus", {})
    check_values(corpus, dict.fromkeys(CORPUS, str | None), (), f"{path}: corpus")
    return Description(
        network["class_path"],
        network["arguments"],
        content["source_lang"],
        content["target_lang"],
        _options(SearchOptions, content, "search", path),
        corpus,
        network.get("import", []),
        _options(ScoringOptions, content, "scoring", path),
    )


def _options(kind: type[Options], content: dict[str, Any], name: str, path: Path) -> Options:
    given = content.get(name, {})
    check_values(given, get_type_hints(kind), (), f"{path}: {name}")
    try:
        return kind(**given)
    except UserError as error:
        raise UserError(f"{path}: {name}: {error}") from error


def _read(path: Path, folder: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if folder.is_dir():
            raise UserError(f"--model {folder}: not a run's folder, it has no model.json") from None
        raise UserError(
            f"--model {folder}: there is no such folder; give a run's folder, such as runs/quickstart"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also what is not UTF-8
        raise UserError(f"{path} is damaged: it is no JSON ({first_line(error)})") from error
