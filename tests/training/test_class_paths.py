"""Every public class has one path, short; any other is refused with it, wherever a class may be named."""

import inspect
import os
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

from beamtrain.base.errors import UserError
from beamtrain.cli import main
from beamtrain.model import Seq2Seq
from beamtrain.objectives import BeamLoss, Objective, Reward
from beamtrain.topk import Operator
from beamtrain.training import Schedule
from beamtrain.training.class_paths import ROOMS, own_names, own_path, with_imports

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
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--it", type=Objective)
    defined = f"{resolve(path).__module__}.{name}"
    assert own_path(path) == path
    for other in {defined, f"beamtrain.{name}", f"beamtrain.of_old.{name}"} - {path}:
        message = f"^command line: {other} is not its name in a config; write {path}$"
        with pytest.raises(UserError, match=message), own_names():
            parser.parse_args([f"--it={other}"])


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


OBJECTIVE = """
class_path: beamtrain.objectives.BeamTraining
init_args: {loss: {class_path: %s}}
"""


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """What `beamtrain train` says of its arguments, in a folder with these files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])

    def said(*arguments, **files):
        for name, text in files.items():
            path = Path(*name.split("__")).with_suffix(".yaml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        Path("none.yaml").write_text("{}")
        assert main(["train", "--config=none.yaml", *arguments, "--print_config"]) == 2
        return capsys.readouterr().err.removeprefix("beamtrain: ").splitlines()

    return said


@pytest.mark.parametrize(
    "arguments",
    [
        [f"--model.schedule={OLD}"],
        ["--model.schedule", OLD],
        [f"--model.schedule.class_path={OLD}"],
        [f'--model.schedule={{"class_path": "{OLD}"}}'],
        [f"--trainer.callbacks+={OLD}"],
        [f"--trainer.callbacks=[{{class_path: {OLD}}}]"],
        ["--model.objective=BeamTraining", f"--model.objective.loss={OLD}"],
    ],
)
def test_wherever_an_option_can_name_it(refused, arguments):
    assert refused(*arguments) == [f"command line: {OLD} is not its name in a config; write {NEW}"]


@pytest.mark.parametrize(
    "text",
    [
        f"model: {{schedule: {OLD}}}",
        f"model: {{schedule: {{class_path: {OLD}}}}}",
        f"trainer: {{callbacks: [{{class_path: lightning.pytorch.callbacks.Timer}}, {{class_path: {OLD}}}]}}",
        f"model: {{objective: {{class_path: BeamTraining, init_args: {{loss: {{class_path: {OLD}}}}}}}}}",
    ],
)
def test_wherever_a_config_can_name_it(refused, text):
    assert refused("--config=some.yaml", some=text) == [f"some.yaml: {OLD} is not its name in a config; write {NEW}"]


@pytest.mark.parametrize(
    "arguments, files",
    [
        (["--model.schedule=some.yaml"], {"some": f"class_path: {OLD}"}),
        (["--model.objective", "some.yaml"], {"some": OBJECTIVE % OLD}),
        (["--model=some.yaml"], {"some": f"schedule: {OLD}"}),
        (["--config=a.yaml"], {"a": "model: {schedule: sub/some.yaml}", "sub__some": f"class_path: {OLD}"}),
    ],
)
def test_wherever_a_file_within_can_name_it(refused, arguments, files):
    assert refused(*arguments, **files) == [f"some.yaml: {OLD} is not its name in a config; write {NEW}"]


def test_all_are_told_at_once(refused):
    network, schedule = "beamtrain.model.gru.GRUEncoderDecoder", "beamtrain.schedule.InverseSquareRoot"
    assert refused("--config=some.yaml", f"--model.network={network}", some=f"model: {{schedule: {schedule}}}") == [
        "classes by other names than their own",
        f"  some.yaml: {schedule} is not its name in a config; write beamtrain.training.InverseSquareRoot",
        f"  command line: {network} is not its name in a config; write beamtrain.model.GRUEncoderDecoder",
    ]


@pytest.mark.parametrize(
    "options",
    [
        ["--trainer.logger=lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir=bomb.final"],
        ["--trainer.default_root_dir=bomb.final"],
        ["--model.objective=objective.yaml", f"--name={OLD}"],
        [f"--data.source={OLD}"],
    ],
)
def test_a_text_that_is_no_class_is_let_be(train, monkeypatch, capsys, options):
    Path("bomb.py").write_text("raise AssertionError")
    Path("objective.py").write_text("raise AssertionError")
    Path("objective.yaml").write_text(OBJECTIVE % "beamtrain.objectives.MinimumRisk")
    monkeypatch.setattr(sys, "path", [*sys.path, os.getcwd()])
    assert train(*options, "--print_config") == 0, capsys.readouterr().err


@pytest.mark.parametrize("file", ["some", "sub__some"])
def test_the_keys_of_a_file_within_are_those_of_the_class_that_it_names(refused, file):
    place = f"{file.replace('__', '/')}.yaml"
    wrong = "model.objective.init_args.wieght is not a setting; did you mean model.objective.init_args.weight?"
    text = "class_path: beamtrain.objectives.BeamTraining\ninit_args: {wieght: 1}"
    assert refused(f"--model.objective={place}", **{file: text}) == [f"command line: {place}: {wrong}"]
    assert refused("--config=a.yaml", a=f"model: {{objective: {place}}}") == [f"a.yaml: {place}: {wrong}"]


@pytest.mark.parametrize("text", ["BeamTraining", "sub.yaml"])
def test_an_option_is_one_of_the_class_that_a_config_names_in_short(train, capsys, text):
    Path("sub.yaml").write_text(OBJECTIVE % "MinimumRisk")
    Path("more.yaml").write_text(f"model: {{objective: {text}}}")
    loss = "--model.objective.loss=MinimumRisk"
    assert train("--config=more.yaml", loss, "--model.objective.weight=0.5", "--print_config") == 0
    objective = yaml.safe_load(capsys.readouterr().out)["model"]["objective"]
    assert objective["class_path"] == "beamtrain.objectives.BeamTraining" and objective["init_args"]["weight"] == 0.5


def test_a_module_of_one_s_own_is_found_for_a_file_within(train, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", sys.path[:])
    Path("mine_within.py").write_text(
        "from beamtrain.objectives import TeacherForcing\nclass Mine(TeacherForcing): pass\n"
    )
    Path("sub").mkdir()
    Path("sub/some.yaml").write_text("class_path: mine_within.Mine")
    assert train("--model.objective=sub/some.yaml", "--print_config") == 0
    assert yaml.safe_load(capsys.readouterr().out)["model"]["objective"]["class_path"] == "mine_within.Mine"
    Path("broken_within.py").write_text("1 / 0")
    Path("sub/some.yaml").write_text(OBJECTIVE % "broken_within.Loss")
    assert train("--model.objective=sub/some.yaml", "--print_config") == 2
    assert "broken_within.Loss: its import raises ZeroDivisionError: division by zero (" in capsys.readouterr().err


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
