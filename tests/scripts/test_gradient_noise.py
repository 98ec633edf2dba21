"""Signal and noise of a gradient by kind of parameter: each is of one kind, and what is known is found."""

import sys
from pathlib import Path

import pytest
import torch
from networks import each_network, small

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments"))

from gradient_noise import kinds, shares


@each_network
def test_each_parameter_is_of_one_kind(kind: str) -> None:
    network = small(kind, 11)
    found = kinds(network)
    counted = torch.stack([chosen for name, chosen in found.items() if name != "all"]).sum(0)
    assert len(counted) == sum(each.numel() for each in network.parameters())
    assert (counted == 1).all() and found["all"].all()
    assert ("norms" in found) == (kind == "transformer")
    assert found["embeddings"].sum() == 11 * 16


def test_signal_is_what_both_halves_have() -> None:
    generator = torch.Generator().manual_seed(1)
    common, first, second = (torch.randn(40_000, generator=generator) for _ in range(3))
    taught = torch.arange(40_000) < 10_000
    first, second = (common * taught + 2 * noise for noise in (first, second))
    million, squared, signal, norm, alike = map(float, shares(first, second, taught))
    assert million == 0.01
    assert squared == pytest.approx(5 / 17, abs=0.02)
    assert signal == pytest.approx(1, abs=0.05)
    assert norm == pytest.approx(100, rel=0.05)
    assert alike == pytest.approx(1 / 5, abs=0.03)
