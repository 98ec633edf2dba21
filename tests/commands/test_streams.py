"""Standard streams that are closed, full, not read, or of an ASCII encoding: no traceback, and nothing is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from words import CONFIG

from beamtrain.cli import main

FORKS = Path(__file__).parent / "forks.py"
BEAMTRAIN = [sys.executable, "-m", "beamtrain.cli"]
INPUT, OUTPUT = "one\n" + "word " * 20_000 + "\nzwölf\n", 3  # the second line is too long, which is told
TOLD = "beamtrain: line 2: source of 100,000 tokens, above the limit of 1,024; left empty\n"
MODEL = ["--model=model", "--beam=1"]
TRANSLATE = ["translate", *MODEL, "--max-length=5"]
EVALUATE = ["evaluate", *MODEL, "--source=in", "--reference=reference"]
COMPARE = ["compare", "--reference=reference", "reference", "ümlaut", "--samples=100", "--changed=1"]
TRAIN = ["train", "--config=tiny.yaml", "--trainer.max_steps=1"]
TABLE, COMPARISON, RUN = 6, 15, 8  # lines
CLOSED = dict.fromkeys(("stdin", "stdout", "stderr"))
ASCII = {"encoding": "ascii"}

CASES = {  # arguments, streams that are not as usual, exit code, what is said, lines of output, files that are whole
    "translate": (TRANSLATE, {}, 0, TOLD, OUTPUT, {}),
    "no input": (TRANSLATE, {"stdin": None}, 2, "standard input is closed; give a file to read", 0, {}),
    "input from a file": ([*TRANSLATE, "--input", "in"], {"stdin": None}, 0, TOLD, OUTPUT, {}),
    "no output": (TRANSLATE, {"stdout": None}, 2, "standard output is closed; give a file to write", 0, {}),
    "output to a file": ([*TRANSLATE, "--output", "out"], {"stdout": None}, 0, TOLD, 0, {"out": OUTPUT}),
    "no messages": (TRANSLATE, {"stderr": None}, 0, "", OUTPUT, {}),
    "no room for messages": (TRANSLATE, {"stderr": "/dev/full"}, 0, "", OUTPUT, {}),
    "no reader of messages": (TRANSLATE, {"stderr": "no reader"}, 0, "", OUTPUT, {}),
    "nothing": ([*TRANSLATE, "--input", "in", "--output", "out2"], CLOSED, 0, "", 0, {"out2": OUTPUT}),
    "no room": (TRANSLATE, {"stdout": "/dev/full"}, 2, "cannot write standard output: No space left", 0, {}),
    "no reader": (TRANSLATE, {"stdout": "no reader"}, 1, TOLD, 0, {}),
    "evaluate": (EVALUATE, {"stdin": None, "stderr": None}, 0, "", TABLE + 1, {}),
    "report to nowhere": (EVALUATE, {"stdout": None}, 2, "so the report would be lost; give --json FILE", 0, {}),
    "report to a file": ([*EVALUATE, "--json", "report"], CLOSED, 0, "", 0, {"report": 10}),
    "reports to a folder": ([*EVALUATE, "--output=kept"], {"stdout": None}, 0, "", 0, {"kept/report.md": 10}),
    "no room for a report": (EVALUATE, {"stdout": "/dev/full"}, 2, "standard output: No space left on device", 0, {}),
    "compare": (COMPARE, {"stdin": None, "stderr": None}, 0, "", COMPARISON, {}),
    "comparison to nowhere": (COMPARE, {"stdout": None}, 2, "so the report would be lost; give --json FILE", 0, {}),
    "comparison to a file": ([*COMPARE, "--json", "changes"], CLOSED, 0, "", 0, {"changes": 10}),
    "compare in ASCII": (COMPARE, ASCII, 0, "", COMPARISON, {}),
    "evaluate in ASCII": ([*EVALUATE[:-2], "--source=ümlaut", "--reference=in"], ASCII, 0, "", TABLE, {}),
    "translate in ASCII": (TRANSLATE, ASCII, 0, TOLD, OUTPUT, {}),
    "train": ([*TRAIN, "--name=closed"], CLOSED, 0, "", 0, {"runs/closed/report/test.hyp": 12}),
    "train in ASCII": ([*TRAIN, "--name=ü"], ASCII, 0, "", RUN, {"runs/ü/report/test.hyp": 12}),
    "settings": (["train", "--print_config"], {"stdout": None}, 0, "", 0, {}),
    "settings on a full disk": (["train", "--print_config"], {"stdout": "/dev/full"}, 2, "No space left", 0, {}),
    "help": (["--help"], CLOSED, 0, "", 0, {}),
    "help on a full disk": (["translate", "--help"], {"stdout": "/dev/full"}, 2, "No space left on device", 0, {}),
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory, transformer_run, words_corpus):
    """Exit code, output and messages of every case."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "in").write_text(INPUT, encoding="utf-8")
    (folder / "reference").write_text("eins\nWörter\nzwölf\n", encoding="utf-8")
    (folder / "ümlaut").write_text("eins\nWort\nelf\n", encoding="utf-8")
    (folder / "tiny.yaml").write_text(CONFIG.format(corpus=words_corpus, vocab_size=36))
    (folder / "model").symlink_to(transformer_run)
    cases = []
    for number, (arguments, streams, *_) in enumerate(CASES.values()):
        usual = {"stdin": "in", "stdout": f"{number}.out", "stderr": f"{number}.err", "encoding": "utf-8"}
        cases.append({"arguments": arguments, **usual, **streams})
    (folder / "cases.json").write_text(json.dumps(cases))
    environment = {**os.environ, "XDG_CACHE_HOME": str(words_corpus / "cache")}
    subprocess.run([sys.executable, FORKS, "cases.json", "results.json"], cwd=folder, env=environment, check=True)
    codes = json.loads((folder / "results.json").read_text())
    return {
        name: (code, *("".join(path.read_text() for path in folder.glob(f"{number}.{end}")) for end in ("out", "err")))
        for number, (name, code) in enumerate(zip(CASES, codes, strict=True))
    }, folder


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_lost_and_nothing_breaks(results, name):
    _, _, expected, said, lines, files = CASES[name]
    (code, output, messages), folder = results[0][name], results[1]
    assert code == expected, messages
    assert said in messages and "Traceback" not in messages
    assert output.count("\n") == lines, output
    for path, count in files.items():
        assert (folder / path).read_text(encoding="utf-8").count("\n") >= count
    if "ASCII" in name:
        assert name == "translate in ASCII" or output.isascii()  # translations are UTF-8 everywhere


ASCII_NAMES = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("options", [["--format=json"], ["--json=report"], []])
def test_names_of_files_that_are_no_text_in_the_locale(tmp_path, options):
    for name in ("größe", "reference"):
        (tmp_path / name).write_text("eins\n" * 9, encoding="utf-8")
    command = [*BEAMTRAIN, "compare", "--reference=reference", "reference", "größe", "--samples=100", *options]
    result = subprocess.run(command, cwd=tmp_path, env={**os.environ, **ASCII_NAMES}, capture_output=True)
    assert (result.returncode, result.stderr) == (0, b"")
    if options:
        report = (tmp_path / "report").read_bytes() if options == ["--json=report"] else result.stdout
        assert os.fsencode(json.loads(report)["systems"][1]["system"]) == "größe".encode()


def test_a_run_with_a_name_that_is_no_text_in_the_locale_is_refused(tmp_path):
    command = [*BEAMTRAIN, "train", "--config=quickstart.yaml", "--name=größe"]
    result = subprocess.run(command, cwd=tmp_path, env={**os.environ, **ASCII_NAMES}, capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "is not text in this locale (ascii): use a name in ASCII, or set PYTHONUTF8=1" in result.stderr
    assert not list(tmp_path.iterdir())


NO_TEXT = os.fsdecode(b"n\xff")


@pytest.mark.parametrize(
    "command",
    [
        f"translate --model {NO_TEXT}",
        f"inspect {NO_TEXT} one",
        f"report {NO_TEXT} --source in --reference in --out report",
        f"export model {NO_TEXT} --to huggingface",
        f"export model {NO_TEXT} --to ctranslate2",
        f"import model --name {NO_TEXT}",
        f"import {NO_TEXT}",
        f"train --config quickstart.yaml --name {NO_TEXT}",
    ],
)
def test_a_run_with_a_name_that_is_not_utf8_is_refused(command, transformer_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("in").write_text("one\n")
    Path("model").symlink_to(transformer_run)
    if "export" not in command:
        Path(NO_TEXT).symlink_to(transformer_run)
    there = set(os.listdir())
    assert main(command.split()) == 2
    said = capsys.readouterr().err
    assert "\\udcff" in said and said.endswith("is not UTF-8: give it another name\n") and said.count("\n") == 1
    assert set(os.listdir()) == there
