"""`beamtrain import`: a folder of each architecture with its own tokenizer becomes a run that commands take."""

import pytest
from conftest import each_kind, languages

from beamtrain.cli import main
from beamtrain.runs.loading import load_run

LINES = ["Two young men are near bushes.", "Where is the </s> station?", "Die Katze schläft."]


@pytest.fixture
def imported(foreign, tmp_path, monkeypatch, capsys):
    """Imports a kind of model; the exit code and what was printed."""
    monkeypatch.chdir(tmp_path)

    def run(name, *options, folder=None):
        (tmp_path / "lines.txt").write_text("".join(f"{line}\n" for line in LINES))
        folder = str(folder or foreign(name))
        code = main(["import", folder, "--name", name, *languages(name), "--check", "lines.txt", *options])
        return code, capsys.readouterr()

    return run


@each_kind
def test_an_imported_model_translates_as_it_did(name, imported, foreign, capsys):
    code, said = imported(name)
    assert (code, said.err) == (0, ""), said.out
    rows = [line.split() for line in said.out.splitlines()]
    assert ["greedy", "translations", "all", "3", "identical", "identical"] in rows
    assert "not the same: repetition_penalty 1.1" in said.out.splitlines()
    search = load_run(f"runs/{name}").description.search
    assert (search.beam_size, search.length_penalty, search.alpha, search.no_repeat_ngram) == (3, "average", 1.0, 4)
    once = ["--beam", "1", "--max-length", "9", "--no-repeat-ngram", "0"]
    assert main(["translate", "--model", f"runs/{name}", *once, "--input", "lines.txt"]) == 0
    assert capsys.readouterr().out.splitlines() == translated(foreign(name), *languages(name)[1::2])


def translated(folder, source_lang, target_lang):
    """What the library makes of the lines, one by one."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    settings = {"num_beams": 1, "max_new_tokens": 9, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
    settings |= {"suppress_tokens": [tokenizer.pad_token_id], "forced_eos_token_id": model.config.eos_token_id}
    if hasattr(tokenizer, "src_lang"):
        tokenizer.src_lang = source_lang
        code = tokenizer.convert_tokens_to_ids(
            f"__{target_lang}__" if "M2M" in type(tokenizer).__name__ else target_lang
        )
        first = "forced_bos_token_id" if model.config.decoder_start_token_id is not None else "decoder_start_token_id"
        settings[first] = code
    found = [model.generate(**tokenizer(line, return_tensors="pt"), **settings)[0] for line in LINES]
    if hasattr(tokenizer, "src_lang"):
        found = [row[row.tolist().index(code) + 1 :] for row in found]
    return [" ".join(tokenizer.decode(row, skip_special_tokens=True).split("\n")) for row in found]
