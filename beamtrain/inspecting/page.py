"""An inspection as a page, drawn in the browser from the document alone."""

from pathlib import Path
from typing import Any

from beamtrain.reporting.page_base import draw, write_page


def write_inspection(path: Path, inspection: dict[str, Any]) -> None:
    """Write the page, and the document beside it as NAME.data.json.

    Raises:
        UserError: they cannot be written.
    """
    write_page(path, inspection_page(inspection), inspection)


def inspection_page(inspection: dict[str, Any]) -> str:
    """The HTML of an inspection, see `document`."""
    sizes = {search["beam_size"] for sentence in inspection["sentences"] for search in sentence["searches"]}
    return draw(
        "inspect.html",
        title=f"Inside the search of {Path(inspection['run']).name}",
        tabs=[("search", "The search"), ("words", "What the words mean")],
        scripts=["inspect.js"],
        data=inspection,
        run=inspection["run"],
        beam_size=", ".join(map(str, sorted(sizes))) or "none",
    )
