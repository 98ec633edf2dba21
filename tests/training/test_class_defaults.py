"""A class starts from its own defaults, whichever class was there before and wherever it is chosen."""

import inspect
from pathlib import Path
from pkgutil import resolve_name

import pytest
import yaml

from beamtrain.cli import main
from beamtrain.runs.description import Description, save_description

BEAM = "beamtrain.objectives.BeamTraining"
SETTINGS = f"""
data: {{vocab_size: 50}}
model:
  network:
    class_path: beamtrain.model.Transformer
    init_args: {{width: 16, heads: 4, encoder_layers: 3, dropout: 0.5}}
  optimizer: {{class_path: torch.optim.Adam, init_args: {{lr: 0.7, weight_decay: 0.3}}}}
  schedule: {{class_path: beamtrain.training.Cosine, init_args: {{total_steps: 9, warmup_steps: 7}}}}
  objective:
    class_path: {BEAM}
    init_args:
      loss:
        class_path: beamtrain.objectives.ExpectedReward
        init_args:
          sharpness: 0.9
          reward: {{class_path: beamtrain.objectives.Gleu, init_args: {{order: 2}}}}
      operator: {{class_path: beamtrain.topk.SoftTopK, init_args: {{temperature: 7.0, candidates: null}}}}
"""
CHOICES = {  # where a class is chosen: which
    "network": "beamtrain.model.GRUEncoderDecoder",
    "optimizer": "torch.optim.SGD",
    "schedule": "beamtrain.training.InverseSquareRoot",
    "objective": "beamtrain.objectives.TeacherForcing",
    "objective.loss": "beamtrain.objectives.MinimumRisk",
    "objective.loss.reward": "beamtrain.objectives.LinearBleu",
    "objective.operator": "beamtrain.topk.NeuralSort",
}


@pytest.fixture
def settings(capsys, tmp_path, monkeypatch):
    """What `beamtrain train` makes of its arguments."""
    monkeypatch.chdir(tmp_path)
    Path("before.yaml").write_text(SETTINGS)

    def parsed(*arguments):
        assert main(["train", *arguments, "--print_config"]) == 0
        return yaml.safe_load(capsys.readouterr().out)["model"]

    return parsed


def at(model, setting):
    """The class and the arguments of a setting, such as `objective.loss`."""
    first, *others = setting.split(".")
    node = model[first]
    for name in others:
        node = node["init_args"][name]
    return node["class_path"], node["init_args"]


def own_defaults(class_path):
    parameters = inspect.signature(resolve_name(class_path)).parameters.items()
    return {name: each.default for name, each in parameters if each.default is not inspect.Parameter.empty}


def config(setting, class_path):
    """A config that chooses this class and says nothing of its arguments."""
    node = {"class_path": class_path}
    for name in reversed(setting.split(".")[1:]):
        node = {"init_args": {name: node}}
    return yaml.safe_dump({"model": {setting.split(".")[0]: node}})


@pytest.mark.parametrize("how", ["option", "config"])
@pytest.mark.parametrize("setting", CHOICES)
def test_a_class_that_is_chosen_over_another_one(settings, setting, how):
    chosen = CHOICES[setting]
    Path("after.yaml").write_text(config(setting, chosen))
    choice = f"--model.{setting}={chosen}" if how == "option" else "--config=after.yaml"
    class_path, arguments = at(settings("--config=before.yaml", choice), setting)
    assert class_path == chosen
    expected = own_defaults(chosen)
    assert {name: value for name, value in arguments.items() if name in expected and name != "source_vocab_size"} == {
        name: value for name, value in expected.items() if name != "source_vocab_size"
    }


def test_a_class_that_is_chosen_over_the_default_one(settings):
    schedule = ("--model.schedule=Cosine", "--model.schedule.total_steps=8")
    model = settings(*schedule, "--model.network=beamtrain.model.GRUEncoderDecoder", "--model.optimizer=SGD")
    assert at(model, "schedule")[1] == {"total_steps": 8, "warmup_steps": 0, "final": 0.0}
    assert (model["network"]["init_args"]["heads"], model["network"]["init_args"]["encoder_layers"]) == (1, 1)


def test_a_class_that_is_chosen_over_that_of_the_run_to_start_from(settings):
    Path("run").mkdir()
    Path("run/config.yaml").write_text(SETTINGS)
    network = yaml.safe_load(SETTINGS)["model"]["network"]["init_args"]
    save_description(Path("run"), Description("beamtrain.model.Transformer", network, "en", "de"))
    assert settings("--init_from=run")["network"]["init_args"]["heads"] == 4
    arguments = settings("--init_from=run", f"--model.network={CHOICES['network']}")["network"]["init_args"]
    assert (arguments["width"], arguments["heads"], arguments["dropout"]) == (512, 1, 0.2)


def test_the_same_class_again_keeps_what_was_set(settings):
    model = settings("--config=before.yaml", "--model.network=beamtrain.model.Transformer", f"--model.objective={BEAM}")
    assert at(model, "network")[1]["heads"] == 4
    assert at(model, "objective.loss.reward")[1] == {"order": 2}


def test_an_option_wins_over_a_config_wherever_it_stands(settings):
    arguments = ("--model.network.dropout=0.1", "--config=before.yaml", "--model.network.heads=2")
    network = settings(*arguments)["network"]["init_args"]
    assert (network["dropout"], network["heads"], network["encoder_layers"]) == (0.1, 2, 3)


@pytest.mark.parametrize(
    "option",
    [
        "objective.unroll.candidates",
        "objective.unroll.window",
        "objective.loss.reward",
        "objective.operator.candidates",
        "objective.annealing",
        "search.max_length",
    ],
)
@pytest.mark.parametrize("null", ["null", "~"])
def test_null_can_be_typed_at_any_depth(settings, option, null):
    model = settings("--config", "before.yaml", "--model.objective.operator.candidates", "5", f"--model.{option}", null)
    *path, last = option.split(".")
    for name in path:
        model = model[name]
        model = model.get("init_args", model)
    assert model[last] is None
