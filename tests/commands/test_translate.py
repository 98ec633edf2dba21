"""`beamtrain translate`, as a user runs it: lines in, lines out, and one line for each mistake."""

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import SENTENCES

from beamtrain.cli import main

BEAMTRAIN = [sys.executable, "-m", "beamtrain.cli"]


@pytest.fixture
def translate(echo_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary):
    """Runs the command on text with the echo model; gives exit code, output lines and messages."""

    def run(text: str | bytes, *options: str | Path) -> SimpleNamespace:
        content = text.encode() if isinstance(text, str) else text
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        code = main(["translate", "--model", str(echo_run), *map(str, options)])
        out, err = capfdbinary.readouterr()
        return SimpleNamespace(code=code, out=out.decode(), err=err.decode())

    return run


class TestText:
    @pytest.mark.parametrize(
        ("text", "out"),
        [
            ("", ""),
            ("one\n", "one\n"),
            ("one\ntwo", "one\ntwo\n"),
            ("\n\none\n \n", "\n\none\n\n"),
            ("one\r\ntwo\r\n", "one\ntwo\n"),
            ("\ufeffone\n", "one\n"),
            ("a\u2028b\n", "a b\n"),
        ],
    )
    def test_one_line_for_each_line(self, translate, text: str, out: str):
        result = translate(text)
        assert (result.code, result.out, result.err) == (0, out, "")

    def test_many_lines_in_order(self, translate):
        text = "".join(f"{'x' * (number % 11)} {number}\n" for number in range(100)).replace("\n ", "\n")
        assert translate(text, "--beam", "1").out == text.lstrip()

    def test_files(self, translate, tmp_path: Path):
        (tmp_path / "in").write_text("one\n\ntwo\n")
        result = translate("", "--input", tmp_path / "in", "--output", tmp_path / "out")
        assert (result.code, result.out, result.err) == (0, "", "")
        assert (tmp_path / "out").read_text() == "one\n\ntwo\n"

    @pytest.mark.parametrize("options", [["--input", "-"], ["--output", "-"], ["--input=-", "--output=-"]])
    def test_a_dash_is_a_standard_stream(self, translate, tmp_path: Path, monkeypatch, options: list[str]):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "-").write_text("not this\n")
        result = translate("one\n\ntwo\n", *options)
        assert (result.code, result.out, result.err) == (0, "one\n\ntwo\n", "")
        assert (tmp_path / "-").read_text() == "not this\n"

    def test_prefixes_from_standard_input(self, translate, tmp_path: Path):
        (tmp_path / "in").write_text("one\ntwo\n")
        result = translate("Ja\n\n", "--input", tmp_path / "in", "--prefix", "-")
        assert result.out.startswith("Ja") and result.out.endswith("\ntwo\n")

    def test_packed_output(self, translate, tmp_path: Path):
        assert translate("one\n\ntwo\n", "--output", tmp_path / "out.gz").code == 0
        assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == b"one\n\ntwo\n"
        assert translate("", "--input", tmp_path / "out.gz").out == "one\n\ntwo\n"

    def test_a_file_can_be_replaced_by_its_translation(self, translate, tmp_path: Path):
        (tmp_path / "text").write_text("one\ntwo\n")
        assert translate("", "--input", tmp_path / "text", "--output", tmp_path / "text").code == 0
        assert (tmp_path / "text").read_text() == "one\ntwo\n"

    def test_a_long_line_is_reported_by_number(self, translate):
        result = translate("one\n" + "word " * 20_000 + "\ntwo\n")
        assert (result.code, result.out) == (0, "one\n\ntwo\n")
        assert result.err.startswith("beamtrain: line 2: source of ")
        assert result.err.endswith("tokens, above the limit of 1,024; left empty\n")

    def test_the_limit_can_be_moved(self, translate):
        assert translate("word " * 300 + "\n", "--max-source-tokens", "2000").out == ("word " * 300).strip() + "\n"

    @pytest.mark.parametrize("sample", [[], ["--sample"]])
    def test_prefix(self, translate, tmp_path: Path, sample):
        (tmp_path / "prefixes").write_text("Ja\n\nNein\n")
        result = translate("one\ntwo\n\n", "--prefix", tmp_path / "prefixes", *sample)
        first, second, third = result.out.splitlines()
        assert first.startswith("Ja")
        assert (second, third) == ("two", "")

    @pytest.mark.parametrize(
        ("prefix", "told"),
        [
            ("Ja ", "'Ja ', whose subwords say 'Ja'"),
            (" Ja", "' Ja', whose subwords say 'Ja'"),
            ("a  b", "'a  b', whose subwords say 'a b'"),
            ("▁", "'▁', whose subwords say ''"),
        ],
    )
    def test_a_prefix_that_no_translation_begins_with_is_refused(self, translate, tmp_path: Path, prefix, told):
        (tmp_path / "prefixes").write_text(f"{prefix}\nNein\n", encoding="utf-8")
        result = translate("one\ntwo\n", "--prefix", tmp_path / "prefixes")
        assert result.code == 0 and result.out.startswith("\nNein")
        assert result.err == f"beamtrain: line 1: no translation can begin with {told}; left empty\n"


class TestFormats:
    def test_tsv(self, translate):
        rows = [line.split("\t") for line in translate("one\n\ntwo\tthree\n", "--format", "tsv").out.splitlines()]
        assert [row[:2] + row[3:] for row in rows] == [["1", "1", "one"], ["2", "1", ""], ["3", "1", "two three"]]
        assert all(float(row[2]) <= 0 for row in rows)

    def test_tsv_with_token_scores(self, translate):
        (row,) = translate("one two\n", "--format", "tsv", "--token-scores").out.splitlines()
        *_, tokens, scores = row.split("\t")
        assert "".join(tokens.split(" ")).replace("▁", " ").strip() == "one two"
        assert len(scores.split(" ")) == len(tokens.split(" ")) + 1

    def test_jsonl_n_best(self, translate):
        result = translate("one\n\ntwo\n", "--format", "jsonl", "--nbest", "3", "--beam", "4", "--token-scores")
        records = [json.loads(line) for line in result.out.splitlines()]
        assert [(r["line"], r["rank"]) for r in records] == [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2), (3, 3)]
        assert [r["text"] for r in records if r["rank"] == 1] == ["one", "", "two"]
        for record in records:
            assert record["log_prob"] == pytest.approx(sum(record["token_log_probs"]), abs=1e-4)
        ranked = [r["score"] for r in records if r["line"] == 1]
        assert ranked == sorted(ranked, reverse=True)

    def test_jsonl_attention(self, translate):
        (record,) = map(json.loads, translate("one two\n", "--format", "jsonl", "--attention").out.splitlines())
        assert record["source_tokens"][-1] == "</s>"
        assert len(record["attention"][0]) == len(record["source_tokens"])
        assert [row.index(1.0) for row in record["attention"]] == list(range(len(record["attention"])))

    def test_jsonl_says_why_a_line_is_empty(self, translate):
        (record,) = map(json.loads, translate("x" * 5000, "--format", "jsonl").out.splitlines())
        assert record["text"] == ""
        assert "above the limit of 1,024" in record["problem"]


class TestSampling:
    def test_same_seed_same_translations(self, transformer_run: Path, capfdbinary, monkeypatch: pytest.MonkeyPatch):
        def draw(text: str, *options: str) -> list[str]:
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
            assert main(["translate", "--model", str(transformer_run), "--sample", *options]) == 0
            return capfdbinary.readouterr().out.decode().splitlines()

        text = "\n".join(SENTENCES)
        first = draw(text, "--seed", "4")
        assert draw(text, "--seed", "4", "--batch-tokens", "20") == first
        assert draw("\n".join(SENTENCES[:2]), "--seed", "4") == first[:2]
        assert draw(text, "--seed", "5") != first
        assert draw(text, "--top-k", "1") == draw(text, "--top-k", "1", "--seed", "7")

    def test_several_come_best_first_and_hold_those_of_fewer(self, transformer_run: Path, tmp_path: Path, capfdbinary):
        (tmp_path / "in").write_text("\n".join(SENTENCES))

        def draw(number: int) -> dict[str, list[tuple[float, str]]]:
            arguments = ["--sample", "--nbest", str(number), "--format", "tsv", "--max-length", "6"]
            files = ["--model", str(transformer_run), "--input", str(tmp_path / "in")]
            assert main(["translate", *files, *arguments]) == 0
            found: dict[str, list[tuple[float, str]]] = {}
            for row in capfdbinary.readouterr().out.decode().splitlines():
                line, rank, score, text = row.split("\t")
                found.setdefault(line, []).append((float(score), text))
                assert int(rank) == len(found[line])
            return found

        most = draw(9)
        for number in (1, 4):
            for line, few in draw(number).items():
                assert len(few) == number and {text for _, text in few} <= {text for _, text in most[line]}
        for drawn in most.values():
            assert [score for score, _ in drawn] == sorted((score for score, _ in drawn), reverse=True)
        assert any(drawn[0] not in draw(1)[line] for line, drawn in most.items())

    def test_several_of_each(self, translate):
        result = translate("one\ntwo\n", "--sample", "--nbest", "7", "--format", "tsv", "--top-p", "0.5")
        assert [line.split("\t")[3] for line in result.out.splitlines()] == ["one"] * 7 + ["two"] * 7


class TestMistakes:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--bem", "5"], "No such option: --bem (Possible options: --beam"),
            (["--beam", "0"], "--beam is 0; it must be 1 or more"),
            (["--beam", "five"], "Invalid value for '--beam'"),
            (["--format", "xml"], "Invalid value for '--format'"),
            (["--nbest", "3"], "--nbest 3: text output has one plain line for each line; add --format tsv"),
            (["--token-scores"], "--token-scores: text output has one plain line for each line"),
            (["--nbest", "9", "--format", "tsv"], "--nbest is 9; it must be from 1 to --beam (2): raise --beam"),
            (["--attention"], "--attention: only JSON holds a table for each line; add --format jsonl"),
            (["--length-penalty", "wu"], "--length-penalty is 'wu'; it must be gnmt, average or none"),
            (["--alpha", "nan"], "--alpha is nan; it must be a number"),
            (["--min-length", "9", "--max-length", "3"], "--min-length 9 is above --max-length 3"),
            (["--prefix", "-"], "--input and --prefix are both standard input, which can be read once; give a file"),
            (["--input", "missing.txt"], "cannot read missing.txt: No such file or directory"),
            (["--input", "."], "cannot read .: Is a directory"),
            (["--prefix", "missing.txt"], "missing.txt"),
            (["--output", "."], "cannot write .: Is a directory"),
            (["--device", "cuda:99"], "--device cuda:99: not on this machine, which has cpu"),
            (["--device", "gpu"], "--device gpu: not on this machine"),
            (["--precision", "fp8"], "--precision fp8: must be fp32 or bf16"),
            (["--source-lang", "fr"], "translates from en into de; choose another model or leave --source-lang out"),
            (["--target-lang", "fr"], "translates from en into de; choose another model or leave --target-lang out"),
            (["--top-k", "5"], "--top-k only works together with --sample"),
            (["--sample", "--beam", "5"], "--beam does not work together with --sample"),
            (["--sample", "--temperature", "nan"], "Invalid value for '--temperature'"),
            (["--sample", "--top-p", "-1"], "Invalid value for '--top-p'"),
            (["--seed", "-1"], "Invalid value for '--seed'"),
        ],
    )
    def test_one_line_and_exit_code_2(self, translate, options: list[str], message: str):
        result = translate("one\n", *options)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("beamtrain: ")
        assert message in result.err
        assert result.err.count("\n") == 1

    @pytest.mark.parametrize(
        "option", ["--beam", "--alpha", "--min-length", "--max-length", "--no-repeat-ngram", "--nbest"]
    )
    @pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "9" * 40, "1e-300", ""])
    def test_numbers_at_their_edges(self, translate, option: str, value: str):
        result = translate("one\n", option, value, "--format", "tsv")
        assert result.code in (0, 2)
        assert result.err.count("\n") == (1 if result.code else 0)

    @pytest.mark.parametrize("option", ["--top-k", "--top-p", "--temperature", "--seed", "--nbest"])
    @pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "9" * 40, "1e-300", ""])
    def test_numbers_of_sampling_at_their_edges(self, translate, option: str, value: str):
        result = translate("one\n", "--sample", option, value, "--format", "tsv")
        assert result.code in (0, 2)
        assert result.err.count("\n") == (1 if result.code else 0)

    @pytest.mark.parametrize("option", ["--max-source-tokens", "--batch-tokens"])
    @pytest.mark.parametrize("value", ["0", "-1", "1", "9" * 40, "nan"])
    def test_limits_at_their_edges(self, translate, option: str, value: str):
        result = translate("one\n\n", option, value)
        assert (result.code, result.out.count("\n")) in ((0, 2), (2, 0))

    def test_no_model(self, capsys: pytest.CaptureFixture[str]):
        assert main(["translate"]) == 2
        assert capsys.readouterr().err == "beamtrain: Missing option '--model'.\n"

    def test_not_a_model(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        assert main(["translate", "--model", str(tmp_path)]) == 2
        assert "not a run's folder, it has no model.json" in capsys.readouterr().err
        assert main(["translate", "--model", str(tmp_path / "none")]) == 2
        assert "there is no such folder; give a run's folder" in capsys.readouterr().err

    def test_broken_utf8_on_standard_input_names_the_line(self, translate):
        result = translate(b"one\ntwo\nth\xffree\nfour\n")
        assert (result.code, result.out) == (2, "one\ntwo\n")
        assert "standard input, line 3: not valid UTF-8 (byte 0xff at position 3)" in result.err

    def test_broken_utf8_in_a_file_is_found_before_the_work(self, translate, tmp_path: Path):
        (tmp_path / "in").write_bytes(b"one\n" * 1000 + b"\xc3\n")
        result = translate("", "--input", tmp_path / "in")
        assert (result.code, result.out) == (2, "")
        assert "in, line 1001: not valid UTF-8" in result.err

    def test_line_counts_differ(self, translate, tmp_path: Path):
        (tmp_path / "in").write_text("one\ntwo\n")
        (tmp_path / "prefixes").write_text("Ja\n")
        result = translate("", "--input", tmp_path / "in", "--prefix", tmp_path / "prefixes")
        assert result.code == 2
        assert "prefixes has 1 lines and" in result.err
        assert translate("one\ntwo\n", "--prefix", tmp_path / "prefixes").code == 2

    def test_no_command_like_it(self, capsys: pytest.CaptureFixture[str]):
        assert main(["translat"]) == 2
        assert "No such command 'translat'. Did you mean 'translate'" in capsys.readouterr().err


class TestProcess:
    """The real command, in a process of its own."""

    def test_pipe(self, transformer_run: Path):
        command = [*BEAMTRAIN, "translate", "--model", transformer_run, "--beam", "1"]
        result = subprocess.run(command, input="\n".join(["", *SENTENCES, ""]), capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.count("\n") == len(SENTENCES) + 1
        assert result.stdout.startswith("\n")

    def test_each_line_is_answered_at_once(self, transformer_run: Path):
        command = [*BEAMTRAIN, "translate", "--model", transformer_run, "--beam", "1", "--max-length", "5"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
            assert process.stdin is not None and process.stdout is not None
            for line in (b"\n", b"A man.\n", b"A girl.\n"):
                process.stdin.write(line)
                assert process.stdout.readline().endswith(b"\n")
            process.stdin.close()
            assert process.stdout.read() == b""
        assert process.returncode == 0

    def test_mistake(self, tmp_path: Path):
        command = [*BEAMTRAIN, "translate", "--model", tmp_path]
        result = subprocess.run(command, input="", capture_output=True, text=True)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("beamtrain: ") and result.stderr.count("\n") == 1

    def test_reader_that_stops_early(self, transformer_run: Path):
        script = " ".join(map(str, [*BEAMTRAIN, "translate", "--max-length", "2", "--model", transformer_run]))
        # so that Python tells, as it does unasked from 3.14 on, what fails when it ends
        telling = {**os.environ, "PYTHONDEVMODE": "1", "PYTHONWARNINGS": "ignore"}
        result = subprocess.run(
            ["bash", "-c", f"yes word | {script} | head -n 3"], capture_output=True, text=True, timeout=60, env=telling
        )
        assert result.stdout.count("\n") == 3
        assert result.stderr == ""

    def test_help_needs_no_torch(self):
        code = "import sys, beamtrain.cli as cli; cli.main(['translate', '--help']); print('torch' in sys.modules)"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "--length-penalty" in result.stdout
        assert result.stdout.endswith("False\n")
