"""The code in docs/topk.md runs, and the page shows every picture."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "topk.md"


def test_code_runs(capsys) -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        exec(block, names)
    assert "tensor" in capsys.readouterr().out
    assert names["weights"].shape == (1, 2, 6)


def test_it_shows_every_picture_of_an_operator() -> None:
    shown = re.findall(r"!\[[^]]*\]\(images/topk/([^)]*)\)", PAGE.read_text())
    assert set(shown) >= {path.name for path in (PAGE.parent / "images" / "topk").glob("*.png")} - {"benchmark.png"}
