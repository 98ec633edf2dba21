"""model.json: what a run's network is, what it translates, and how it searches unless told otherwise."""

import json
from pathlib import Path
from typing import Any

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.runs.checkpoints import first_line


def save_description(folder: Path, info: dict[str, Any]) -> None:
    """Write model.json."""
    write_text(folder / "model.json", json.dumps(info, indent=2, ensure_ascii=False) + "\n")


def load_description(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise UserError(f"--model {folder}: there is no such folder; give a run's folder, such as runs/quickstart")
    try:
        info = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        info["network"]["name"], info["network"]["arguments"]
        return info
    except FileNotFoundError:
        raise UserError(f"--model {folder}: not a run's folder, it has no model.json") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"--model {folder}: model.json is damaged ({first_line(error)})") from error
