"""Imports point one way, what must start quickly loads nothing heavy, and operators stand alone."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import beamtrain

PACKAGE = Path(beamtrain.__file__).parent
FLOW = [  # each imports only from itself and from those before it
    "base",
    "topk",
    "ranking",
    "data",
    "model",
    "search",
    "objectives",
    "runs",
    "translating",
    "scoring",
    "interop",
    "reporting",
    "inspecting",
    "training",
    "commands",
    "cli",
    "__main__",
]
POSITION = {name: position for position, name in enumerate(FLOW)}


def imports(path):
    """The parts of beamtrain that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "beamtrain":
            parts = node.module.split(".")[1:]
            yield from parts[:1] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("beamtrain."))


def test_imports_point_one_way():
    wrong, loose = [], {name for name in POSITION if not (PACKAGE / name).exists()}
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        loose.discard(part)
        if part == "__init__" or "assets" in path.relative_to(PACKAGE).parts[:1]:
            continue
        assert part in POSITION, f"{path} belongs to no room: add it to FLOW and to the map in beamtrain/__init__.py"
        wrong += [f"{path.name} imports {other}" for other in imports(path) if POSITION[other] > POSITION[part]]
    assert not wrong
    assert not loose, "FLOW names what is gone"


def test_the_operators_stand_alone():
    """They need one leaf of the package, which needs torch."""
    needed = set()
    leaf = PACKAGE / "base" / "waits.py"
    for path in [leaf, *(PACKAGE / "topk").rglob("*.py"), *(PACKAGE / "ranking").rglob("*.py")]:
        needed |= set(re.findall(r"^\s*(?:from|import) (beamtrain[\w.]*)", path.read_text(), re.MULTILINE))
    assert {each for each in needed if each.split(".")[1] not in ("topk", "ranking")} == {"beamtrain.base.waits"}


def test_what_users_search_with_needs_nothing_of_the_unroll():
    files = (PACKAGE / "search").glob("*.py")
    assert not [path.name for path in files if re.search(r"import.*\bunroll\b|search\.unroll", path.read_text())]


def test_the_map_of_the_package_names_every_part():
    assert not [name for name in POSITION if name not in (beamtrain.__doc__ or "")]


ROOMS_OF_PARTS = [
    "base",
    "data",
    "model",
    "search",
    "search/unroll",
    "objectives",
    "runs",
    "scoring",
    "interop",
    "reporting",
    "inspecting",
    "training",
]


@pytest.mark.parametrize("room", ROOMS_OF_PARTS)
def test_the_list_of_a_room_names_its_files_and_no_others(room):
    """Of rooms whose files are not all of one kind, as operators, losses or commands are."""
    listed = set(
        re.findall(r"\b(\w+\.py)\b", ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text())))
    )
    assert listed == {path.name for path in (PACKAGE / room).glob("*.py")} - {"__init__.py"}


def test_every_test_that_the_docs_name_exists():
    root = PACKAGE.parent
    files = {path.name for path in (root / "tests").rglob("test_*.py")}
    named = {name for page in (root / "docs").glob("*.md") for name in re.findall(r"\btest_\w+\.py", page.read_text())}
    assert named and named <= files


def test_the_command_line_starts_without_torch():
    code = "import sys, beamtrain.cli; print(sorted({'torch', 'lightning', 'datasets'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_translating_and_inspecting_load_nothing_heavy_but_torch():
    rooms = "beamtrain.translating.translator, beamtrain.runs.loading"
    inspecting = "beamtrain.inspecting.document, beamtrain.inspecting.terminal, beamtrain.runs.objectives"
    heavy = "{'lightning', 'datasets', 'matplotlib', 'torch._dynamo'}"
    code = f"import sys, {rooms}, {inspecting}; print({heavy} & set(sys.modules) or [])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_helpers_of_tests_do_not_hide_scripts():
    """Both are imported by bare name, so in one process the first of a name is taken for the other."""
    tests = Path(__file__).parent
    helpers = {path.name for path in tests.rglob("*.py")} - {"conftest.py"}
    scripts = {path.name for path in (tests.parent / "scripts" / "experiments").rglob("*.py")}
    assert not helpers & scripts


def test_no_test_imports_from_a_conftest():
    """Several folders have one: which of them is meant would depend on what else is tested."""
    tests = Path(__file__).parent
    found = [path for path in tests.rglob("*.py") if re.search(r"^(from|import) conftest\b", path.read_text(), re.M)]
    assert not found


def test_no_two_files_of_tests_have_one_name():
    """They are imported by their bare names."""
    names = [path.name for path in Path(__file__).parent.rglob("*.py") if path.name != "conftest.py"]
    assert not {name for name in names if names.count(name) > 1}
