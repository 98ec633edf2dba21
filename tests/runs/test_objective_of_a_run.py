"""A run's objective, made of config.yaml; nothing is imported because the file names it."""

import sys
from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

from beamtrain.base.errors import UserError
from beamtrain.objectives import BeamTraining, Gleu, LinearBleu, Objective, Reward
from beamtrain.runs.objectives import built, load_objective
from beamtrain.topk import NeuralSort, Operator, StraightThrough

BEAM = {
    "class_path": "beamtrain.objectives.BeamTraining",
    "init_args": {
        "loss": {
            "class_path": "beamtrain.objectives.WeightedSum",
            "init_args": {
                "losses": [
                    {"class_path": "ExpectedReward", "init_args": {"reward": {"class_path": "LinearBleu"}}},
                    {"class_path": "beamtrain.objectives.OptimalCompletion"},
                ],
                "weights": [1.0, 0.5],
            },
        },
        "operator": {"class_path": "StraightThrough", "init_args": {"operator": {"class_path": "NeuralSort"}}},
        "annealing": {"initial": 1.0, "final": 0.1, "steps": 10},
        "unroll": {"beam_size": 3, "candidates": 9, "selection": "soft", "open_paths": ["embeddings"]},
        "max_gradient_norm": 2.0,
    },
}


def config(folder: Path, objective) -> Path:
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": {"objective": objective}}))
    return folder


def test_the_objective_of_a_config_is_made(tmp_path: Path):
    made = load_objective(config(tmp_path, BEAM))
    assert isinstance(made, BeamTraining) and isinstance(made.operator, StraightThrough)
    assert isinstance(made.operator.operator, NeuralSort) and made.loss.weights == [1.0, 0.5]
    assert isinstance(made.loss.losses[0].reward, LinearBleu)
    assert (made.unroll.beam_size, made.unroll.open_paths, made.max_gradient_norm) == (3, ("embeddings",), 2.0)
    assert made.annealing(10) == pytest.approx(0.1)


def test_it_is_what_training_makes_of_the_same_words(tmp_path: Path):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--objective", type=Objective)
    whole = yaml.safe_load(yaml.safe_dump(BEAM))
    reference = parser.instantiate(parser.parse_object({"objective": whole})).objective
    ours = load_objective(config(tmp_path, BEAM))
    assert vars(ours.unroll) == vars(reference.unroll) and vars(ours.annealing) == vars(reference.annealing)
    assert repr(ours) == repr(reference) and str(ours.operator) == str(reference.operator)


def beam(**arguments):
    return {"class_path": "BeamTraining", "init_args": {"loss": {"class_path": "MinimumRisk"}, **arguments}}


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ({"class_path": "evil.Objective"}, "names evil.Objective, .* add --import evil"),
        (
            {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "victim"]}},
            "names subprocess.Popen, which is",
        ),
        ({"class_path": "TeacherForcng"}, "names TeacherForcng.*did you mean TeacherForcing"),
        ({"class_path": "beamtrain.objectives.Gleu"}, "must be a class that is a Objective"),
        ({"class_path": "BeamTraining"}, "BeamTraining: .*loss"),
        ({"class_path": "TeacherForcing", "init_args": {"nothing": 1}}, "TeacherForcing: .*nothing"),
        ({"class_path": "TeacherForcing", "init_args": "x"}, "init_args of TeacherForcing is 'x'; it must be names"),
        ({"class_path": "TeacherForcing", "dict_kwargs": [1]}, r"dict_kwargs of TeacherForcing is \[1\]; it must be"),
        (beam(unroll={"beams": 3}), "BeamTraining: .*beams"),
        (beam(unroll={"beam_size": "four"}), "BeamTraining: "),
        (beam(annealing={"initial": 1.0}), "BeamTraining: .*missing"),
        (3, "must be a class"),
    ],
)
def test_what_is_no_objective_is_one_line(tmp_path: Path, monkeypatch, objective, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("evil.py").write_text("import pathlib\npathlib.Path('victim').touch()\n")
    with pytest.raises(UserError, match=message) as error:
        load_objective(config(tmp_path, objective))
    assert "\n" not in str(error.value) and not Path("victim").exists() and "evil" not in sys.modules


@pytest.mark.parametrize("text", ["model: [", "model: {}", "- 1", "\x00", "a: &a [*a, *a]\nmodel: *a"])
def test_a_damaged_config_is_one_line(tmp_path: Path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml"):
        load_objective(tmp_path)


def test_a_run_that_was_not_made_by_training_has_none(tmp_path: Path):
    assert load_objective(tmp_path) is None
    (tmp_path / "config.yaml").write_text("data: {source: ''}")
    assert load_objective(tmp_path) is None


def test_a_config_that_is_small_and_means_much_is_refused(tmp_path: Path):
    levels = [f"l{n + 1}: &l{n + 1} [{', '.join([f'*l{n}'] * 9)}]" for n in range(9)]
    text = "\n".join(
        ["l0: &l0 [1, 1]", *levels, "model: {objective: {class_path: TeacherForcing, init_args: {a: *l9}}}"]
    )
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match="more than 10,000 values"):
        load_objective(tmp_path)


def test_a_type_that_is_there_for_type_checkers_alone_may_be_named():
    class LongReward(Gleu):
        def __init__(self, lengths: "OnlyForCheckers" = (1,)):  # noqa: F821
            super().__init__()
            self.lengths = lengths

    assert built({"class_path": "LongReward", "init_args": {"lengths": [1, 2]}}, Reward, "here").lengths == [1, 2]


def test_a_class_of_ones_own_goes_by_its_name_once_it_is_imported():
    class OwnReward(Gleu):
        pass

    assert isinstance(built("OwnReward", Reward, "here"), OwnReward)
    with pytest.raises(UserError, match="must be a class that is a Operator"):
        built("OwnReward", Operator, "here")
