from pathlib import Path

import pytest
from made_up_cells import made_up_folders


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """--data and --out of the corpora scripts."""
    return made_up_folders(tmp_path)
