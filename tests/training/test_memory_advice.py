"""Running out of memory in training says in one line which setting to lower, and to what."""

from types import SimpleNamespace

import pytest
import torch
from words import CONFIG, write_corpus

from beamtrain.base.errors import UserError
from beamtrain.cli import main
from beamtrain.training.callbacks.memory_advice import MemoryAdvice

SETTINGS = {"batch_tokens": 4096, "eval_batch_tokens": 8192, "max_length": 256, "accumulation": 3, "beam_size": 5}
FULL = torch.OutOfMemoryError("CUDA out of memory.")


def advise(error: BaseException, validating: bool = False, **settings: int) -> None:
    trainer = SimpleNamespace(validating=validating, global_step=1200)
    MemoryAdvice(**{**SETTINGS, **settings}).on_exception(trainer, None, error)


@pytest.mark.parametrize(
    ("validating", "settings", "message"),
    [
        (False, {}, r"training batch did not fit into memory after step 1,200: lower data.batch_tokens from 4,096 to "
         r"2,048, and for steps on as much text raise trainer.accumulate_grad_batches from 3 to 6; then go on"),
        (False, {"batch_tokens": 500}, r"lower data.max_length from 256 to 128; then go on with --resume"),
        (True, {}, r"a validation batch did not fit into memory after step 1,200: lower data.eval_batch_tokens from "
         r"8,192 to 4,096, or model.search.beam_size from 5; then go on with --resume"),
        (True, {"beam_size": 1}, r"from 8,192 to 4,096; then go on"),
    ],
)  # fmt: skip
def test_the_setting_and_its_half(validating: bool, settings: dict[str, int], message: str):
    with pytest.raises(UserError, match=message):
        advise(FULL, validating, **settings)


def test_the_cpus_memory_too():
    with pytest.raises(UserError, match=r"lower data\.batch_tokens"):
        advise(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"))


def test_other_errors_pass():
    advise(RuntimeError("shapes differ"))


@pytest.mark.parametrize("validating", [False, True])
def test_in_a_run_that_then_goes_on_with_the_lower_setting(tmp_path, monkeypatch, capsys, validating: bool):
    corpus = write_corpus(tmp_path, rows=300)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "tiny.yaml").write_text(CONFIG.format(corpus=corpus, vocab_size=36))
    train = ["train", "--config=tiny.yaml", "--score_test=false"]
    full = ["--trainer.callbacks+=many.OutOfMemory", "--trainer.callbacks.step=5",
            f"--trainer.callbacks.validating={str(validating).lower()}"]  # fmt: skip
    assert main([*train, *full]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("beamtrain: ")]
    lowered = "--data.eval_batch_tokens=2048" if validating else "--data.batch_tokens=100"
    assert lowered.lstrip("-").replace("=", " from ").rpartition(" ")[0] in line
    assert main([*train, "--resume", lowered]) == 0
