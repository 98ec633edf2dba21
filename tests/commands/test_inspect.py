"""`beamtrain inspect`: what it says of a search, as text, JSON, page and picture."""

import io
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from beamtrain.cli import main
from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import EOS
from beamtrain.inspecting.page import inspection_page
from beamtrain.inspecting.picture import write_picture
from beamtrain.runs.loading import load_run
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions

SOURCE, REFERENCE = "Two young men.", "!! !!!!"  # which is like what the random network says
TRAINED = """
model:
  objective:
    class_path: beamtrain.objectives.BeamTraining
    init_args:
      loss: {class_path: beamtrain.objectives.ExpectedReward}
      unroll: {beam_size: 3, candidates: 6, selection: straight_through, open_paths: [score_update]}
      operator: {class_path: beamtrain.topk.SoftSort, init_args: {temperature: 0.4}}
"""
HOSTILE = "</script><script>alert(1)</script>\x00\x1b[31m\u202e{{7}}$\\frac{\"'&amp;[bold]"


@pytest.fixture(scope="module")
def trained_run(transformer_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(transformer_run, tmp_path_factory.mktemp("trained") / "run")
    (folder / "config.yaml").write_text(TRAINED)
    return folder


@pytest.fixture(scope="module")
def inspection(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Of one sentence with a reference, at two temperatures."""
    file = tmp_path_factory.mktemp("json") / "a.json"
    arguments = [SOURCE, "--reference", REFERENCE, "--temperature", "0.5,2"]
    assert main(["inspect", str(trained_run), *arguments, "--json", str(file)]) == 0
    return json.loads(file.read_text())


def by_kind(inspection, kind):
    return [each for each in inspection["sentences"][0]["searches"] if each["kind"] == kind]


def test_every_search_is_whole(inspection):
    (sentence,) = inspection["sentences"]
    assert [(each["kind"], each["temperature"]) for each in sentence["searches"]] == [
        ("hard", None), ("trained", 0.4), ("soft", 0.5), ("soft", 2.0),
    ]  # fmt: skip
    assert (sentence["source"], sentence["reference"], sentence["reference_given"]) == (SOURCE, REFERENCE, True)
    pushed = set()
    for search in sentence["searches"]:
        assert search["beam_size"] == len(search["beams"]) == 3 and len(search["steps"]) == len(search["ancestry"])
        for step in search["steps"]:
            count = len(step["candidates"]) + step["rest"]["candidates"]
            assert count <= 6 and len(step["matrix"]) == len(step["slots"]) == 3
            for row, rest, slot in zip(step["matrix"], step["rest"]["mass"], step["slots"], strict=True):
                assert sum(row) + rest == pytest.approx(1, abs=1e-3)
                assert sum(slot["parents"]) == pytest.approx(1, abs=1e-3) and 0 <= slot["finished"] <= 1
            scores = [each["score"] for each in step["candidates"]]
            assert scores == sorted(scores, reverse=True)
            for each in step["candidates"][3:]:
                assert each["behind"] == pytest.approx(scores[2] - each["score"], abs=2e-4)
            pushed |= {search["kind"] for each in step["candidates"] if each["gradient_of_choice"]}
    assert pushed == {"trained", "soft"}


def test_it_says_what_the_loss_is_and_of_what(inspection, transformer_run, capsys):
    for search in inspection["sentences"][0]["searches"]:
        assert (search["loss_name"], search["loss_of_run"]) == ("ExpectedReward(Gleu)", True)
        assert search["about_loss"] == "by ExpectedReward(Gleu), that the run was trained with"
    assert main(["inspect", str(transformer_run), SOURCE, "--temperature", "1", "--format", "json"]) == 0
    without = json.loads(capsys.readouterr().out)
    (sentence,) = without["sentences"]
    assert sentence["reference"] == sentence["translation"] and not sentence["reference_given"]
    assert not sentence["searches"][0]["loss_of_run"]
    assert "no loss that could read this search, against the run's own transl" in sentence["searches"][0]["about_loss"]


def test_a_reward_of_text_is_given_the_text(trained_run, tmp_path, capsys):
    folder = shutil.copytree(trained_run, tmp_path / "run")
    reward = "{class_path: beamtrain.objectives.SentenceChrf, init_args: {workers: 2}}"
    loss = f"{{class_path: beamtrain.objectives.MinimumRisk, init_args: {{reward: {reward}}}}}"
    text = TRAINED.replace("{class_path: beamtrain.objectives.ExpectedReward}", loss)
    (folder / "config.yaml").write_text(text)
    assert main(["inspect", str(folder), SOURCE, "--reference", REFERENCE, "--temperature", "1"]) == 0
    assert "by MinimumRisk(SentenceChrf), that the run was trained with" in capsys.readouterr().out


def test_the_hard_search_finds_what_translating_finds(transformer_run, capsys):
    for sentence in ("Two", "A"):
        assert main(["inspect", str(transformer_run), sentence, "--beam=2", "--temperature=1", "--format=json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)["sentences"]
        run = load_run(transformer_run)
        source = pad([[*run.tokenizer.source.encode([sentence])[0], EOS]])
        limits = {"max_length": len(found["reference_tokens"]) + 4}
        options = SearchOptions(beam_size=2, n_best=2, length_penalty="none", max_length_ratio=9.0, **limits)
        (best, *_), = beam_search(run.network, source, options)  # fmt: skip
        assert found["searches"][0]["beams"][0]["text"] == run.tokenizer.target.decode([best.tokens])[0]
        assert found["searches"][0]["beams"][0]["score"] == pytest.approx(best.log_prob, abs=1e-3)


def test_the_terminal_shows_one_search_and_the_steps_that_are_asked_for(trained_run, capsys):
    arguments = ["inspect", str(trained_run), SOURCE, "--reference", REFERENCE, "--temperature", "0.5"]
    assert main([*arguments[:-1], "0.1,0.5"]) == 0
    shown = capsys.readouterr().out
    assert "soft search, SoftSort at temperature 0.5, 3 beams, 6 candidates" in shown
    assert re.search(r"Step \d+, where the loss pushes hardest", shown) and REFERENCE in shown
    assert main([*arguments, "--show", "trained", "--step", "1", "--step", "3"]) == 0
    shown = capsys.readouterr().out
    assert "selection straight_through; open gradient paths: score_update" in " ".join(shown.split())
    assert re.findall(r"^Step (\d+):", shown, re.M) == ["1", "3"]
    assert main([*arguments, "--step", "1", "--step", "500"]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^Step (\d+):", shown, re.M) == ["1"]
    assert re.search(r"^There is no step 500: the search ends at step \d+$", shown, re.M)
    assert main([*arguments, "--show", "hard", "--operator", "NeuralSort"]) == 0
    assert "hard search, 3 beams, 6 candidates" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("operator", "shown"),
    [
        ("NeuralSort", "NeuralSort"),
        ("beamtrain.topk.SinkhornTopK", "SinkhornTopK"),
        ("{class_path: Gumbel, init_args: {operator: {class_path: SoftTopK}}}", "Gumbel(SoftTopK)"),
        ("ofmine.Own", "Own"),
    ],
)
def test_any_operator_that_gives_an_order(transformer_run, capsys, monkeypatch, tmp_path, operator, shown):
    (tmp_path / "ofmine.py").write_text("from beamtrain.topk import SoftSort\nclass Own(SoftSort):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    imports = ["--import", "ofmine"] if "ofmine" in operator else []
    arguments = ["--reference", "!!", "--operator", operator, "--temperature", "1"]
    assert main(["inspect", str(transformer_run), SOURCE, *arguments, *imports]) == 0
    assert f"soft search, {shown} at temperature 1" in capsys.readouterr().out


def test_sentences_come_from_arguments_a_file_or_standard_input(transformer_run, tmp_path, monkeypatch, capsys):
    sources, references = tmp_path / "in", tmp_path / "right"
    sources.write_text(f"A man.\n\n{'word ' * 400}\n")
    references.write_text("Ein Mann.\nx\ny\n")
    common = ["inspect", str(transformer_run), "--temperature=1", "--format=json"]
    assert main([*common, "--input", str(sources), "--references", str(references)]) == 0
    first, blank, long = json.loads(capsys.readouterr().out)["sentences"]
    assert first["searches"] and first["reference"] == "Ein Mann."
    assert blank["problem"] == "there is nothing to translate" and not blank["searches"]
    assert "above the limit of 256" in long["problem"] and not long["searches"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"A man.\n")))
    assert main(common) == 0
    assert json.loads(capsys.readouterr().out)["sentences"][0]["source"] == "A man."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--temperature", "0"], "--temperature 0: must be a number"),
        (["a", "--temperature", "1,x"], "--temperature 1,x: must be"),
        (["a", "--operator", "Hard"], "gives no gradient"),
        (["a", "--operator", "LapSum("], "--operator"),
        (["a", "--operator", "{a"], "--operator {a: must be a name"),
        (["a", "--operator", "Neuralsort"], "did you mean NeuralSort"),
        (["a", "--operator", "TeacherForcing"], "must be a class that is a Operator"),
        (["a", "--operator", "os.system"], "os.system, which is no operator"),
        (["a", "--show", "trained"], "trained without a search in the loop"),
        (["a", "--show", "all"], "--show all"),
        (["a", "b", "--reference", "c"], "2 sentences and 1 references"),
        (["a", "--input", "b"], "both SENTENCE and --input"),
        (["--reference", "b", "--input", "c"], "--reference goes with SENTENCE"),
        (["a", "--reference", "b", "--references", "c"], "both --reference and --references"),
        (["--references", "-"], "are both standard input"),
        (["--input", "nowhere"], "nowhere"),
        (["--input", "many"], "more than 100 lines"),
        (["a\udcff"], "not valid UTF-8"),
        (["a", "--html", "-"], "--html -"),
        (["a", "--html", "many/page.html"], "many"),
        (["a", "--picture", "a.gif"], "must end in .svg or .png"),
        (["a", "--beam", "4", "--candidates", "2"], "candidates is 2"),
    ],
)
def test_a_mistake_is_one_line(transformer_run, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("many").write_text("a\n" * 101)
    before = sorted(tmp_path.iterdir())
    assert main(["inspect", str(transformer_run), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.startswith("beamtrain: ")
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_is_no_run_is_called_by_its_name(tmp_path, capsys):
    assert main(["inspect", str(tmp_path / "none"), "a"]) == 2
    assert capsys.readouterr().err.startswith(f"beamtrain: {tmp_path / 'none'}: there is no such folder")


def test_page_and_pictures_are_made_of_the_data_alone(transformer_run, tmp_path, capsys):
    page, picture = tmp_path / "page.html", tmp_path / "beam.svg"
    files = ["--html", str(page), "--picture", str(picture)]
    assert main(["inspect", str(transformer_run), HOSTILE, "--reference", "<b>", "--temperature=1", *files]) == 0
    shown = capsys.readouterr().out
    assert "\x00" not in shown and "\x1b[31m" not in shown and "\u202e" not in shown and "[bold]" in shown
    data = json.loads((tmp_path / "page.data.json").read_text())
    assert data["sentences"][0]["source"] == HOSTILE
    html = page.read_text()
    assert html == inspection_page(data)
    assert "alert(1)" not in html and html.count("<script") == 2
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", html)
    write_picture(tmp_path / "again.svg", data, 1)
    assert (tmp_path / "again.svg").read_bytes() == picture.read_bytes()
    write_picture(tmp_path / "again.png", data, 0)
    assert (tmp_path / "again.png").read_bytes().startswith(b"\x89PNG")


def test_the_documentation_names_every_field_of_the_json(inspection):
    def keys(value):
        if isinstance(value, dict):
            yield from value
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from keys(each)

    documented = set(re.findall(r"`(\w+)`", (Path(__file__).parents[2] / "docs" / "inspect.md").read_text()))
    assert set(keys(inspection)) <= documented
    assert f"`version` | {inspection['version']}" in (Path(__file__).parents[2] / "docs" / "inspect.md").read_text()
