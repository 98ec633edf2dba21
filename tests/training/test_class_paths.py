"""Every public class has one path, short; any other is refused with it, wherever a class may be named."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

from beamtrain.base.errors import UserError
from beamtrain.model import Seq2Seq
from beamtrain.objectives import BeamLoss, Objective, Reward
from beamtrain.topk import Operator
from beamtrain.training import Schedule
from beamtrain.training.class_paths import ROOMS, check_class_paths, own_path, with_imports

NAMES = [(f"beamtrain.{room}.{name}", name) for room in ROOMS for name in import_module(f"beamtrain.{room}").__all__]
BASES = (BeamLoss, Objective, Operator, Reward, Schedule, Seq2Seq)
NEEDED = {
    "BeamTraining": {"loss": "MinimumRisk"},
    "Cosine": {"total_steps": 9},
    "GRUEncoderDecoder": {"vocab_size": 9},
    "Gumbel": {"operator": "SoftTopK"},
    "SoftTeacherForcing": {"loss": "BagOfTokens"},
    "StraightThrough": {"operator": "SoftTopK"},
    "Transformer": {"vocab_size": 9},
    "WeightedSum": {"losses": [{"class_path": "Gleu"}], "weights": [1.0]},
}


def resolve(path):
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


CLASSES = [
    (path, base)
    for path, _ in NAMES
    for base in BASES
    if inspect.isclass(found := resolve(path))
    and issubclass(found, base)
    and found is not base
    and not inspect.isabstract(found)
]


def test_no_name_is_in_two_rooms():
    assert len({name for _, name in NAMES}) == len(NAMES) > 40


@pytest.mark.parametrize("path, name", NAMES)
def test_every_other_path_of_a_name_is_refused_with_its_own(path, name):
    defined = f"{resolve(path).__module__}.{name}"
    check_class_paths([f"--model.objective={path}"], [])
    for other in {defined, f"beamtrain.{name}", f"beamtrain.of_old.{name}"} - {path}:
        with pytest.raises(UserError, match=rf"^command line: {other} is not its name in a config; write {path}$"):
            check_class_paths([f"--model.objective={other}"], [])


@pytest.mark.parametrize("path, base", CLASSES)
def test_what_is_saved_is_the_path_that_may_be_given(path, base):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--it", type=base)
    name = path.rpartition(".")[2]
    needed = {
        key: [{"class_path": "MinimumRisk"}] if key == "losses" else value
        for key, value in NEEDED.get(name, {}).items()
    }
    for given in (path, name):
        config = parser.parse_object({"it": {"class_path": given, "init_args": needed}})
        saved = yaml.safe_load(parser.dump(config))["it"]
        assert saved["class_path"] == path
        assert parser.dump(parser.parse_object({"it": saved})) == parser.dump(config)


OLD, NEW = "beamtrain.schedule.Cosine", "beamtrain.training.Cosine"


@pytest.mark.parametrize(
    "arguments",
    [
        [f"--model.schedule={OLD}"],
        ["--model.schedule", OLD],
        [f"--model.schedule.class_path={OLD}"],
        [f'--model.schedule={{"class_path": "{OLD}"}}'],
        [f"--model={{schedule: {{class_path: {OLD}}}}}"],
        [f"--trainer.callbacks+={OLD}"],
        [f"--trainer.callbacks=[{{class_path: {OLD}}}]"],
    ],
)
def test_wherever_an_option_can_name_it(arguments):
    with pytest.raises(UserError, match=f"command line: {OLD} .* write {NEW}"):
        check_class_paths(arguments, [])


@pytest.mark.parametrize(
    "text",
    [
        f"model: {{schedule: {OLD}}}",
        f"model: {{schedule: {{class_path: {OLD}}}}}",
        f"model: {{objective: {{init_args: {{loss: {{init_args: {{losses: [{{class_path: {OLD}}}]}}}}}}}}}}",
        f"trainer: {{callbacks: [{{class_path: mine.Callback}}, {{class_path: {OLD}}}]}}",
    ],
)
def test_wherever_a_config_can_name_it(tmp_path, text):
    (tmp_path / "some.yaml").write_text(text)
    with pytest.raises(UserError, match=f"some.yaml: {OLD} .* write {NEW}"):
        check_class_paths([], [tmp_path / "some.yaml"])


def test_all_are_told_at_once_and_texts_that_are_no_classes_are_let_be(tmp_path):
    (tmp_path / "some.yaml").write_text(f"model: {{schedule: {OLD}}}\ndata: {{source: {OLD}}}")
    with pytest.raises(UserError) as caught:
        check_class_paths(
            ["--model.network=beamtrain.model.gru.GRUEncoderDecoder", f"--name={OLD}"], [tmp_path / "some.yaml"]
        )
    assert str(caught.value).split("\n  ")[1:] == [
        f"some.yaml: {OLD} is not its name in a config; write {NEW}",
        "command line: beamtrain.model.gru.GRUEncoderDecoder is not its name in a config; "
        "write beamtrain.model.GRUEncoderDecoder",
    ]


def test_what_is_imported_becomes_one_setting(tmp_path):
    (tmp_path / "some.yaml").write_text("import: [json]")
    typed = ["--name=x", "--import", "math", "--import=json", "--resume", "--import+=cmath"]
    assert with_imports(typed, [tmp_path / "some.yaml"]) == [
        "--name=x",
        "--resume",
        '--import=["json", "math", "cmath"]',
    ]
    assert with_imports([], []) == []
    assert with_imports(["--name=x"], []) == ["--name=x"]


def class_paths(tree):
    """Every class path in a config."""
    if isinstance(tree, dict):
        yield from [tree["class_path"]] if "class_path" in tree else []
        tree = list(tree.values())
    for each in tree if isinstance(tree, list) else []:
        yield from class_paths(each)


def test_a_run_s_config_has_the_short_names_and_trains_again(train):
    schedule = ["--model.schedule=Cosine", "--model.schedule.total_steps=9", "--model.schedule.warmup_steps=1"]
    assert train("--name=one", *schedule, "--trainer.max_steps=1", "--score_test=false") == 0
    saved = Path("runs/one/config.yaml")
    found = list(class_paths(yaml.safe_load(saved.read_text())))
    assert NEW in found and [path for path in found if own_path(path) != path] == []
    assert train(f"--config={saved}", "--name=two") == 0
    assert Path("runs/two/config.yaml").read_text() == saved.read_text()
