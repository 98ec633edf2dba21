"""What a command needs by how many kernels oneDNN may keep: peak resident memory and processor time.

    python scripts/bench/kept_kernels.py -- beamtrain translate --model runs/quickstart --input FILE --output /dev/null
    python scripts/bench/kept_kernels.py --kept 1024 64 1 -- python scripts/train.py --config ...

The command is run with each number in turn, `--repeat` times, one thread; the figures are medians.
"""

import os
import subprocess
import sys
import tempfile
from statistics import median

from beamtrain.base.script_parser import ScriptParser

CAPACITIES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


def main() -> None:
    parser = ScriptParser(__doc__)
    parser.add_argument("--kept", type=int, nargs="+", default=[1024, 64], help="1024 is oneDNN's default")
    parser.add_argument("--repeat", type=int, choices=range(1, 100), default=3, metavar="TIMES")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    measured: dict[int, list[tuple[float, float]]] = {kept: [] for kept in options.kept}
    for _ in range(options.repeat):
        for kept, figures in measured.items():
            figures.append(resources(options.command, kept))
    print("| kernels kept | peak resident memory | processor time |\n|---:|---:|---:|")
    for kept, figures in measured.items():
        memory, seconds = (median(values) for values in zip(*figures, strict=True))
        print(f"| {kept:,} | {memory:,.0f} MiB | {seconds:.1f} s |")


def resources(command: list[str], kept: int) -> tuple[float, float]:
    """Peak resident memory in MiB and processor seconds of one run."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **dict.fromkeys(CAPACITIES, str(kept))}
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        except OSError as error:
            sys.exit(f"{command[0]}: {error.strerror}")
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            said.seek(0)
            sys.exit(f"{said.read().decode(errors='replace').rstrip()}\n{' '.join(command)} has failed")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
