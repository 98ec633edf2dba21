"""One search of scripts/experiments/beams.py and lengths.py gives what a search for each length penalty would."""

import json
import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments"))

import beams
import lengths
from n_best import best

from beamtrain.runs.loading import load_run
from beamtrain.search.options import SearchOptions
from beamtrain.translating.translator import Candidate, Translation, Translator

SOURCES = ["a", "bc", "d e", "f"]


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "text"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        for language in ("en", "de"):
            (folder / f"{split}.{language}").write_text("".join(f"{line}\n" for line in SOURCES))
    return str(folder)


def hypotheses(*lengths_and_log_probs: tuple[int, float]) -> Translation:
    """Each of so many words, which are its tokens."""
    words = [[str(place) for place in range(length)] for length, _ in lengths_and_log_probs]
    log_probs = [log_prob for _, log_prob in lengths_and_log_probs]
    return Translation(
        1, [], [Candidate(" ".join(of), 0.0, each, of, []) for of, each in zip(words, log_probs, strict=True)]
    )


def test_a_penalty_ranks_the_hypotheses_anew() -> None:
    translation = hypotheses((1, -2), (5, -2.5), (9, -5))
    assert [len(best(translation, alpha).split()) for alpha in (0, 1, 4)] == [1, 5, 9]


def test_bleu_over_the_ratio_of_lengths() -> None:
    ratios, scores = lengths.curve([hypotheses((6, -3), (12, -5))], [" ".join(map(str, range(12)))])
    assert ratios == [0.5, 1] and scores == pytest.approx([100 / math.e, 100])


def test_beams_with_and_without_a_penalty(
    transformer_run: Path,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, out = str(transformer_run), tmp_path / "out"
    options = ["--text", text, "--out", str(out), "--beams", "1", "6", "--lines", "3"]
    monkeypatch.setattr("sys.argv", ["beams.py", run, run, *options])
    beams.main()
    printed = capsys.readouterr().out
    assert "| penalty | beam 1 | beam 6 |" in printed
    assert printed.count("| less the first | gnmt | +.00 (p 1.00) BLEU") == 1
    (kept,) = out.glob("*-beam6-*.json")
    loaded = load_run(transformer_run)
    for penalty, found in json.loads(kept.read_text()).items():
        search = SearchOptions(beam_size=6, length_penalty=penalty)
        translations = Translator(loaded.network, loaded.tokenizer, search).translate(SOURCES[:3])
        assert found == [each.text for each in translations]


def test_lengths_of_splits_together(
    transformer_run: Path, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = ["--splits", "test", "validation+test"]
    monkeypatch.setattr("sys.argv", ["lengths.py", str(transformer_run), "--text", text, *splits])
    lengths.main()
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [line.split(" | ")[1] for line in rows] == ["test", "validation+test"]
