"""A wrong value is told in one line: the setting, the value, what it may be, and what was probably meant."""

import re
from pathlib import Path

import pytest

from beamtrain.cli import main
from beamtrain.training import mistakes

BEAM = ["--model.objective=beamtrain.objectives.BeamTraining"]
LOSS = [*BEAM, "--model.objective.loss=beamtrain.objectives.ExpectedReward"]
MISTAKES = {
    "a number": (["--model.optimizer.lr=1,5"], "model.optimizer.lr is 1,5; it must be a number"),
    "a whole number": (["--trainer.max_steps=2.5"], "trainer.max_steps is 2.5; it must be a whole number"),
    "a truth": (["--data.deduplicate=maybe"], "data.deduplicate is maybe; it must be true or false"),
    "a list": (["--model.optimizer.betas=0.9"], "model.optimizer.betas is 0.9; it must be a list"),
    "one of two": (["--data.subwords=bpee"], "data.subwords is bpee; it must be unigram or bpe; did you mean bpe?"),
    "one of several types": (
        ["--trainer.deterministic=x"],
        "trainer.deterministic is x; it must be warn or true or false or null",
    ),
    "of a network": (["--model.network.norm=mid"], "model.network.norm is mid; it must be pre or post"),
    "of a part of an objective": (
        [*BEAM, "--model.objective.unroll.selection=sfot"],
        "model.objective.unroll.selection is sfot; it must be soft or straight_through or hard; did you mean soft?",
    ),
    "of a loss": (
        [*LOSS, "--model.objective.loss.sharpness=x"],
        "model.objective.loss.sharpness is x; it must be a number",
    ),
    "of a callback": (
        ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.patience=few"],
        "trainer.callbacks.patience is few; it must be a whole number",
    ),
    "a short name": (
        ["--model.schedule=Cosin"],
        "model.schedule is Cosin, which is no class that it can be; did you mean beamtrain.training.Cosine?",
    ),
    "a wrong module": (
        ["--model.network=beamtrain.model.Transfomer"],
        "model.network is beamtrain.model.Transfomer, which is no class that it can be; did you mean "
        "beamtrain.model.Transformer?",
    ),
    "a wrong name": (
        ["--model.optimizer=torch.optim.AdmaW"],
        "model.optimizer is torch.optim.AdmaW, which is no class that it can be; did you mean torch.optim.AdamW?",
    ),
    "a class of another kind": (
        ["--model.schedule=beamtrain.model.Transformer"],
        "model.schedule is beamtrain.model.Transformer, which is no class that it can be: Cosine, InverseSquareRoot",
    ),
    "a class that is none yet": (
        ["--model.schedule=beamtrain.training.Schedule"],
        "model.schedule is beamtrain.training.Schedule, which is no class that it can be: Cosine, InverseSquareRoot",
    ),
    "an objective that is none yet": (
        ["--model.objective=Mixture"],
        "model.objective is Mixture, which is no class that it can be: BeamTraining, GumbelGreedy, ParameterSearch, "
        "SampledRisk, ScheduledSampling, SelfCritical, SoftTeacherForcing, TeacherForcing",
    ),
    "an argument that is a class of another kind": (
        [*BEAM, "--model.objective.loss=beamtrain.objectives.SoftTeacherForcing"],
        "model.objective.loss is beamtrain.objectives.SoftTeacherForcing, which is no class that it can be: "
        "AlignedCrossEntropy, BagOfTokens, DescendantCredit, ExpectedReward, GoldMargin, MinimumRisk, "
        "OptimalCompletion, OptimalTransport, PositionCrossEntropy, SoftSurvival, WeightedSum",
    ),
    "a reward that is none yet": (
        [*LOSS, "--model.objective.loss.reward=NgramReward"],
        "model.objective.loss.reward is NgramReward, which is no class that it can be: Gleu, LinearBleu, SentenceBleu, "
        "SentenceChrf, SentenceTer",
    ),
    "an operator that is none yet": (
        [*LOSS, "--model.objective.operator=Operator"],
        "Operator has neither `weights` nor `select` of its own: choose one that has",
    ),
    "a class within classes": (
        [*LOSS, "--model.objective.loss.reward=Glue"],
        "model.objective.loss.reward is Glue, which is no class that it can be; did you mean "
        "beamtrain.objectives.Gleu?",
    ),
    "an operator": (
        [*BEAM, "--model.objective.operator=beamtrain.topk.SoftTopk"],
        "model.objective.operator is beamtrain.topk.SoftTopk, which is no class that it can be; did you mean "
        "beamtrain.topk.SoftTopK?",
    ),
    "a callback": (
        ["--trainer.callbacks+=EarlyStoping"],
        "trainer.callbacks is EarlyStoping, which is no class that it can be; did you mean "
        "lightning.pytorch.callbacks.EarlyStopping?",
    ),
    "an argument that is needed": (
        ["--model.schedule=Cosine"],
        "model.schedule: Cosine needs total_steps; give it by --model.schedule.total_steps",
    ),
    "an argument that there is not": (
        [*LOSS, "--model.objective.loss.sharpnes=1"],
        "model.objective.loss.sharpnes is not a setting; did you mean model.objective.loss.sharpness?",
    ),
    "nothing for an optimiser": (
        ["--model.optimizer=null"],
        "model.optimizer is null, which is no class that it can be",
    ),
    "an empty text for a class": (
        ["--model.schedule="],
        "model.schedule is '', which is no class that it can be: Cosine, InverseSquareRoot",
    ),
    "no class path": (
        ["--model.schedule={class_path: null}"],
        "model.schedule is {'class_path': None}, which is no class that it can be: Cosine, InverseSquareRoot",
    ),
    "nothing for one of two": (["--data.subwords=null"], "data.subwords is null; it must be unigram or bpe"),
    "nothing for a number of a network": (
        ["--model.network.width=null"],
        "model.network.width is null; it must be a whole number",
    ),
    "nothing for one of two of a network": (
        ["--model.network={class_path: beamtrain.model.Transformer, init_args: {norm: null}}"],
        "model.network.norm is null; it must be pre or post",
    ),
    "nothing for a number of an optimiser": (
        ["--model.optimizer=torch.optim.AdamW", "--model.optimizer.lr=null"],
        "model.optimizer.lr is null; it must be a number",
    ),
    "nothing for a part of an objective": (
        [*LOSS, "--model.objective.unroll=null"],
        "model.objective.unroll is null; it must be another value",
    ),
    "nothing for a number of a callback": (
        ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=x", "--trainer.callbacks.patience=null"],
        "trainer.callbacks.patience is null; it must be a whole number",
    ),
    "a format": (
        ["--trainer.precision=fp8"],
        "trainer.precision is fp8; it must be 32-true or bf16-mixed or 16-mixed or 64-true",
    ),
    "a wrong value for what is not used": (
        ["--trainer.overfit_batches=x"],
        "trainer.overfit_batches is x, which a run does not use: to learn a few sentences by heart, set "
        "data.train_rows; leave it out",
    ),
    "processes": (
        ["--trainer.devices=null"],
        "trainer.devices is null; it must be a number, GPUs such as 0,1, or auto",
    ),
    "no value": (["--trainer.max_steps"], "--trainer.max_steps needs a value"),
    "a value where there is none": (["--resume=yes"], "--resume takes no value, but has yes"),
    "no option": (["quickly"], "quickly is no option, nor the value of one"),
    "no file": (["--data=no.yaml"], "data is no.yaml; it must be names with values, or a config file"),
    "nothing for a group": (["--data=null"], "data is null; it must be names with values, or a config file"),
    "an argument of a class, by its last name": (
        ["--lr", "0.1"],
        "command line: --lr is not a setting; did you mean --model.optimizer.init_args.lr?",
    ),
    "an argument of a class, in a part that is not there": (
        ["--model.netwrok.init_args.width", "3"],
        "command line: --model.netwrok.init_args.width is not a setting; did you mean --model.network.init_args.width?",
    ),
    "a name that is like a short part of others only": (["--lf", "1"], "command line: --lf is not a setting"),
    "an argument that another setting decides": (
        ["--model.network.init_args.vocab_size=77"],
        "command line: --model.network.init_args.vocab_size follows from data.vocab_size: set that instead",
    ),
    "a library that is not there": (
        ["--trainer.logger=WandbLogger"],
        "WandbLogger needs wandb>=0.12.10, which is not there: pip install 'wandb>=0.12.10'",
    ),
    "a list by a short name": (
        ["--trainer.callbacks=EarlyStopping"],
        "trainer.callbacks is lightning.pytorch.callbacks.EarlyStopping; it must be a list",
    ),
    "a seed": (["--seed_everything=-1"], "seed_everything is -1; it must be from 0 to 4,294,967,295"),
}


@pytest.mark.parametrize("arguments, line", MISTAKES.values(), ids=MISTAKES)
def test_a_wrong_option_is_told_in_one_line(capsys, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    every = mistakes._subclasses  # also those that other tests have made in this process

    def shipped(kind):
        return [each for each in every(kind) if each.__module__.startswith(("beamtrain.", "lightning.", "torch."))]

    monkeypatch.setattr(mistakes, "_subclasses", shipped)
    assert main(["train", *arguments]) == 2
    assert capsys.readouterr().err == f"beamtrain: {line}\n"


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--model.network=null"], r"model\.network is null, which is no class that it can be(: \S.*)?"),
        ([*LOSS, "--model.objective.loss=null"], r"model\.objective: BeamTraining needs loss; give it by \S+"),
    ],
)
def test_what_has_to_be_there_is_no_null(capsys, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == 2
    assert re.fullmatch(rf"beamtrain: {told}\n", capsys.readouterr().err)


def test_a_wrong_value_in_a_config_is_told_in_the_same_way(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("wrong.yaml").write_text("""
model:
  objective:
    class_path: beamtrain.objectives.BeamTraining
    init_args:
      loss: {class_path: beamtrain.objectives.MinimumRisk, init_args: {sharpness: high}}
""")
    assert main(["train", "--config=wrong.yaml"]) == 2
    assert capsys.readouterr().err == "beamtrain: model.objective.loss.sharpness is high; it must be a number\n"
    Path("wrong.yaml").write_text("model: {schedule: {class_path: beamtrain.training.Cosine, init_args: 5}}\n")
    assert main(["train", "--config=wrong.yaml"]) == 2
    assert "wrong.yaml: model.schedule.init_args is 5; it must be names with values" in capsys.readouterr().err


def test_words_that_are_no_text_in_yaml_are_told_of(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("norwegian.yaml").write_text("data: {source: wmt19, source_lang: en, target_lang: no}\n")
    assert main(["train", "--config=norwegian.yaml"]) == 2
    told = "data.target_lang is false, as yes, no, on and off are in YAML too; it must be text: put the word in quotes"
    assert capsys.readouterr().err == f"beamtrain: {told}\n"
    network = "{class_path: beamtrain.model.Transformer, init_args: {vocab_size: 77}}"
    Path("sizes.yaml").write_text(f"model: {{network: {network}}}\n")
    assert main(["train", "--config=sizes.yaml"]) == 2
    assert "sizes.yaml: model.network.init_args.vocab_size follows from data.vocab_size" in capsys.readouterr().err


def test_a_part_of_a_config_that_is_not_utf_8_is_told_by_its_file(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("part.yaml").write_bytes("source: größe\n".encode("latin-1"))
    assert main(["train", "--data=part.yaml"]) == 2
    assert capsys.readouterr().err.startswith("beamtrain: part.yaml is not YAML: 'utf-8' codec can't decode byte 0xf6")


def test_what_a_class_itself_says_is_kept(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    timer = ["--trainer.callbacks+=lightning.pytorch.callbacks.Timer", "--trainer.callbacks.duration=long"]
    assert main(["train", *timer]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("beamtrain: `Timer(duration='long')` is not a valid duration. Expected")
