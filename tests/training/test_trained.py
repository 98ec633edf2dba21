"""Some parameters are trained and all others stay as they are, whatever the objective."""

from pathlib import Path

import pytest
import torch
from batches import batch_of
from networks import each_network, small
from words import CONFIG, write_corpus

from beamtrain.base.errors import UserError
from beamtrain.cli import main
from beamtrain.objectives import BeamTraining, ExpectedReward, MinimumRisk, SampledRisk, TeacherForcing
from beamtrain.runs.loading import load_run
from beamtrain.search.unroll.options import UnrollOptions
from beamtrain.training.module import TranslationModule
from beamtrain.training.trained import train_only

FEW = ["*bias*", "*norm*"]
BATCH = batch_of([([5, 6, 7], [8, 9, 10]), ([4], [10]), ([9, 9], [7, 5])])
OBJECTIVES = {
    "teacher forcing": lambda: TeacherForcing(),
    "a straight-through search": lambda: BeamTraining(ExpectedReward(), unroll=UnrollOptions(beam_size=2)),
    "a hard one": lambda: BeamTraining(MinimumRisk(), unroll=UnrollOptions(beam_size=2, selection="hard")),
    "a soft one": lambda: BeamTraining(ExpectedReward(), unroll=UnrollOptions(beam_size=2, selection="soft")),
    "samples": lambda: SampledRisk(),
}


@each_network
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_gradient_of_some_is_theirs_in_that_of_all(kind, objective):
    found = []
    for patterns in (None, FEW):
        network = small(kind, 11)
        if patterns is not None:
            train_only(network, patterns[: 1 if kind == "gru" else 2])
        torch.manual_seed(3)
        loss = OBJECTIVES[objective]()(network, BATCH)
        (loss.total / loss.weight).backward()
        found.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None})
    everything, some = found
    assert 0 < len(some) < len(everything)
    assert all("bias" in name or "norm" in name for name in some)
    for name, gradient in some.items():
        torch.testing.assert_close(gradient, everything[name], rtol=1e-4, atol=1e-6)


def test_patterns_that_fit_nothing_are_refused():
    with pytest.raises(
        UserError, match=r"model.trained has '\*biass', which fits no parameter .* encoder\.\*\.attention"
    ):
        TranslationModule(small("transformer", 11), trained=["*bias", "*biass"])
    with pytest.raises(UserError, match=r"model.trained is empty, so nothing would be trained; give patterns, or null"):
        TranslationModule(small("transformer", 11), trained=[])


def test_a_run_changes_what_it_trains_and_goes_on_with_it(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = CONFIG.format(corpus=write_corpus(tmp_path / "corpus", rows=200), vocab_size=36) + "score_test: false\n"
    Path("tiny.yaml").write_text(config)
    train = ["train", "--config=tiny.yaml"]
    few = [
        "--init_from=runs/tiny",
        f"--model.trained={FEW}",
        "--trainer.val_check_interval=2",
        "--model.optimizer.lr=0.1",
    ]
    assert main([*train, "--trainer.max_steps=2", "--trainer.val_check_interval=2"]) == 0
    assert main([*train, "--name=through", *few, "--trainer.max_steps=4"]) == 0
    said = capsys.readouterr().err
    assert main([*train, "--name=stopped", *few, "--trainer.max_steps=2"]) == 0
    assert main([*train, "--name=stopped", *few, "--trainer.max_steps=4", "--resume"]) == 0
    start, through, stopped = (load_run(f"runs/{name}").network for name in ("tiny", "through", "stopped"))
    sizes = [(p.numel(), "bias" in name or "norm" in name) for name, p in start.named_parameters()]
    assert f"{sum(n for n, few in sizes if few):,} of {sum(n for n, _ in sizes):,} parameters | 1 x cpu" in said
    for name, before in start.named_parameters():
        changed = not torch.equal(before, through.get_parameter(name))
        assert changed == ("bias" in name or "norm" in name), name
        assert torch.equal(through.get_parameter(name), stopped.get_parameter(name)), name
