"""The code in docs/topk.md runs, and every picture that it shows exists."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "topk.md"


def test_code_runs(capsys) -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        exec(block, names)
    assert "tensor" in capsys.readouterr().out
    assert names["weights"].shape == (1, 2, 6)


def test_pictures_exist() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]*)\)", PAGE.read_text())
    assert len(pictures) >= 12
    assert all((PAGE.parent / picture).is_file() for picture in pictures)
