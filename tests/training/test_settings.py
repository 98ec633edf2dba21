"""Names of settings: configs that are found, and every wrong key in one message with the nearest right one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from beamtrain.base.errors import UserError
from beamtrain.training.settings import check_keys, located, read_config

KNOWN = {"data.source", "data.vocab_size", "trainer.max_steps", "trainer.callbacks", "model.network", "name"}
CLASSES = {"model.network": "beamtrain.model.Transformer"}


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "some.yaml"
        path.write_text(text)
        return path

    return write


def test_a_bare_name_is_a_shipped_config_and_a_path_is_a_file(config):
    mine = config("")
    forms = (["--config", "quickstart.yaml"], ["--config=quickstart.yaml"], ["-c", "quickstart.yaml"],
             ["-c=quickstart.yaml"], ["-cquickstart.yaml"])  # fmt: skip
    for form in forms:
        arguments, configs = located([*form, "--name", "x", f"--config={mine}", "--resume"])
        assert [path.name for path in configs] == ["quickstart.yaml", "some.yaml"]
        assert [Path(each.removeprefix("--config=")) for each in arguments[:2]] == configs and configs[0].is_file()
        assert arguments[2:] == ["--name", "x", "--resume"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: {source: a}\ntrainer: {}\ndata: {vocab_size: 9}\n", "names data twice, again in line 3"),
        ("data:\n  source: a\n  source: b\n", "names source twice, again in line 3"),
        ("trainer: {callbacks: [{class_path: A, class_path: B}]}", "names class_path twice, again in line 1"),
    ],
)
def test_a_key_that_is_named_twice_is_refused(config, text, said):
    path = config(text)
    with pytest.raises(UserError) as caught:
        check_keys(KNOWN, [], [path], CLASSES)
    assert str(caught.value) == f"{path} {said}: put both into one"


def test_a_key_beside_those_that_are_merged_wins(config):
    path = config("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert read_config(path)["b"] == {"x": 3, "y": 2}


def test_a_config_that_is_not_there_names_the_nearest():
    with pytest.raises(
        UserError, match=r"--config quikstart.yaml: there is no such file.*did you mean quickstart.yaml"
    ):
        located(["--config", "quikstart.yaml"])
    with pytest.raises(UserError, match=r"--config \(nothing\): there is no such file"):
        located(["--config"])


def test_all_wrong_keys_are_reported_at_once(config):
    path = config(
        """
data: {sorce: x, vocab_size: 3}
trianer: {max_steps: 1}
model: {network: {class_path: beamtrain.model.Transformer, init_args: {widht: 2}}}
trainer: {callbacks: [{class_path: beamtrain.training.Cosine, init_args: {total_step: 3}}]}
"""
    )
    with pytest.raises(UserError) as caught:
        check_keys(KNOWN, ["--nmae=x", "--model.network.init_args.dropuot", "3"], [path], CLASSES)
    lines = str(caught.value).split("\n")
    assert lines == [
        "wrong settings",
        "  some.yaml: data.sorce is not a setting; did you mean data.source?",
        "  some.yaml: trianer is not a setting; did you mean trainer.max_steps?",
        "  some.yaml: model.network.init_args.widht is not a setting; did you mean model.network.init_args.width?",
        "  some.yaml: trainer.callbacks.init_args.total_step is not a setting; "
        "did you mean trainer.callbacks.init_args.total_steps?",
        "  command line: --nmae is not a setting; did you mean --name?",
        "  command line: --model.network.init_args.dropuot is not a setting; "
        "did you mean --model.network.init_args.dropout?",
    ]


def test_right_keys_pass(config):
    check_keys(KNOWN, [], [], CLASSES)
    path = config("data: {source: x}\nmodel: {network: {class_path: some.other.Network, init_args: {odd: 1}}}\n")
    check_keys(
        KNOWN, ["--data.source=y", "--trainer.callbacks+=Timer", "--trainer.callbacks.duration=1"], [path], CLASSES
    )
    check_keys(KNOWN, ["--model.network", "other.Network", "--model.network.init_args.odd=3"], [], CLASSES)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model.network.width=8", "--model.network=other.Network"],
        ["--model.network.init_args.width=8", "--model.network.class_path", "other.Network"],
        ["--trainer.callbacks+=Timer", "--trainer.callbacks.duration=1", "--trainer.callbacks=Timer"],
    ],
)
def test_an_option_for_a_class_that_is_chosen_after_it_is_not_lost_in_silence(arguments):
    chosen = arguments[-1].partition("=")[0] if "=" in arguments[-1] else "--model.network"
    with pytest.raises(UserError, match=f"^command line: {chosen} would undo {chosen}.*which stands before it"):
        check_keys(KNOWN, arguments, [], CLASSES)


def test_configs_are_utf_8_whatever_the_locale(tmp_path):
    (tmp_path / "some.yaml").write_text("data: {source: größe, target_lang: ü}  # weiß\n", encoding="utf-8")
    (tmp_path / "part.yaml").write_text("train_split: süß\n", encoding="utf-8")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "beamtrain.cli", "train", "--config=some.yaml", "--data=part.yaml"]
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [*command, "--print_config"],
        cwd=tmp_path,
        env={**os.environ, **ascii_only, "PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    data = yaml.safe_load(done.stdout)["data"]
    assert [data[name] for name in ("source", "target_lang", "train_split")] == ["größe", "ü", "süß"]


def test_nothing_to_train():
    with pytest.raises(UserError, match=r"give a config, .*quickstart\.yaml.*such as .*beamtrain train --help"):
        located([])


@pytest.mark.parametrize("text, message", [("- a\n- b\n", "must hold settings as `key: value` lines, not a list"),
                                           ("a: [1\n", "is not YAML"), ("\tx: 1", "is not YAML")])  # fmt: skip
def test_a_file_that_holds_no_settings_is_refused(config, text, message):
    with pytest.raises(UserError, match=message):
        check_keys(KNOWN, [], [config(text)], CLASSES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer: null", "trainer is null; it must be names with values"),
        ("data: [1]", "data is [1]; it must be names with values"),
        ("model: {search: null}", "model.search is null; it must be names with values"),
        ("model: {objective: {class_path: 3}}", "model.objective.class_path is 3; it must be the name of a class"),
    ],
)
def test_a_group_that_holds_no_settings_is_one_line(train, capsys, text, message):
    Path("bad.yaml").write_text(text)
    assert train("--config", "bad.yaml") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"beamtrain: bad.yaml: {message}"
