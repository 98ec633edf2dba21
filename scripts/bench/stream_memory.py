"""Memory of `beamtrain translate` on a stream, and how much of it was read before the first translation came back.

    python scripts/bench/stream_memory.py --model runs/quickstart --lines 10000 100000

Lines of the phrasebook, again and again, through standard input, greedily. One row for each number of lines.
"""

import gzip
import os
import subprocess
import sys
import threading
from itertools import cycle, islice

from beamtrain.base.assets import folder
from beamtrain.base.script_parser import ScriptParser


def main() -> None:
    parser = ScriptParser(__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--lines", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    print("lines  peak resident memory  processor time  lines handed over before the first came back")
    for count in arguments.lines:
        peak, seconds, ahead = measure(arguments.model, count, arguments.processes)
        print(f"{count:,}  {peak / 2**20:.0f} MiB  {seconds:.0f} s  {ahead:,}", flush=True)


def measure(model: str, count: int, processes: int) -> tuple[int, float, int]:
    """Peak resident bytes and processor seconds of the command (its own, not its processes'), and lines read ahead."""
    command = [sys.executable, "-m", "beamtrain.cli", "translate", "--model", model, "--beam", "1"]
    handed_over = 0

    def feed() -> None:
        nonlocal handed_over
        assert process.stdin is not None
        with gzip.open(folder("data") / "phrasebook" / "train.en.gz", "rb") as file:
            text = file.read().splitlines(keepends=True)
        for line in islice(cycle(text), count):
            process.stdin.write(line)
            handed_over += 1
        process.stdin.close()

    process = subprocess.Popen([*command, "--processes", str(processes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    threading.Thread(target=feed, daemon=True).start()
    process.stdout.readline()
    ahead = handed_over
    received = 1 + sum(1 for _ in process.stdout)
    _, status, usage = os.wait4(process.pid, 0)
    if status or received != count:
        raise SystemExit(f"the command gave {received:,} lines for {count:,} and ended with status {status}")
    return usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime, ahead


if __name__ == "__main__":
    main()
