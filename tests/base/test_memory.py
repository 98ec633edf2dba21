"""What a process on a CPU keeps for speed is bounded, whatever shapes it meets."""

import os
import subprocess
import sys

import pytest

GROWTH = """
import sys
import torch
from beamtrain.base.memory import keep_what_pays

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

if sys.argv[1] == "bounded":
    keep_what_pays()
weight = torch.zeros(1000, 64, dtype=torch.bfloat16)
largest = torch.nn.functional.linear(torch.zeros(2000, 64, dtype=torch.bfloat16), weight)
before = resident()
for rows in range(1000, 2000, 2):
    torch.nn.functional.linear(torch.zeros(rows, 64, dtype=torch.bfloat16), weight)
print(resident() - before)
"""


def growth(how: str, **environment: str) -> int:
    """KiB that 500 products of 500 shapes leave behind, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if "CACHE_CAPACITY" not in name}
    command = [sys.executable, "-c", GROWTH, how]
    return int(subprocess.run(command, env=kept | environment, capture_output=True, text=True, check=True).stdout)


@pytest.fixture(scope="module")
def unbounded() -> int:
    if not os.path.exists("/proc/self/status"):
        pytest.skip("the system does not say what is resident")
    if (found := growth("unbounded")) < 20_000:
        pytest.skip("this processor's library keeps little for a shape")
    return found


def test_kernels_of_shapes_that_were_met_do_not_pile_up(unbounded: int) -> None:
    assert growth("bounded") < unbounded / 2


def test_the_environment_has_the_last_word(unbounded: int) -> None:
    many = {name: "1024" for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")}
    assert growth("bounded", **many) > unbounded / 2
