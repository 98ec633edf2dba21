"""The page of a report in a browser: every tab and filter, by mouse and by keyboard, and text that would run."""

import json
import random
from pathlib import Path

import pytest
from chromium import PHONE, WIDE, fits, opened
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from beamtrain.reporting.data import report
from beamtrain.reporting.decodings import Candidate, Line
from beamtrain.reporting.page import write_report_page
from beamtrain.reporting.systems import ExactSearch, System
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.scoring.parallel_text import ParallelText
from beamtrain.search.options import SearchOptions

pytestmark = pytest.mark.browser

N = 60
WORDS = ["der", "die", "Hund", "Katze", "sieht", "kleine", "große", "rote", "ein", "zwei"]
OWN = SearchOptions(beam_size=2)


def line(text: str, score: float) -> Line:
    candidates = [Candidate(text, score, 2 * score, 4), Candidate(text + " x", score - 1, 2 * score - 2, 5)]
    return Line(candidates, ["▁a", "▁b", "</s>"], text.split(), ["901"] * (len(text.split()) + 1))


def system(name: str, folder: Path, seed: int) -> System:
    """Some sentences of which are the reference, some empty, some search errors, and some optima missed."""
    draw = random.Random(seed)
    said = [reference if draw.random() < 0.3 else " ".join(draw.choices(WORDS, k=3)) for reference in REFERENCES]
    said[seed] = ""
    lines = [line(text, -2.0) for text in said]
    best = {0: Candidate("the optimum", -1.0, -1.0, 3), 1: lines[1].candidates[0], 2: None}
    plain = SearchOptions(beam_size=2, length_penalty="none")
    return System(
        name, said, folder, f"{name}, step 8", 8, OWN, lines, [-1.0 if place % 2 else -3.0 for place in range(N)],
        [(OWN, lines), (plain, lines)], [ExactSearch(OWN, best, {2: lines}), ExactSearch(plain, best, {2: lines})],
    )  # fmt: skip


DRAW = random.Random(0)
SOURCES = [f"source number {place}" for place in range(N)]
REFERENCES = [" ".join(DRAW.choices(WORDS, k=4)) for _ in range(N)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "logs").mkdir()
    rows = "".join(f"{step},1,{5 / step},{step / 9},,\n{step},1,,,{step},\n" for step in (10, 20, 30))
    (folder / "logs" / "metrics.csv").write_text(f"step,epoch,train/loss,train/reward,dev_bleu,train/lr\n{rows}")
    (folder / "config.yaml").write_text("model: {objective: {class_path: B.BeamTraining, init_args: {start_step: 10}}}")
    systems = [system(name, folder, seed) for seed, name in enumerate(("first", "second", "n" * 240))]
    text = ParallelText("t" * 240, SOURCES, [REFERENCES])
    data = report(
        "a report",
        text,
        systems,
        ScoringOptions().of_language("de"),
        frequencies={"der": 50},
        counted="a text",
        samples=100,
    )
    write_report_page(folder / "page.html", data)
    return folder / "page.html"


def count(page) -> int:
    return int(page.locator("#count").inner_text().split()[0])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_every_tab_shows_its_part_alone_and_fits(file, width, dark):
    with opened(file, width, dark) as page:
        page.wait_for_selector("#list .sentence", state="attached")
        tabs = page.locator("[role=tab]")
        assert tabs.all_inner_texts() == ["Scores", "Training", "Beam", "Parts", "Errors", "Sentences"]
        for number in range(tabs.count()):
            tabs.nth(number).click()
            shown = [panel for panel in page.locator("[role=tabpanel]").all() if panel.is_visible()]
            assert len(shown) == 1
            assert shown[0].get_attribute("aria-labelledby") == tabs.nth(number).get_attribute("id")
            assert fits(page)
            assert shown[0].inner_text().strip()


@pytest.mark.parametrize("name", ["BeamTraining " * 20, "n" * 240])
def test_long_names_of_phases_and_checkpoints_wrap_on_a_phone(file, name):
    data = json.loads(file.with_name("page.data.json").read_text(encoding="utf-8"))
    for system in data["systems"]:
        system["checkpoint"], system["training"]["started_from"] = name, name
        system["training"]["phases"] = [{"name": name, "first": 0, "last": 9}] * 3
    write_report_page(file.with_name("long.html"), data)
    with opened(file.with_name("long.html"), PHONE) as page:
        for tab in ("scores", "training"):
            page.click(f"#tab-{tab}")
            for cell in page.locator(f"#{tab} td.text").all():
                assert cell.bounding_box()["width"] < PHONE


def test_the_keyboard_is_enough(file):
    with opened(file) as page:
        page.wait_for_selector("#list .sentence", state="attached")
        page.locator("[role=tab]").first.focus()
        page.keyboard.press("End")
        assert page.locator("#sentences").is_visible()
        page.keyboard.press("ArrowRight")
        assert page.locator("#scores").is_visible()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Tab")
        page.keyboard.type("number 7")
        assert count(page) == 1
        for _ in range(4):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # opens the candidates
        page.wait_for_selector("#list .sentence details[open] table")
        assert page.locator("#list .sentence details[open] table").count() == 6


def test_every_filter_and_order(file):
    data = json.loads(file.with_name("page.data.json").read_text(encoding="utf-8"))
    outputs = [each["outputs"] for each in data["systems"]]
    with opened(file) as page:
        page.wait_for_selector("#list .sentence", state="attached")
        page.click("#tab-sentences")
        assert count(page) == N and page.locator("#list .sentence").count() == 25
        page.click("#more")
        assert page.locator("#list .sentence").count() == 50
        kinds = page.locator("[name=kind] option").all_inner_texts()
        for number, own in enumerate(outputs):
            page.select_option("[name=system]", str(number))
            for kind in kinds:
                page.select_option("[name=kind]", kind)
                expected = {
                    "all sentences": lambda place, own=own: True,
                    "better than system 1": lambda place, own=own: own[place]["chrf"] > outputs[0][place]["chrf"],
                    "worse than system 1": lambda place, own=own: own[place]["chrf"] < outputs[0][place]["chrf"],
                    "other words than system 1": lambda place, own=own: own[place]["text"] != outputs[0][place]["text"],
                    "not the reference": lambda place, own=own: own[place]["text"] != REFERENCES[place],
                    "empty output": lambda place, own=own: not own[place]["text"],
                    "search errors": lambda place, own=own: own[place]["verdict"] == "search error",
                    "model errors": lambda place, own=own: own[place]["verdict"] == "model error",
                    "another optimum, gnmt 1": lambda place, own=own: place == 0,
                    "another optimum, no length penalty": lambda place, own=own: place == 0,
                }[kind]
                assert count(page) == sum(expected(place) for place in range(N)), (number, kind)
        page.select_option("[name=kind]", "all sentences")
        page.select_option("[name=system]", "1")
        changes = [own["chrf"] - first["chrf"] for first, own in zip(outputs[0], outputs[1], strict=True)]
        for order, key in {
            "line": lambda place: place,
            "change from system 1, gains first": lambda place: -changes[place],
            "change from system 1, losses first": lambda place: changes[place],
            "change from system 1, largest first": lambda place: -abs(changes[place]),
            "chrF2, lowest first": lambda place: outputs[1][place]["chrf"],
            "reference, longest first": lambda place: -len(REFERENCES[place]),
        }.items():
            page.select_option("[name=order]", order)
            lines = [int(title.split()[1]) - 1 for title in page.locator("#list .sentence h3").all_inner_texts()]
            assert lines == sorted(range(N), key=lambda place: (key(place), place))[:25], order


def test_colours_candidates_and_attention(file):
    with opened(file) as page:
        page.wait_for_selector("#list .sentence", state="attached")
        page.click("#tab-sentences")
        page.fill("[name=text]", SOURCES[0])
        card = page.locator("#list .sentence").first
        assert card.locator("mark.extra").count() and card.locator("mark.changed").count()
        card.locator("summary").click()
        page.wait_for_selector("#list .sentence details[open] table")
        assert card.locator("td", has_text="the optimum").count() == 6
        assert card.locator(".attention td.weight-9").first.is_visible()
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        for _ in range(2):  # light, dark
            page.click("#theme")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_pages_of_a_comparison_and_of_a_run_without_a_test_set(file):
    compared = [System(name, lines) for name, lines in (("a", SOURCES), ("b", REFERENCES))]
    options = ScoringOptions().of_language("de")
    comparison = report("a comparison", ParallelText("x", [], [REFERENCES]), compared, options, samples=100)
    alone = report("a run", None, [System("run", folder=file.parent)], options)
    for data, labels in ((comparison, ["Scores", "Parts", "Sentences"]), (alone, ["Training"])):
        path = file.with_name("other.html")
        write_report_page(path, data)
        with opened(path) as page:
            assert page.locator("[role=tab]").all_inner_texts() == labels
            for tab in page.locator("[role=tab]").all():
                tab.click()
            assert page.locator("#list .sentence").count() == (25 if "Sentences" in labels else 0)
            assert page.locator("svg.chart").count() > 2


def test_print_shows_every_part(file):
    with opened(file) as page:
        page.wait_for_selector("#list .sentence", state="attached")
        page.emulate_media(media="print")
        assert all(panel.is_visible() for panel in page.locator("[role=tabpanel]").all())
        assert not page.locator("[role=tablist]").is_visible()


LONG = {"many words": "w " * 50_000, "one word": "x" * 100_000}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(
    [
        *LONG,
        "</script><script>document.title = 'run'</script>",
        "<img src=x onerror=\"document.title = 'run'\">",
        "' \" ` & &lt; {{ 7 * 7 }} ${7} \\u003c \u2028\u2029 <!-- <script>",
        "\u202eright to left שלום مرحبا \u2066",
        "NUL \x00 bell \x07 escape \x1b[31m",
    ]
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
@example(name="one word", texts=[("many words", "one word", "many words")])
@example(name="many words", texts=[("one word", "", "one word")])
@given(name=TEXT, texts=st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=3))
def test_text_is_shown_and_never_run(tmp_path_factory, name, texts):
    name, texts = LONG.get(name, name), [tuple(LONG.get(each, each) for each in row) for row in texts]
    sources, references, said = (list(column) for column in zip(*texts, strict=True))
    lines = [line(text, -1.0) for text in said]
    text = ParallelText(name, sources, [references])
    own = System(name, said, search=OWN, n_best=lines, reference_scores=[-2.0] * len(said))
    data = report(name, text, [own, System(name + "2", references)], ScoringOptions().of_language("de"), samples=100)
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_report_page(path, data)
    with opened(path) as page:
        page.wait_for_selector("#list .sentence", state="attached")
        page.click("#tab-sentences")
        page.select_option("[name=order]", "line")
        assert page.title() != "run"
        assert page.evaluate("document.scripts.length") == 2 and page.locator("img").count() == 0
        for place, (source, _, output) in enumerate(texts):
            rows = page.locator("#list .sentence").nth(place).locator(".said p")
            seen = page.evaluate("shown => beamtrain.shown(shown)", source)
            assert rows.nth(0).evaluate("row => row.textContent") == (seen or "empty")
            words = page.evaluate("line => line.split(/\\s+/).filter(Boolean).map(beamtrain.shown).join(' ')", output)
            assert rows.nth(2).evaluate("row => row.textContent") == (words or "empty")
        assert fits(page)
