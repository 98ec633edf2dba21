"""`beamtrain export`: what it writes does what the run does, alone; and nothing is written when it does not."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from foreign_folders import LINES, each_kind
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny import SENTENCES

from beamtrain.cli import main
from beamtrain.data.tokenizer import EOS, Tokenizer, train_subwords
from beamtrain.interop.counterparts import HuggingFaceCounterpart
from beamtrain.interop.export_huggingface import average_alpha
from beamtrain.model.transformer import Transformer
from beamtrain.runs.description import Description, save_description
from beamtrain.runs.loading import load_run
from beamtrain.runs.weights import save_weights
from beamtrain.search.options import SearchOptions
from beamtrain.translating.translator import Translator

KINDS = {
    "unigram": dict(algorithm="unigram", byte_fallback=False, vocab_size=70, normalization="nmt_nfkc"),
    "bytes": dict(algorithm="bpe", byte_fallback=True, vocab_size=330, normalization="identity"),
}


def subwords(kind: str, **changes) -> Tokenizer:
    model = train_subwords(SENTENCES * 3, character_coverage=0.99, **{**KINDS[kind], **changes})
    return Tokenizer(model, model.normalized_by("nmt_nfkc_cf"))


def write_run(folder: Path, tokenizer: Tokenizer, **options) -> Path:
    """A random Transformer, its weights far enough apart to have preferences."""
    torch.manual_seed(1)
    arguments = {
        "vocab_size": tokenizer.target.vocab_size,
        "source_vocab_size": None if tokenizer.joint else tokenizer.source.vocab_size,
        "width": 16, "inner_width": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 2, **options,
    }  # fmt: skip
    network = Transformer(**arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    folder.mkdir()
    save_description(folder, Description("beamtrain.model.Transformer", arguments, "en", "de", SearchOptions()))
    save_weights(folder, network.state_dict())
    tokenizer.save(folder)
    return folder


def export(run: Path, to: str, out: Path, *options: str) -> int:
    """Runs the command, with few and short lines to compare; gives the exit code."""
    lines = out.parent / "lines"
    lines.write_text("Two men\n\nein ☃ Haus\n", encoding="utf-8")
    short = ["--check", str(lines), "--max-length", "10", "--length-penalty", "average"]
    return main(["export", str(run), "--to", to, str(out), *short, *options])


@pytest.fixture(scope="module", params=KINDS)
def exported(request, tmp_path_factory):
    """A run and its export, with subwords of a kind."""
    folder = tmp_path_factory.mktemp(request.param)
    run = write_run(folder / "run", subwords(request.param))
    assert export(run, "huggingface", folder / "out") == 0
    return load_run(run), folder / "out"


class TestTokenizer:
    @settings(max_examples=60, deadline=None)
    @given(line=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n")))
    @example(line="")
    @example(line=" \t two   men\u3000\u200b ")
    @example(line="</s> a <unk><pad> <s> <0x41>")
    @example(line="ﬁve Å ☃☃ x ☃ ▁a")
    def test_any_text_has_our_subwords_and_they_say_the_same(self, exported, line: str):
        run, out = exported
        theirs = tokenizer_of(out)
        expected = [*run.tokenizer.source.encode([line])[0], EOS]
        if not line.startswith(">>"):
            assert theirs(line).input_ids == expected
        said = theirs.decode(expected, skip_special_tokens=True)
        if 3 not in expected:
            assert said.split() == run.tokenizer.target.decode([expected[:-1]])[0].split()

    def test_labels_are_normalised_as_targets(self, exported):
        run, out = exported
        (expected,) = run.tokenizer.target.encode(["ZWEI Männer"])
        assert tokenizer_of(out)(text_target="ZWEI Männer").input_ids == [*expected, EOS]


def said(text: str) -> str:
    """Without spaces, and without what is unknown, which they leave out."""
    return text.replace("⁇", "").replace(" ", "")


_tokenizers: dict[Path, object] = {}


def tokenizer_of(out: Path):
    from transformers import AutoTokenizer

    return _tokenizers.setdefault(out, AutoTokenizer.from_pretrained(out))


def test_generate_gives_our_translations(exported):
    run, out = exported
    from transformers import AutoModelForSeq2SeqLM

    tokenizer, model = tokenizer_of(out), AutoModelForSeq2SeqLM.from_pretrained(out)
    search = SearchOptions(beam_size=1, max_length_ratio=0, max_length_offset=12)
    ours = [said(each.text) for each in Translator(run.network, run.tokenizer, search).translate(SENTENCES)]
    rows = model.generate(**tokenizer(SENTENCES, return_tensors="pt", padding=True), max_length=13, num_beams=1)
    assert [said(text) for text in tokenizer.batch_decode(rows, skip_special_tokens=True)] == ours
    settings = model.generation_config
    assert (settings.num_beams, settings.length_penalty, settings.early_stopping) == (5, 1.0, False)


@each_kind
def test_what_was_imported_goes_back_as_it_came(name: str, imported, foreign, tmp_path: Path, capsys):
    run, out = imported(name).run, tmp_path / "out"
    assert export(run, "huggingface", out) == 0, capsys.readouterr().out
    before, after = load_file(foreign(name) / "model.safetensors"), load_file(out / "model.safetensors")
    for key in before.keys() & after.keys():
        assert torch.equal(before[key], after[key])
    missing = before.keys() - after.keys()
    assert not after.keys() - before.keys() and all("embed_positions" in key for key in missing), missing
    kept = {each.name for each in foreign(name).iterdir()} - {"model.safetensors"}
    assert kept <= {each.name for each in out.iterdir()} and not (out / "numbering.json").exists()


def test_what_was_imported_searches_as_the_command_says(imported, tmp_path: Path, capsys):
    run, out = imported("bart").run, tmp_path / "out"
    search = ["--beam", "2", "--length-penalty", "gnmt", "--alpha", "0.4", "--no-repeat-ngram", "0"]
    assert main(["export", str(run), "--to", "huggingface", str(out), *search]) == 0
    assert "not the same: length_penalty gnmt 0.4" in capsys.readouterr().out
    said = json.loads((out / "generation_config.json").read_text())
    assert (said["num_beams"], said["length_penalty"], said["no_repeat_ngram_size"]) == (2, pytest.approx(0.3), 0)
    assert (said["max_length"], said["repetition_penalty"]) == (14, 1.1)


@pytest.mark.parametrize("name", ["m2m_100", "nllb", "mbart", "mbart50"])
def test_generate_knows_the_languages_of_what_was_imported(name: str, imported, tmp_path: Path, capsys):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    run, out = imported(name).run, tmp_path / "out"
    (tmp_path / "lines.txt").write_text("".join(f"{line}\n" for line in LINES))
    search = ["--beam", "1", "--no-repeat-ngram", "0", "--max-length", "9"]
    assert main(["export", str(run), "--to", "huggingface", str(out), *search]) == 0
    capsys.readouterr()
    assert main(["translate", "--model", str(run), *search, "--input", str(tmp_path / "lines.txt")]) == 0
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    as_ours = {"repetition_penalty": 1.0, "suppress_tokens": [tokenizer.pad_token_id]}
    as_ours["forced_eos_token_id"] = tokenizer.eos_token_id
    rows = [model.generate(**tokenizer(line, return_tensors="pt"), **as_ours)[0] for line in LINES]
    found = [tokenizer.decode(row, skip_special_tokens=True).replace("\n", " ") for row in rows]
    ours = [said(each) for each in capsys.readouterr().out.splitlines()]
    assert [said(each).removeprefix("__de__") for each in found] == ours


@each_kind
def test_what_was_imported_goes_to_ctranslate2(name: str, imported, tmp_path: Path, capsys):
    assert export(imported(name).run, "ctranslate2", tmp_path / "out") == 0, capsys.readouterr().out


@pytest.mark.parametrize("apart", [False, True])
def test_post_norm_is_marian(tmp_path: Path, capsys, apart: bool):
    tokenizer = subwords("unigram")
    if apart:
        tokenizer = Tokenizer(tokenizer.source, subwords("unigram", vocab_size=60).source)
    run = write_run(tmp_path / "run", tokenizer, norm="post", activation="silu")
    assert export(run, "huggingface", tmp_path / "out", "--beam", "1") == 0
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "marian"
    assert "greedy translations" in capsys.readouterr().out


@pytest.mark.parametrize("quantization", ["float32", "int8"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_ctranslate2(tmp_path: Path, capsys, norm: str, quantization: str):
    tokenizer = Tokenizer(subwords("unigram").source, subwords("unigram", vocab_size=60).source)
    run = write_run(tmp_path / "run", tokenizer, norm=norm, embedding_norm=norm == "post", activation="gelu")
    assert export(run, "ctranslate2", tmp_path / "out", "--quantization", quantization, "--min-length", "3") == 0
    table = capsys.readouterr().out
    assert "not the same: what min_length and no_repeat_ngram forbid" in table
    assert ("greedy translations" in table) and ("within 1e-04" in table) == (quantization == "float32")
    assert (tmp_path / "out" / "model.bin").is_file()


def test_rules_of_the_search_go_with_a_run(tmp_path: Path, capsys):
    run = write_run(tmp_path / "run", subwords("unigram"))
    weights = load_run(run).network.state_dict()
    end = weights["target_embedding.table.weight"][EOS]
    weights["decoder_norm.bias"] += 20 * end / end.square().sum()  # to the logit of EOS 20 nats
    save_weights(run, weights)
    rules = ["--min-length", "7", "--no-repeat-ngram", "1", "--beam", "1"]
    assert export(run, "huggingface", tmp_path / "out", *rules) == 0
    rows = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines() if "all 2 identical" in line]
    assert rows == ["subwords", "greedy translations", "translations with beam 1"]
    said = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert (said["min_new_tokens"], said["no_repeat_ngram_size"]) == (6, 1)


def test_safetensors_is_a_run_without_what_only_training_needs(gru_run: Path, tmp_path: Path):
    (gru_run / "logs").mkdir()
    assert export(gru_run, "safetensors", tmp_path / "out") == 0
    assert {each.name for each in (tmp_path / "out").iterdir()} == {
        "model.json", "model.safetensors", "tokenizer.model"
    }  # fmt: skip
    assert load_run(tmp_path / "out").weights["step"] == 70


@pytest.mark.parametrize("to", ["huggingface", "ctranslate2"])
def test_a_recurrent_network_is_refused(gru_run: Path, tmp_path: Path, capsys, to: str):
    assert export(gru_run, to, tmp_path / "out") == 2
    assert "GRUEncoderDecoder has no counterpart" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(apart=True), "no pre-norm architecture of transformers has a vocabulary for each side"),
        (dict(embedding_norm=True), "embedding_norm"),
        (dict(start_token=2), "start_token"),
    ],
)
def test_a_network_that_transformers_has_not_is_refused(tmp_path: Path, capsys, options, message: str):
    tokenizer = subwords("unigram")
    if options.pop("apart", False):
        tokenizer = Tokenizer(tokenizer.source, subwords("unigram", vocab_size=60).source)
    run = write_run(tmp_path / "run", tokenizer, **options)
    assert export(run, "huggingface", tmp_path / "out") == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_what_disagrees_is_not_written(transformer_run: Path, tmp_path: Path, capsys, monkeypatch):
    search = HuggingFaceCounterpart.search
    monkeypatch.setattr(HuggingFaceCounterpart, "search", lambda *args: [row[:-1] for row in search(*args)])
    assert export(transformer_run, "huggingface", tmp_path / "out") == 1
    out, _ = capsys.readouterr()
    assert "2 of 2 differ" in out and "was not written" in out
    assert [each.name for each in tmp_path.iterdir()] == ["lines"]


def test_a_folder_that_is_taken_stays_as_it_is(transformer_run: Path, tmp_path: Path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    assert export(transformer_run, "safetensors", tmp_path / "out") == 2
    assert "exists and is not an empty folder" in capsys.readouterr().err
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["mine"]


@pytest.mark.parametrize(("to", "package"), [("huggingface", "transformers"), ("ctranslate2", "ctranslate2")])
def test_without_the_package_it_is_named(transformer_run: Path, tmp_path: Path, capsys, monkeypatch, to, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert export(transformer_run, to, tmp_path / "out") == 2
    assert "pip install 'beamtrain[" in capsys.readouterr().err
    assert export(transformer_run, "safetensors", tmp_path / "out") == 0


def test_the_penalty_most_like_gnmt_changes_alike_at_a_typical_length():
    alpha = average_alpha(SearchOptions(length_penalty="gnmt", alpha=0.8))
    growth = [math.log(16 / 15) * alpha, math.log(21 / 20) * 0.8]
    assert growth[0] == pytest.approx(growth[1], rel=0.02)


def test_nothing_to_compare_is_a_mistake(transformer_run: Path, tmp_path: Path, capsys):
    (tmp_path / "blank").write_text("\n \n")
    assert export(transformer_run, "safetensors", tmp_path / "out", "--check", str(tmp_path / "blank")) == 2
    assert "no line has a subword" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_quantization_belongs_to_ctranslate2(transformer_run: Path, tmp_path: Path, capsys):
    assert export(transformer_run, "huggingface", tmp_path / "out", "--quantization", "int8") == 2
    assert export(transformer_run, "ctranslate2", tmp_path / "out", "--quantization", "") == 2
    assert export(transformer_run, "ctranslate2", tmp_path / "out", "--quantization", "int4") == 2
    assert "--quantization int4: must be float32, int8" in capsys.readouterr().err
