"""What every page shares: one file that opens from disk, asks nothing of the network and runs no script but its own.

A page is a template that extends `templates/page_base.html`, drawn here with Jinja2, which escapes what it is given.
Text is data, and a content security policy in the page names the one script that may run, by its hash, and forbids
every request.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from beamtrain.base.text_io import write_output
from beamtrain.reporting.charts import tick_text

TEMPLATES = Path(__file__).parent / "templates"
SYSTEM_COLOURS = 8
"""Of style.css: `--system-0` to `--system-7`, and the classes `system-0` and so on that draw in them."""
_INVISIBLE = dict.fromkeys((*range(32), *range(0x7F, 0xA0)), "\ufffd")  # control characters


def draw(
    template: str,
    *,
    title: str,
    tabs: Sequence[tuple[str, str]],
    scripts: Sequence[str] = (),
    data: Any = None,
    **context: Any,
) -> str:
    """The HTML of a page.

    Args:
        template: a file of `templates/` that extends page_base.html.
        title: of the page and of its window.
        tabs: id and label of each part, in order. The template's block `panels` has a `{% call panel(tab) %}` (of
            macros.html) for each; the first is shown at first, and without scripts or on paper all are.
        scripts: files of `templates/` that run after page_base.js.
        data: what these scripts get by `await beamtrain.data()`: anything that JSON can say.
        context: what the template needs.
    """
    script = "\n".join(_read(name) for name in ("page_base.js", *scripts))
    assert "</script" not in script, "it would end the script"
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            tabs=tabs,
            style=Markup(_read("style.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            data=_packed(data),
            **context,
        )
    )


def shown(text: object) -> str:
    """The text with `\ufffd` for each control character, such as NUL, which HTML would lose or refuse."""
    return str(text).translate(_INVISIBLE)


def write_page(path: Path, html: str, data: Mapping[str, Any]) -> None:
    """Write a page, and beside it, as NAME.data.json, all that it was made from.

    Raises:
        UserError: they cannot be written.
    """
    write_output(data_path(path), json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")
    write_output(path, html)


def data_path(page: Path) -> Path:
    """Where the data of a page lies."""
    return page.with_name(page.stem + ".data.json")


def _packed(data: Any) -> str:
    """JSON, packed by gzip, in base64: a quarter of its size, and no letter of it means anything to HTML."""
    text = json.dumps(data, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(shown=shown, tick=tick_text)
    environment.finalize = lambda value: shown(value) if type(value) is str else value
    return environment


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
