"""Results that are computed once."""

import json
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from beamtrain.base.files import write_text


def kept(folder: Path, compute: Callable[[], Any], name: str, *inputs: Any) -> Any:
    """What `compute` gives, in JSON: from `folder` where that has a result of this name for these inputs."""
    path = folder / f"{name}-{sha256(json.dumps(inputs).encode()).hexdigest()[:16]}.json"
    with suppress(FileNotFoundError, ValueError):  # what is damaged is computed again
        return json.loads(path.read_text(encoding="utf-8"))
    result = json.dumps(compute())
    write_text(path, result)
    return json.loads(result)
