"""The device and the number format of inference."""

import pytest
import torch

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import Tokenizer
from beamtrain.model.transformer import Transformer
from beamtrain.search.options import SearchOptions
from beamtrain.translating.device import cast, choose_device
from beamtrain.translating.translator import Translator


def test_cpu():
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_takes_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "", "meta", "cpu:-1"])
def test_what_is_not_there_is_refused(name: str):
    with pytest.raises(UserError, match=rf"--device {name}: not on this machine, which has cpu.* leave --device out"):
        choose_device(name)


def test_bf16_translates(tokenizer: Tokenizer):
    torch.manual_seed(0)
    network = Transformer(
        vocab_size=tokenizer.target.vocab_size, width=16, inner_width=32, heads=2, encoder_layers=1, decoder_layers=1
    ).eval()
    cast(network, "bf16")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}
    translations = list(Translator(network, tokenizer, SearchOptions(beam_size=2, n_best=2)).translate(["a man", "x"]))
    assert [len(translation.candidates) for translation in translations] == [2, 2]
    assert all(candidate.log_prob < 0 for translation in translations for candidate in translation.candidates)


def test_unknown_precision():
    with pytest.raises(UserError, match="--precision fp8: must be fp32 or bf16"):
        cast(torch.nn.Linear(2, 2), "fp8")
