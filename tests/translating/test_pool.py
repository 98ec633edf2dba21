"""Several processes translate as one does: the same lines in the same order, and one end for all of them."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from tiny import SENTENCES, Echo

from beamtrain.base.errors import UserError
from beamtrain.cli import main
from beamtrain.data.tokenizer import Tokenizer
from beamtrain.search.options import SearchOptions
from beamtrain.translating.device import device_of_process
from beamtrain.translating.pool import TranslatorPool
from beamtrain.translating.translator import Translator

BEAMTRAIN = [sys.executable, "-m", "beamtrain.cli"]


def echo(folder: Path, rank: int) -> Translator:
    assert rank in (0, 1)
    tokenizer = Tokenizer.load(folder)
    return Translator(Echo(tokenizer.target.vocab_size), tokenizer, SearchOptions(beam_size=1))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer):
    folder = tmp_path_factory.mktemp("echo")
    tokenizer.save(folder)
    with TranslatorPool(partial(echo, folder), 2) as pool:
        yield pool


class TestPool:
    def test_windows_come_back_in_order_and_few_are_read_ahead(self, pool: TranslatorPool):
        read = []

        def windows():
            for number in range(1000):
                read.append(number)
                yield [f"line {number} {place}" for place in range(1 + 37 * (number % 2))]  # short and long in turn

        translated = pool.translate_windows(windows())
        texts, ahead = [], []
        for _ in range(30):
            texts += [translation.text for translation in next(translated)]
            ahead.append(len(read))
        assert texts == [f"line {n} {place}" for n in range(30) for place in range(1 + 37 * (n % 2))]
        assert ahead == [4 + done for done in range(30)]

    def test_nothing_is_read_ahead_when_that_would_wait(self, pool: TranslatorPool):
        read = []

        def windows():
            for number in range(3):
                read.append(number)
                yield [str(number)]

        translated = pool.translate_windows(windows(), ready=lambda: False)
        for number in range(3):
            assert [translation.text for translation in next(translated)] == [str(number)]
            assert len(read) == number + 1

    def test_what_reading_raises_comes_after_the_lines_before_it(self, pool: TranslatorPool):
        def windows():
            yield ["one", "two"]
            yield ["three"]
            raise UserError("line 4 is broken")

        translated = pool.translate_windows(windows())
        assert [[translation.text for translation in next(translated)] for _ in range(2)] == [["one", "two"], ["three"]]
        with pytest.raises(UserError, match="line 4 is broken"):
            next(translated)

    def test_lines_and_prefixes_keep_their_numbers(self, pool: TranslatorPool):
        translated = pool.translate_windows([["a", "b"], ["c"]], ["X", "", "Y", "Z"])
        assert [(t.line, t.text[0]) for t in next(translated)] == [(1, "X"), (2, "b")]
        assert [(t.line, t.text[0]) for t in next(translated)] == [(3, "Y")]
        with pytest.raises(UserError, match="the input ends after line 3, but not the prefixes"):
            next(translated)


def test_the_command_prints_what_one_process_prints(transformer_run: Path, tmp_path: Path, capfdbinary):
    lines = [f"{SENTENCES[number % 6]} {number}" if number % 7 else "" for number in range(150)]
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in [*lines, "word " * 20_000]))
    arguments = ["--model", transformer_run, "--input", tmp_path / "in", "--beam", "2", "--max-length", "12",
                 "--format", "jsonl", "--attention", "--nbest", "2"]  # fmt: skip
    command = ["translate", *map(str, arguments)]
    assert main(command) == 0
    one = capfdbinary.readouterr()
    assert main([*command, "--processes", "2"]) == 0
    two = capfdbinary.readouterr()
    assert two.out == one.out and one.out.count(b"\n") > 150
    assert two.err == one.err and b"line 151: source of" in two.err


def workers_of(process: subprocess.Popen) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def translating(run: Path, *options: str) -> subprocess.Popen:
    command = [*BEAMTRAIN, "translate", "--model", str(run), "--beam", "1", "--max-length", "5", "--processes", "2"]
    return subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, bufsize=0, start_new_session=True)  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
def test_each_line_is_answered_at_once_until_a_process_is_killed(transformer_run: Path):
    with translating(transformer_run) as process:
        for line in (b"\n", b"A man.\n", b"A girl.\n"):
            process.stdin.write(line)
            assert process.stdout.readline().endswith(b"\n")
        os.kill(workers_of(process)[0], signal.SIGKILL)
        process.stdin.write(b"A man.\n" * 3)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.decode() == (
        "beamtrain: one of the 2 processes died after line 3, perhaps for want of memory; "
        "take fewer --processes, or fewer --batch-tokens\n"
    )
    assert out == b""


@pytest.mark.slow
def test_an_interrupt_ends_all_quietly(transformer_run: Path):
    with translating(transformer_run) as process:
        process.stdin.write(b"A man.\n")
        process.stdout.readline()
        workers = workers_of(process)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == b""
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
def test_a_killed_command_leaves_no_process(transformer_run: Path):
    with translating(transformer_run) as process:
        process.stdin.write(b"A man.\n")
        process.stdout.readline()
        workers = workers_of(process)
        process.kill()
        process.communicate(timeout=60)  # ends when all that hold its output have ended
    assert workers


@pytest.mark.slow
def test_a_reader_that_stops_early(transformer_run: Path):
    script = " ".join(map(str, [*BEAMTRAIN, "translate --max-length 2 --processes 2 --model", transformer_run]))
    result = subprocess.run(
        ["bash", "-c", f"yes word | {script} | head -n 3"], capture_output=True, text=True, timeout=120
    )
    assert result.stdout.count("\n") == 3
    assert result.stderr == ""


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [device_of_process("auto", rank) for rank in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert device_of_process("cuda:1", 0) == "cuda:1"
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert device_of_process("auto", 1) == "auto"
