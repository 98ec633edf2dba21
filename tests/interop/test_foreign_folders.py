"""A folder that is damaged, incomplete, strange or hostile gets one line; nothing of it is run, and no run is left."""

import json
import pickle
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from foreign_folders import languages
from safetensors.torch import load_file, save_file

from beamtrain.cli import main
from beamtrain.runs.loading import load_run


@pytest.fixture
def folder(foreign, tmp_path, monkeypatch):
    """A copy of a BART model, to be damaged."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(foreign("bart"), tmp_path / "model")


def refused(capsys, *arguments):
    """What is said, on one line, of an import that leaves nothing."""
    assert main(["import", *arguments, "--name", "imported"]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert not said.out
    return line


def edited(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def weights(change):
    def apply(folder):
        path = folder / "model.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, {"format": "pt"})

    return apply


def only_bin(folder, content):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)


class Hostile:
    def __reduce__(self):
        return (open, ("opened", "w"))


def truncated_bin(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "whole.bin")
    only_bin(folder, (folder / "whole.bin").read_bytes()[:-5000])


def shard_missing(folder):
    names = dict.fromkeys(load_file(folder / "model.safetensors"), "model-00001-of-00002.safetensors")
    index = {
        "metadata": {"total_size": 1},
        "weight_map": {**names, "model.shared.weight": "model-00002-of-00002.safetensors"},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")


def cut(name, size):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def unfinished(folder):
    (folder / "model.safetensors").rename(folder / "model.safetensors.incomplete")


FAULTS = {
    "generation cut": (cut("generation_config.json", 40), "generation_config.json is damaged: it is no JSON"),
    "generation a list": (
        lambda f: (f / "generation_config.json").write_text("[]"),
        "generation_config.json is damaged: it must hold names with values",
    ),
    "beams of words": (
        lambda f: edited(f / "generation_config.json", num_beams="many"),
        "generation_config.json: num_beams is 'many'; it must be a whole number",
    ),
    "half a beam": (
        lambda f: edited(f / "generation_config.json", num_beams=2.5),
        "generation_config.json: num_beams is 2.5; it must be a whole number",
    ),
    "beams that are true": (
        lambda f: edited(f / "generation_config.json", num_beams=True),
        "generation_config.json: num_beams is True; it must be a whole number",
    ),
    "several first tokens": (
        lambda f: edited(f / "generation_config.json", forced_bos_token_id=[1]),
        "forced_bos_token_id is [1] in the model's settings; it must be the id of a token",
    ),
    "a start of words": (
        lambda f: edited(f / "generation_config.json", decoder_start_token_id="</s>"),
        "decoder_start_token_id is '</s>' in the model's settings; it must be the id of a token",
    ),
    "too much dropout": (lambda f: edited(f / "config.json", dropout=2.0), "dropout is 2.0; it must be from 0 to 1"),
    "several types": (lambda f: edited(f / "config.json", model_type=["bart"]), "a model of the type ['bart']"),
    "weights that are no numbers": (
        weights(lambda t: t["model.encoder.layers.0.fc1.weight"].fill_(torch.nan)),
        "are its weights finite?",
    ),
    "a limit of words": (
        lambda f: edited(f / "tokenizer_config.json", model_max_length="long"),
        "its tokenizer cannot be used (",
    ),
    "own network": (
        lambda f: edited(f / "config.json", auto_map={"AutoModelForSeq2SeqLM": "own.Model"}),
        "its network is code of its own, which is never run",
    ),
    "no config": (lambda f: (f / "config.json").unlink(), "no model of Hugging Face's library, it has no config.json"),
    "config cut": (cut("config.json", 50), "config.json is damaged: it is no JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "must hold names with values"),
    "T5": (
        lambda f: edited(f / "config.json", model_type="t5"),
        "of the type t5; those that can be used here: Marian, ",
    ),
    "a wrong type": (
        lambda f: edited(f / "config.json", d_model="wide"),
        "config.json: Validation error for field 'd_model'",
    ),
    "no PAD": (lambda f: edited(f / "config.json", pad_token_id=None), "pad_token_id is None and eos_token_id 2"),
    "other heads": (lambda f: edited(f / "config.json", decoder_attention_heads=4), "encoder_attention_heads is 2 and"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights, neither model.safetensors nor"),
    "unfinished": (unfinished, "the download of model.safetensors.incomplete was not finished, start it again"),
    "LFS": (
        lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
        "git lfs pull",
    ),
    "weights cut": (cut("model.safetensors", 9000), "its weights cannot be read"),
    "bin cut": (truncated_bin, "its weights cannot be read"),
    "hostile bin": (lambda f: only_bin(f, pickle.dumps(Hostile(), protocol=2)), "its weights cannot be read"),
    "shard missing": (shard_missing, "its weights cannot be read"),
    "tensor missing": (
        weights(lambda t: t.pop("model.encoder.layers.0.fc1.weight")),
        "lacks 1 of its tensors, first model.encoder.layers.0.fc1.weight",
    ),
    "tensor too many": (weights(lambda t: t.update(more=torch.zeros(2))), "has too 1 of its tensors, first more"),
    "another shape": (
        weights(lambda t: t.update({"model.shared.weight": torch.zeros(3, 16)})),
        "has in another shape 1 of its tensors, first model.shared.weight",
    ),
    "no tokenizer": (
        lambda f: (f / "tokenizer.json").unlink(),
        "none of vocab.json, merges.txt, tokenizer.json is there",
    ),
    "tokenizer cut": (cut("tokenizer.json", 500), "its tokenizer cannot be read"),
    "another class": (
        lambda f: edited(f / "tokenizer_config.json", tokenizer_class="T5Tokenizer"),
        "a tokenizer of the class T5Tokenizer; those that can be used here: Marian, Pegasus",
    ),
    "own code": (
        lambda f: edited(f / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Tokenizer", None]}),
        "its tokenizer is code of its own, which is never run",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_used_gets_a_line(fault, folder, capsys, tmp_path):
    damage, message = FAULTS[fault]
    damage(folder)
    assert message in refused(capsys, str(folder), *languages("bart"))
    assert not (tmp_path / "runs").exists() and not (tmp_path / "opened").exists()


def test_what_is_said_of_searching_is_taken_over_or_told(folder, capsys):
    said = {"min_length": 7, "bad_words_ids": [[9]], "suppress_tokens": [8], "do_sample": True, "eos_token_id": [2, 9]}
    edited(folder / "generation_config.json", **said)
    (folder / "lines.txt").write_text("Hello\n")
    assert main(["import", str(folder), "--name", "a", *languages("bart"), "--check", str(folder / "lines.txt")]) == 0
    out = capsys.readouterr().out
    for each in ("bad_words_ids [[9]]", "suppress_tokens [8]", "do_sample true", "eos_token_id [2, 9]"):
        assert f"not the same: {each}\n" in out
    assert load_run(Path("runs/a")).description.search.min_length == 7


def test_what_is_never_said_here_need_not_be_suppressed(folder, capsys):
    config = json.loads((folder / "config.json").read_text())
    edited(folder / "generation_config.json", suppress_tokens=[config["pad_token_id"], config["bos_token_id"]])
    (folder / "lines.txt").write_text("Hello\n")
    assert main(["import", str(folder), "--name", "a", *languages("bart"), "--check", str(folder / "lines.txt")]) == 0
    assert "suppress_tokens" not in capsys.readouterr().out


def test_nothing_to_compare_is_told_before_a_run_is_replaced(folder, capsys):
    (folder / "lines.txt").write_text(" \n")
    assert "nothing to compare" in refused(
        capsys, str(folder), *languages("bart"), "--check", str(folder / "lines.txt")
    )
    assert not Path("runs").exists()


def test_an_import_that_fails_leaves_the_run_that_it_was_to_replace(folder, capsys):
    (folder / "lines.txt").write_text("Hello\n")
    arguments = [str(folder), "--name", "imported", *languages("bart"), "--check", str(folder / "lines.txt")]
    assert main(["import", *arguments]) == 0
    before = Path("runs/imported/model.safetensors").read_bytes()
    weights(lambda t: t["model.encoder.layers.0.fc1.weight"].fill_(torch.nan))(folder)
    capsys.readouterr()
    refused(capsys, *arguments, "--overwrite")
    assert Path("runs/imported/model.safetensors").read_bytes() == before


def test_what_a_killed_import_left_is_replaced(folder, capsys):
    left = Path("runs/a/huggingface")
    left.mkdir(parents=True)
    (left / "source.spm").write_text("of another model")
    (folder / "lines.txt").write_text("Hello\n")
    assert main(["import", str(folder), "--name", "a", *languages("bart"), "--check", str(folder / "lines.txt")]) == 0
    assert not (left / "source.spm").exists()


def test_old_weights_are_read_without_running_them(folder, capsys):
    state = load_file(folder / "model.safetensors")
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    (folder / "lines.txt").write_text("Hello\n")
    arguments = [str(folder), "--name", "imported", *languages("bart"), "--check", str(folder / "lines.txt")]
    assert main(["import", *arguments]) == 0


def test_positions_that_are_no_part_of_the_weights_are_computed(foreign, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(foreign("pegasus"), tmp_path / "model")
    weights(lambda t: [t.pop(f"model.{side}.embed_positions.weight") for side in ("encoder", "decoder")])(folder)
    (tmp_path / "one.txt").write_text("Hello\n")
    assert main(["import", str(folder), "--name", "imported", *languages("pegasus"), "--check", "one.txt"]) == 0


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("bart", [], "--source-lang is needed: the model does not say which language it is"),
        (
            "m2m_100",
            ["--source-lang", "en", "--target-lang", "dd"],
            "--target-lang dd: not a language of this model, such",
        ),
        ("nllb", ["--source-lang", "eng_Latn", "--target-lang", "deu"], r"deu_Latn\?"),
    ],
)
def test_languages_are_asked_for(name, options, message, foreign, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert re.search(message, refused(capsys, str(foreign(name)), *options))


def test_without_the_library_it_is_said_what_to_install(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "pip install 'beamtrain[hf]'" in refused(capsys, str(folder), *languages("bart"))


def test_a_model_of_the_hub_is_downloaded_without_what_is_not_needed(folder, monkeypatch, capsys):
    import huggingface_hub

    asked = []

    def snapshot_download(repo_id, allow_patterns):
        asked.append((repo_id, allow_patterns))
        if repo_id != "someone/bart":
            raise OSError("404 Client Error\nNot found")
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    line = refused(capsys, "someone/else", *languages("bart"))
    assert (
        line
        == "beamtrain: someone/else: no such folder, and from the hub it could not be had (404 Client Error Not found)"
    )
    (folder / "one.txt").write_text("Hello\n")
    given = [*languages("bart"), "--check", str(folder / "one.txt")]
    assert main(["import", "someone/bart", "--name", "a", *given]) == 0
    assert [repo for repo, _ in asked] == ["someone/else", "someone/bart"]
    assert "*.safetensors" in asked[1][1] and not any(each.endswith((".py", ".bin")) for each in asked[1][1])
    capsys.readouterr()
    assert "no folder with a model" in refused(capsys, "./nowhere", *languages("bart"))
