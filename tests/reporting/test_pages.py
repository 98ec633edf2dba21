"""Pages are made from their data, and text in them is text."""

import base64
import gzip
import hashlib
import json
import re

import pytest

from beamtrain.reporting.charts import Chart, Point, Series, tick_text
from beamtrain.reporting.data import report
from beamtrain.reporting.page import page, write_report_page
from beamtrain.reporting.page_base import shown
from beamtrain.reporting.systems import System
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.scoring.metrics import score_corpus
from beamtrain.scoring.parallel_text import ParallelText

HOSTILE = "<script>alert('x')</script> \0 \"quoted\" \u202eيمين\u2028 </style> ${a} {{ 7 * 7 }}"
TEXT = ParallelText(HOSTILE, ["a cat", "two dogs", HOSTILE], [["eine Katze", "zwei Hunde", HOSTILE]])


@pytest.fixture(scope="module")
def data():
    systems = [System(HOSTILE, ["eine Katze", "zwei Katzen", HOSTILE]), System("other", ["Katze", "", HOSTILE])]
    return report(HOSTILE, TEXT, systems, ScoringOptions().of_language("de"), samples=100)


def test_no_text_becomes_markup(data):
    html = page(data)
    assert "alert(" not in html.replace("&lt;script&gt;alert(", "")
    assert "\0" not in html and "49" not in re.findall(r"\{\{.*?\}\}|<h1>.*?</h1>", html)[0]
    assert len(re.findall("<script", html)) == 2 and html.count("</script>") == 2


def test_only_the_page_s_own_script_may_run(data):
    html = page(data)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)[1]
    allowed = re.search(r"script-src 'sha256-([^']+)'", html)[1]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() == allowed
    assert "default-src 'none'" in html and not re.search(r"(src|href)=\"(?!#|data:)", html)


def test_the_page_is_made_from_the_json_beside_it(data, tmp_path):
    write_report_page(tmp_path / "report.html", data)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    kept = json.loads((tmp_path / "report.data.json").read_text(encoding="utf-8"))
    assert page(kept) == html
    assert (kept["format"], kept["version"]) == ("beamtrain report", 1)
    packed = re.search(r'id="data">([^<]*)<', html)[1]
    browsed = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert browsed["sources"] == TEXT.sources
    assert [each["outputs"] for each in browsed["systems"]] == [each["outputs"] for each in data["systems"]]


def test_scores_are_those_of_the_corpus_to_the_last_digit(data):
    for system, said in zip(
        data["systems"], (["eine Katze", "zwei Katzen", HOSTILE], ["Katze", "", HOSTILE]), strict=True
    ):
        expected = score_corpus(said, *TEXT.references, options=ScoringOptions().of_language("de"))
        assert [(each["name"], each["value"], each["signature"]) for each in system["scores"]] == [
            (each.name, each.value, each.signature) for each in expected.all
        ]
        assert all(f'<data value="{each.value}">{each.value:.2f}</data>' in page(data) for each in expected.all)


def test_shown():
    assert shown("a\0b\x1b\x7f\x9fü\u2028") == "a\ufffdb\ufffd\ufffd\ufffdü\u2028"


@pytest.mark.parametrize(
    ("points", "ticks"),
    [
        ([(1, 20.0), (2, 29.0)], [20, 22, 24, 26, 28, 30]),
        ([(1, 5.0)], [4.7, 4.8, 4.9, 5.0, 5.1, 5.2, 5.3]),
        ([(1, 0.0), (4, 0.0)], None),
        ([(1, -1e-4), (2, 3e-4)], None),
        ([], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_charts_hold_their_points(points, ticks):
    chart = Chart("t", "x", [Series("s", 0, [Point(x, y) for x, y in points])], dots=True)
    found = chart.places.y_ticks
    if ticks is not None:
        assert found == pytest.approx(ticks)
    for x, y in points:
        assert found[0] <= y <= found[-1]
        assert 0 <= chart.places.x(x) <= 460 and 0 <= chart.places.y(y) <= 250


def test_ticks_in_few_letters():
    assert [tick_text(x) for x in (0.0, 30.0, 2.5, 1000.0, 0.0004, 3e6)] == [
        "0",
        "30",
        "2.5",
        "1,000",
        "0.0004",
        "3e+06",
    ]


def test_systems_of_one_name_keep_their_own_scores_and_examples():
    outputs = [["eine Katze", "zwei Hunde", HOSTILE], ["Katze", "", "x"]]
    told = report("r", TEXT, [System("same", each) for each in outputs], ScoringOptions(), samples=100)["systems"]
    for each, said in zip(told, outputs, strict=True):
        expected = score_corpus(said, *TEXT.references)
        assert [score["value"] for score in each["scores"]] == [score.value for score in expected.all]
        assert [estimate["score"]["value"] for estimate in each["bootstrap"]] == [
            expected.bleu.value,
            expected.chrf.value,
        ]


def test_a_column_that_nothing_is_known_for_is_left_out(data):
    assert "checkpoint</th>" not in page(data) and "search</th>" not in page(data)
