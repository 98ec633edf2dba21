"""The code in docs/ranking.md runs, and the page names every part."""

import re
from pathlib import Path

from beamtrain import ranking

PAGE = Path(__file__).parents[2] / "docs" / "ranking.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_code_runs(capsys) -> None:
    for block in re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL):
        exec(block, {})
    assert capsys.readouterr().out == "torch.Size([8]) torch.Size([8])\n"


def test_every_loss_and_part_is_named() -> None:
    helpers = {"kendall", "majority", "ndcg", "spearman", "squared_distances"}
    assert not [name for name in ranking.__all__ if f"`{name}`" not in TEXT and name not in helpers]
