"""`beamtrain import`: a folder of each architecture with its own tokenizer becomes a run that commands take."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
from foreign_folders import LINES, each_kind, languages
from tokenizers_of import LANGUAGES, TEXT

from beamtrain.cli import main
from beamtrain.data.tokenizer import BOS, EOS, PAD, Tokenizer
from beamtrain.interop.weights import to_ours
from beamtrain.runs.loading import load_run


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text("".join(f"{line}\n" for line in LINES))


def import_again(folder, name, *options):
    """The exit code of importing into the present folder."""
    return main(["import", str(folder), "--name", name, *languages(name), "--check", "lines.txt", *options])


@each_kind
def test_an_imported_model_translates_as_it_did(name, imported, foreign, capsys):
    made = imported(name)
    assert made.code == 0, made.out
    rows = [line.split() for line in made.out.splitlines()]
    assert ["greedy", "translations", "all", "3", "identical", "identical"] in rows
    assert "not the same: repetition_penalty 1.1" in made.out.splitlines()
    search = load_run(made.run).description.search
    assert (search.beam_size, search.length_penalty, search.alpha) == (3, "average", 1.0)
    assert (search.no_repeat_ngram, search.max_length) == (4, 13)
    once = ["--beam", "1", "--max-length", "9", "--no-repeat-ngram", "0"]
    assert main(["translate", "--model", str(made.run), *once, "--input", "lines.txt"]) == 0
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


def test_commands_take_an_imported_run(imported, tmp_path, capsys):
    """M2M100, whose targets begin with the code of their language."""
    model, short = ["--model", str(imported("m2m_100").run)], ["--max-length", "12", "--beam", "2"]
    (tmp_path / "begin.txt").write_text("Ein Mädchen\n\nDie\n")
    begun = ["--prefix", "begin.txt", "--input", "lines.txt", "--format", "jsonl", "--token-scores", "--attention"]
    assert main(["translate", *model, *short, *begun]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(line["text"].startswith(begin) for line, begin in zip(found, ["Ein Mädchen", "", "Die"], strict=True))
    assert all(line["tokens"][0] == "__de__" and not line["text"].startswith("__de__") for line in found)
    assert all(line["source_tokens"][0] == "__en__" and line["source_tokens"][-1] == "</s>" for line in found)
    assert main(["translate", *model, "--sample", "--max-length", "12", "--input", "lines.txt"]) == 0
    assert main(["evaluate", *model, *short, "--source", "lines.txt", "--reference", "lines.txt"]) == 0
    assert "BLEU" in capsys.readouterr().out
    assert (
        main(["inspect", model[1], "Two men", "--reference", "Zwei", "--temperature", "0.5", "--html", "i.html"]) == 0
    )
    text = ["--source", "lines.txt", "--reference", "lines.txt", "--max-length", "4"]
    assert main(["report", model[1], *text, "--sweep", "1", "--exact-tokens", "0", "--out", "report"]) == 0
    assert capsys.readouterr().out.endswith("report/report.html\n")
    assert main(["evaluate", *model, "--split", "test"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    shutil.copytree(model[1], "twin")
    assert main(["average", model[1], "twin", "--name", "mean", "--runs", "."]) == 0
    capsys.readouterr()
    said = []
    for run in (model[1], "mean"):
        assert main(["translate", "--model", run, *short, "--input", "lines.txt"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != ""


def test_a_line_without_positions_is_left_empty_and_reported(imported, tmp_path, capsys):
    (tmp_path / "long.txt").write_text("a b " * 60 + "\nHello\n")
    options = ["--input", "long.txt", "--max-length", "5000", "--beam", "1"]
    assert main(["translate", "--model", str(imported("m2m_100").run), *options]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("\n") and "tokens, above the limit of 99; left empty" in said.err


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda folder: (folder / "numbering.json").unlink(), "has no numbering.json: import the model again"),
        (lambda folder: (folder / "numbering.json").write_text("{"), "numbering.json is damaged: it is no JSON"),
        (lambda folder: edit(folder, source_prefix=[10**6]), "are not all tokens of a vocabulary of"),
        (lambda folder: edit(folder, source={"size": 5, "pad": 1, "eos": 1}), "they must differ and be tokens"),
        (lambda folder: edit(folder, target_prefix=7), "target_prefix is 7; it must be a list"),
        (lambda folder: (folder / "vocab.json").unlink(), "its tokenizer cannot be read"),
    ],
)
def test_a_run_whose_tokenizer_is_damaged_gets_a_line(damage, message, imported, tmp_path, capsys):
    run = shutil.copytree(imported("m2m_100").run, tmp_path / "damaged")
    damage(run / "huggingface")
    assert main(["translate", "--model", str(run), "--input", "lines.txt"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def edit(folder, **changes):
    path = folder / "numbering.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_run_is_replaced_only_if_asked_for(imported, foreign, tmp_path, capsys):
    run = shutil.copytree(imported("bart").run, tmp_path / "runs" / "bart")
    (run / "checkpoints").mkdir()
    assert import_again(foreign("bart"), "bart") == 2
    assert "runs/bart exists: --overwrite replaces it, --name NAME makes another" in capsys.readouterr().err
    assert import_again(foreign("bart"), "bart", "--overwrite") == 0 and not (run / "checkpoints").exists()
    (tmp_path / "runs" / "pegasus").mkdir()
    (tmp_path / "runs" / "pegasus" / "mine.txt").write_text("")
    assert import_again(foreign("pegasus"), "pegasus") == 2
    assert "exists and is not a run" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["config.yaml", "model.safetensors"])
@pytest.mark.parametrize("at", ["writing", "moving"])
def test_an_import_that_was_interrupted_can_be_given_again(file, at, imported, foreign, tmp_path, monkeypatch, capsys):
    run, fails = shutil.copytree(imported("bart").run, tmp_path / "runs" / "bart"), iter([at == "writing", True])
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}

    def interrupted(source, target, replace=os.replace):
        if Path(target).name == file and next(fails):
            raise OSError("interrupted")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", interrupted)
        assert import_again(foreign("bart"), "bart", "--overwrite") == 2
    if at == "writing":
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert import_again(foreign("bart"), "bart", "--overwrite") == 0, capsys.readouterr().err


def test_a_network_that_is_not_the_model_is_told_and_fails(foreign, monkeypatch, capsys):
    from beamtrain.interop import importing

    def confused(*arguments):
        weights = to_ours(*arguments)
        weights["decoder.0.feed_forward.outer.weight"] *= -1
        return weights

    monkeypatch.setattr(importing, "to_ours", confused)
    assert import_again(foreign("bart"), "bart") == 1
    assert "runs/bart is written, but does not do what" in capsys.readouterr().out


def test_several_targets_of_marian_are_chosen_by_the_language(foreign, tmp_path, capsys):
    folder = shutil.copytree(foreign("marian"), tmp_path / "many")
    vocabulary = json.loads((folder / "vocab.json").read_text())
    spare = [piece for piece, number in vocabulary.items() if number > 90 and piece != "<pad>"][:2]
    renamed = dict(zip(spare, (">>deu<<", ">>fra<<"), strict=True))
    (folder / "vocab.json").write_text(json.dumps({renamed.get(piece, piece): n for piece, n in vocabulary.items()}))
    assert import_again(folder, "marian", "--target-lang", "fr") == 2
    assert "--target-lang fr: not a language of this model, such as deu, fra" in capsys.readouterr().err
    assert import_again(folder, "marian", "--target-lang", "fra") == 0
    tokenizer = load_run("runs/marian").tokenizer
    assert tokenizer.source.pieces(tokenizer.source.encode(["Two"])[0])[0] == ">>fra<<"


@each_kind
def test_a_tokenizer_is_the_library_s_but_for_the_numbers(name, imported, foreign):
    from transformers import AutoTokenizer

    ours, theirs = Tokenizer.load(imported(name).run), AutoTokenizer.from_pretrained(foreign(name))
    if name in LANGUAGES:
        theirs.src_lang, theirs.tgt_lang = LANGUAGES[name]
    numbering, lines = ours.numbering, [*TEXT, "</s> <pad> <unk>", "☃ a\tb"]
    sources = [row for row in theirs(lines)["input_ids"]]
    mine = [numbering.ends_swapped([*row, EOS]) for row in ours.source.encode(lines)]
    pads = [[each for each in row if each != theirs.pad_token_id] for row in sources]
    assert [numbering.source.to_theirs(row) for row in mine] == pads
    targets = ours.target.encode(lines)
    assert not any({PAD, BOS, EOS} & {*row} for row in targets)
    assert ours.target.decode(targets[: len(TEXT)]) == [
        theirs.decode(row, skip_special_tokens=True).removeprefix("__de__").strip()
        for row in theirs(text_target=TEXT)["input_ids"]
    ]
    assert ours.source.encode(["", " \u200b"])[0] == [] and len(ours.target.vocabulary) == ours.target.vocab_size
    again = pickle.loads(pickle.dumps(ours))
    assert again.fingerprint() == ours.fingerprint() and again.target.encode(lines) == targets
    assert ours.joint == (name != "marian-apart")
