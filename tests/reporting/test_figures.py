"""The figures of a report against what they are by definition, on texts small enough to count by hand."""

import json
import re
from collections import Counter

import pytest
from sacrebleu.metrics import BLEU, CHRF

from beamtrain.reporting import groups, search_errors
from beamtrain.reporting.data import report
from beamtrain.reporting.decodings import Candidate, Line
from beamtrain.reporting.page import page
from beamtrain.reporting.systems import System
from beamtrain.reporting.training_curves import training_of
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.scoring.metrics import sentence_chrf
from beamtrain.scoring.resampling import Resamples, statistics
from beamtrain.scoring.sentence_statistics import SentenceStatistics
from beamtrain.search.options import SearchOptions
from beamtrain.translating.forced import Forced

REFERENCES = ["a b c d", "a b c", "x y", "one two three four five"]
OUTPUTS = ["a b c d", "a b", "x y z", "one one two two"]


def test_source_length_groups_hold_every_sentence_once():
    sources = [" ".join("w" * n) for n in (1, 2, 2, 2, 2, 3, 4, 5, 9, 30)]
    found = groups.source_length_groups(sources, str.split)
    assert sorted(place for _, places in found for place in places) == list(range(10))
    assert [label for label, _ in found] == ["1–2", "3", "4–5", "6–30"]
    assert groups.source_length_groups(["a b"] * 3, str.split) == [("2", [0, 1, 2])]


def test_length_ratio_groups():
    hypotheses = [" ".join("w" * n) for n in (7, 8, 9, 10, 10, 11, 12, 13, 0)]
    references = [" ".join("w" * 10)] * 8 + [""]
    found = dict(groups.length_ratio_groups(hypotheses, references, str.split))
    assert found == {
        "< 0.8": [0, 8], "0.8–0.9": [1], "0.9–1": [2], "1": [3, 4], "1–1.1": [], "1.1–1.2": [5], "≥ 1.2": [6, 7]
    }  # fmt: skip


def test_the_scores_of_a_group_are_sacrebleu_s_of_its_sentences():
    metrics = [
        (name, metric, statistics(metric, OUTPUTS, [REFERENCES]))
        for name, metric in (("BLEU", BLEU()), ("chrF2", CHRF()))
    ]
    first, nothing = groups.scores_of_groups([("g", [0, 3]), ("h", [])], metrics, Resamples(4, 100))
    for score, metric in zip(first["scores"], (BLEU(), CHRF()), strict=True):
        expected = metric.corpus_score([OUTPUTS[0], OUTPUTS[3]], [[REFERENCES[0], REFERENCES[3]]])
        assert score["value"] == pytest.approx(expected.score) and score["low"] <= score["value"] <= score["high"]
    assert first["sentences"] == 2 and nothing["scores"] == []


def test_words_by_frequency():
    """Of `one` (seen 5 times) two are said and one is right; `two` (5) likewise; `three four five` were never seen."""
    found = groups.words_by_frequency(
        OUTPUTS, REFERENCES, Counter({"one": 5, "two": 9, "a": 20, "b": 2000}), str.split, Resamples(4, 200)
    )
    by_label = {group["label"]: group for group in found}
    assert list(by_label) == ["0", "1–9", "10–99", "100–999", "1,000 or more"]
    assert by_label["1–9"]["f1"] == pytest.approx(100 * 2 * 2 / (4 + 2))
    assert by_label["1–9"]["reference_words"] == 2
    assert (by_label["10–99"]["f1"], by_label["100–999"]["reference_words"]) == (100, 0)
    assert by_label["0"]["low"] <= by_label["0"]["f1"] <= by_label["0"]["high"]


def test_repetition():
    shares = [each["share"] for each in groups.repetition(["a a b", "a b a b a"], str.split)]
    assert shares == pytest.approx([100 * 4 / 8, 100 * 2 / 6, 100 * 1 / 4, 0])


def test_statistics_of_sentences_are_sacrebleu_s_and_taken_once(monkeypatch):
    known = SentenceStatistics(CHRF(), [REFERENCES])
    assert known.sentence_scores(OUTPUTS) == pytest.approx(sentence_chrf(OUTPUTS, REFERENCES))
    monkeypatch.setattr(known, "metric", None)
    assert known.of(OUTPUTS).shape == (4, 18)


class TestErrors:
    def test_verdicts(self):
        outputs = [
            Candidate(text, score, 0, 1) for text, score in (("r", -1), ("o", -2), ("o", -2), ("o", -2), ("", 0))
        ]
        references = [["r", "r", "r", "r", "r"]]
        found = search_errors.verdicts(outputs, [-0.5, -1.0, -3.0, -2.0, None], references)
        assert found == ["reference found", "search error", "model error", "model error", None]
        counts = {each["verdict"]: (each["count"], each["of"]) for each in search_errors.shares(found)}
        assert counts == {"search error": (1, 4), "model error": (2, 4), "reference found": (1, 4)}

    def test_a_share_s_interval_is_wilson_s(self):
        found = search_errors.share(1, 4)
        assert (found["low"], found["high"]) == pytest.approx((0.0456, 0.6994), abs=1e-4)
        assert search_errors.share(0, 0)["share"] is None

    def test_references_are_scored_by_the_search_s_own_rule(self):
        forced = [Forced(-6.0, 7), None, Forced(-6.0, 15), Forced(-6.0, 14)]
        found = search_errors.forced_scores(forced, [9, 9, 2, 2], SearchOptions(length_penalty="gnmt", alpha=1.0))
        assert found == [-3.0, None, None, pytest.approx(-6 * 6 / 19)]  # 2 * 2 + 10 tokens at most
        assert search_errors.best_of([[-3.0, None, None], [-2.0, -1.0, None]]) == [-2.0, -1.0, None]

    def test_what_beams_miss_of_the_optimum(self):
        def line(score: float) -> Line:
            return Line([Candidate("x", score, score, 2)], ["s"], ["x"])

        exact = {0: Candidate("", -1.0, -1.0, 1), 1: Candidate("y", -2.0, -2.0, 2), 2: None}
        by_beam = {1: [line(-1.5), line(-2.0001), line(-1)], 8: [line(-1.0), line(-2.0), line(-1)]}
        found = search_errors.against_exact(SearchOptions(length_penalty="none"), exact, by_beam)
        assert (found["sentences"], found["decided"], found["empty"]["count"]) == (3, 2, 1)
        assert [(each["beam_size"], each["count"]) for each in found["missed"]] == [(1, 1), (8, 0)]


class TestTraining:
    CONFIG = """
model:
  objective:
    class_path: beamtrain.objectives.BeamTraining
    init_args:
      start_step: 30
      loss: {class_path: beamtrain.objectives.MinimumRisk}
      unroll: {selection: straight_through}
init_from: runs/before
"""

    def test_curves_and_phases(self, tmp_path):
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "metrics.csv").write_text(
            "step,epoch,train/loss,dev_bleu\n25,1,0.75,\n50,1,0.5,\n50,1,,86.5\nhalf a li"
        )
        (tmp_path / "config.yaml").write_text(self.CONFIG)
        found = training_of(tmp_path, 50)
        assert found["curves"] == {"train/loss": [[25, 0.75], [50, 0.5]], "dev_bleu": [[50, 86.5]]}
        assert found["phases"] == [
            {"name": "teacher forcing", "first": 0, "last": 30},
            {"name": "MinimumRisk, straight_through", "first": 30, "last": 50},
        ]
        assert (found["steps"], found["best_step"], found["started_from"]) == (50, 50, "runs/before")

    def test_a_run_that_diverged(self, tmp_path):
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "metrics.csv").write_text(
            "step,epoch,train/loss,train/nll\n1,0,2.5,inf\n2,0,nan,nan\n3,0,-1e400,\n4,0,1.5,\n\u00b2,0,1,1\n"
        )
        data = report("t", None, [System("a", folder=tmp_path)], ScoringOptions())
        assert data["systems"][0]["training"]["curves"] == {
            "train/loss": [[1, 2.5], [2, None], [3, None], [4, 1.5]],
            "train/nll": [[1, None], [2, None]],
        }
        json.dumps(data, allow_nan=False)
        html = page(data)
        assert "Loss (not finite, and not drawn: 2)" in html
        assert not re.search(r'="[^"]*\b(nan|inf)\b', html)

    def test_metrics_that_are_no_table_are_left_out(self, tmp_path):
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "metrics.csv").write_text("step,epoch,train/loss\n25,1,0.75\n" + "\0" * 140_000)
        assert training_of(tmp_path, None) is None

    @pytest.mark.parametrize("config", [None, "model: {", "- 1", "model: {objective: {init_args: 3}}"])
    def test_a_config_that_says_nothing(self, tmp_path, config):
        assert training_of(tmp_path, None) is None
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "metrics.csv").write_text("step,epoch,train/loss\n25,1,0.75\n")
        if config is not None:
            (tmp_path / "config.yaml").write_text(config)
        assert training_of(tmp_path, None)["phases"] == [{"name": "teacher forcing", "first": 0, "last": 25}]
