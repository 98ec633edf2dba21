"""Reports hold every figure with its provenance, and survive any text."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from beamtrain.scoring.evaluation import Evaluation
from beamtrain.scoring.metrics import CorpusScores, Score
from beamtrain.scoring.reports import markdown, print_scores, print_table, printable, write_report
from beamtrain.search.options import SearchOptions

EVALUATION = Evaluation(
    data="test",
    checkpoint="runs/quickstart, step 2,000",
    search=SearchOptions(beam_size=5, alpha=0.6),
    scores=CorpusScores(
        Score("BLEU", 38.456, "nrefs:1|tok:13a"), Score("chrF2", 61.2, "nc:6"), Score("TER", 44.0, "tercom"), 0.987, 20
    ),
    seconds=4.0,
    output_tokens=600,
    sources=[f"source {n}" for n in range(1, 21)],
    references=[f"reference {n}" for n in range(1, 21)],
    hypotheses=[f"translation {n}" for n in range(1, 21)],
    problems=[],
)


def test_speed():
    assert (EVALUATION.sentences_per_second, EVALUATION.tokens_per_second) == (5, 150)


def test_markdown_table():
    lines = markdown("quickstart", [EVALUATION]).splitlines()
    assert lines[0] == "# quickstart"
    assert lines[4] == "| test | 5 | gnmt 0.6 | 38.46 | 61.20 | 44.00 | 0.987 | 5.0 | 150 |"
    assert "- checkpoint: runs/quickstart, step 2,000" in lines
    assert "- BLEU: nrefs:1|tok:13a" in lines


def test_markdown_examples_are_spread_over_the_data():
    rows = [line for line in markdown("quickstart", [EVALUATION]).splitlines() if "| source " in line]
    assert len(rows) == 9  # the header and 8 sentences
    assert rows[1] == "| 1 | source 1 | reference 1 | translation 1 |"
    assert rows[-1] == "| 20 | source 20 | reference 20 | translation 20 |"


def test_several_beams_share_their_signatures_and_examples():
    text = markdown("quickstart", [EVALUATION, replace(EVALUATION, search=SearchOptions(beam_size=1))])
    assert text.count("- BLEU: nrefs:1|tok:13a") == 1
    assert text.count("## Some translations of test") == 1


def test_one_sentence():
    one = replace(EVALUATION, sources=["a|b"], references=["\x1b[31mred"], hypotheses=["c\u2028d\re"])
    assert "| 1 | a\\|b | �[31mred | c�d�e |" in markdown("hostile", [one]).splitlines()


def test_written_files_agree(tmp_path: Path):
    write_report(tmp_path / "report", "quickstart", [EVALUATION])
    assert (tmp_path / "report" / "report.md").read_text(encoding="utf-8") == markdown("quickstart", [EVALUATION])
    report = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    (evaluation,) = report["evaluations"]
    assert evaluation["scores"][0] == {"name": "BLEU", "value": 38.456, "signature": "nrefs:1|tok:13a"}
    assert evaluation["search"]["alpha"] == 0.6


def test_table_on_a_pipe_is_not_wrapped(capsys: pytest.CaptureFixture[str]):
    print_scores([replace(EVALUATION, data="a-test-set-with-a-long-name/full")])
    header, row, *_ = capsys.readouterr().out.splitlines()
    assert header.split()[-1] == "tokens/s"
    assert " ".join(row.split()) == "a-test-set-with-a-long-name/full 5 gnmt 0.6 38.46 61.20 44.00 0.987 5.0 150"


def test_table_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]):
    print_table(["system", "BLEU"], [["[red]out[/red].txt", "1"]])
    assert "[red]out[/red].txt" in capsys.readouterr().out


def test_printable():
    assert printable("Zug 😀 مرحبا\x07\x1b\u200f\u2028") == "Zug 😀 مرحبا����"
