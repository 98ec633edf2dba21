"""The page of `beamtrain inspect` in a browser: every control, both colours, wide and narrow, and hostile text."""

import json
import shutil
from pathlib import Path

import pytest
from chromium import PHONE, WIDE, fits, opened
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beamtrain.cli import main
from beamtrain.inspecting.page import write_inspection

pytestmark = pytest.mark.browser

HOSTILE = (
    "</script><script>document.title = 'run'</script>",
    "<img src=x onerror=\"document.title = 'run'\">",
    "' \" ` & &lt; {{ 7 * 7 }} ${7} \\u003c \u2028\u2029",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u2066\u2067",
    "NUL \x00 bell \x07 escape \x1b[31m",
    "long " * 20_000,
)

TRAINED = """
model:
  objective:
    class_path: beamtrain.objectives.BeamTraining
    init_args:
      loss: {class_path: beamtrain.objectives.PositionCrossEntropy}
      unroll: {beam_size: 4, candidates: 16}
"""
TELLING = [
    "<b>",
    "</b>",
    "<img src=x>",
    "</script>",
    "<!--",
    "]]>",
    "&lt;",
    "&#0;",
    '"',
    "'",
    "\x00",
    "\u202e",
    "${",
    "{{",
]


@pytest.fixture(scope="module")
def inspection(transformer_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Of two sentences, with a loss that pushes words of the reference that no beam has found."""
    folder = shutil.copytree(transformer_run, tmp_path_factory.mktemp("inspection") / "run")
    (folder / "config.yaml").write_text(TRAINED)
    file = folder / "a.json"
    arguments = [
        "Two young men.",
        "A girl.",
        "--reference",
        "!! !!!!",
        "--reference",
        "H H",
        "--temperature",
        "0.1,0.5,2",
    ]
    assert main(["inspect", str(folder), *arguments, "--json", str(file)]) == 0
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def file(inspection: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_inspection(path, inspection)
    return path


def soft(inspection, sentence=0):
    return [each for each in inspection["sentences"][sentence]["searches"] if each["kind"] == "soft"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_fits_and_is_drawn(file, inspection, width, dark):
    with opened(file, width, dark) as page:
        page.wait_for_selector("#lattice svg")
        assert fits(page)
        assert all(radio.bounding_box()["width"] < 40 for radio in page.locator("#kinds input").all())
        steps = soft(inspection)[1]["steps"]
        assert page.locator("#lattice .column").count() == len(steps)
        assert page.locator("#lattice .node").count() == sum(
            slot["score"] is not None for step in steps for slot in step["slots"]
        )
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
        page.click("#tab-words")
        assert page.locator("#words dt").first.is_visible() and not page.locator("#lattice").is_visible()
        assert fits(page)


def test_what_is_shown_is_what_the_json_says(file, inspection):
    with opened(file) as page:
        page.wait_for_selector("#lattice svg")
        search = soft(inspection)[1]
        for step in (0, 2):
            page.locator("#lattice .column").nth(step).click()
            rows = page.locator("#matrix tbody tr")
            candidates, outside = search["steps"][step]["candidates"], search["steps"][step]["outside"]
            assert rows.count() == len(candidates) + bool(search["steps"][step]["rest"]["candidates"]) + len(outside)
            assert outside and rows.last.inner_text().startswith(f"{outside[-1]['token']} (no candidate)")
            cells = rows.nth(1).locator("td").all_inner_texts()
            shares = [f"{round(100 * row[1] + 1e-9)}%" for row in search["steps"][step]["matrix"]]
            assert cells[:5] == [str(candidates[1]["slot"] + 1), *shares]
            assert page.inner_text("#told").split("\n")[0] == search["steps"][step]["told"][0]
        assert page.locator("#beams tbody tr").count() == 4
        assert f"{search['loss']}" in page.inner_text("#facts")


def test_slider_searches_sentences_and_keys(file, inspection):
    with opened(file) as page:
        page.wait_for_selector("#lattice svg")
        assert page.inner_text("#degrees") == "0.5 nats"
        page.focus("#temperature")
        page.keyboard.press("ArrowRight")
        assert page.inner_text("#degrees") == "2 nats" and "temperature 2" in page.inner_text("#facts")
        page.keyboard.press("Home")
        assert page.inner_text("#degrees") == "0.1 nats"
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("ArrowLeft")
        assert "search as trained" in page.inner_text("#facts")
        page.keyboard.press("ArrowLeft")
        assert "hard search" in page.inner_text("#facts") and page.is_disabled("#temperature")
        hard = inspection["sentences"][0]["searches"][0]
        page.focus("#lattice")
        page.keyboard.press("Home")
        assert page.inner_text("#step") == f"Step 1 of {len(hard['steps'])}" and page.is_disabled("#back")
        page.keyboard.press("ArrowRight")
        page.click("#on")
        assert page.inner_text("#step") == f"Step 3 of {len(hard['steps'])}"
        page.keyboard.press("End")
        assert page.is_disabled("#on")
        page.select_option("#sentence", "1")
        assert page.inner_text("#facts bdi >> nth=0") == "A girl."
        page.click("#theme")
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"


def test_a_sentence_that_was_left_out_says_why(inspection, tmp_path):
    left = {**inspection["sentences"][0], "searches": [], "problem": "it is too long"}
    write_inspection(tmp_path / "page.html", {**inspection, "sentences": [left, inspection["sentences"][1]]})
    with opened(tmp_path / "page.html") as page:
        page.wait_for_selector("#facts bdi")
        assert "it is too long" in page.inner_text("#facts") and not page.is_visible("#lattice")
        page.select_option("#sentence", "1")
        assert page.is_visible("#lattice svg")


def hostile(inspection, text):
    """The inspection with the text wherever there is one."""

    def changed(value, key=None):
        if isinstance(value, dict):
            return {name: changed(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [changed(each, key) for each in value]
        return text if isinstance(value, str) and key not in ("kind", "selection") else value

    return changed(inspection)


def check_hostile(inspection, text, folder):
    write_inspection(folder / "page.html", hostile({**inspection, "sentences": inspection["sentences"][:1]}, text))
    with opened(folder / "page.html", PHONE) as page:
        page.wait_for_selector("#lattice svg")
        page.click("#on")
        assert page.title() != "run" and fits(page)
        expected = "".join("\ufffd" if ord(each) < 32 or 127 <= ord(each) < 160 else each for each in text)
        assert page.locator("#facts bdi").first.evaluate("each => each.textContent") == expected
        assert page.locator("img, main script, iframe").count() == 0


@pytest.mark.parametrize("text", HOSTILE, ids=["script", "image", "quotes", "right to left", "control", "long"])
def test_text_is_data(inspection, tmp_path, text):
    check_hostile(inspection, text, tmp_path)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(st.sampled_from(TELLING) | st.characters(exclude_categories=["Cs"]), min_size=1).map("".join))
def test_any_text_is_data(inspection, tmp_path, text):
    check_hostile(inspection, text, tmp_path)
