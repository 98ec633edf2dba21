"""Every link of the documentation leads somewhere, and so does every page that code and configs name."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "data").glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
CODE = [ROOT / "Makefile", ROOT / "pyproject.toml"] + [
    path
    for folder, pattern in (("configs", "*.yaml"), ("beamtrain", "*.py"), ("beamtrain", "*.html"), ("scripts", "*.py"))
    for path in sorted((ROOT / folder).rglob(pattern))
]
FENCE = re.compile(r"^```.*?^```", flags=re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")  # relative ones
MENTION = re.compile(r"docs/[\w/.-]+\.md(?:#[\w-]+)?")


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


@cache
def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page: lower case, no punctuation, hyphens for spaces, namesakes numbered."""
    names: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#{1,6} +(.*)$", prose(page), flags=re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", LINK.sub("", heading).lower()).replace(" ", "-")
        found.add(f"{name}-{names[name]}" if names[name] else name)
        names[name] += 1
    return found


def leads_nowhere(link: str, page: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return not target.exists() or (bool(anchor) and anchor not in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    assert not [link for link in LINK.findall(prose(page)) if leads_nowhere(link, page)]


def test_every_page_that_code_and_configs_name_is_there():
    named = {(each, path.name) for path in CODE for each in MENTION.findall(path.read_text(encoding="utf-8"))}
    assert named
    assert not [(each, where) for each, where in named if leads_nowhere(each, ROOT / "README.md")]


def test_every_page_of_experiments_is_linked_from_the_results():
    results = ROOT / "docs" / "results.md"
    linked = {(results.parent / link.partition("#")[0]).resolve() for link in LINK.findall(prose(results))}
    assert {*(ROOT / "docs" / "experiments").glob("*.md")} <= linked
