"""Weights that are packed for a search, and attention of a few queries: the same numbers, up to rounding."""

import pytest
import torch
from networks import each_network, small
from torch.nn.functional import scaled_dot_product_attention

from beamtrain.data.tokenizer import EOS
from beamtrain.model import packing
from beamtrain.model.attention import FEW, attend
from beamtrain.model.packing import linear, packed_weights
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions


@pytest.mark.parametrize("rows", [1, 3, 70])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@torch.no_grad()
def test_the_product_is_the_same(rows: int, dtype: torch.dtype):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(rows, 2, 24).to(dtype), torch.randn(10, 24).to(dtype), torch.randn(10).to(dtype)
    for b in (bias, None):
        expected = linear(x, weight, b)
        with packed_weights():
            found = [linear(x, weight, b) for _ in range(2)]
        tolerance = 0.1 if dtype == torch.bfloat16 else 1e-5
        for each in found:
            torch.testing.assert_close(each, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.skipif(not packing.HAS_PACKING, reason="this build of PyTorch has no oneDNN")
@torch.no_grad()
def test_a_weight_is_packed_once_and_forgotten_at_the_end(monkeypatch):
    packed = []
    reorder = torch.ops.mkldnn._reorder_linear_weight
    monkeypatch.setattr(packing, "_reordered", lambda weight: packed.append(weight) or reorder(weight, packing.ROWS))
    weight = torch.randn(4, 8)
    for _ in range(2):
        with packed_weights(), packed_weights():
            before = linear(torch.ones(1, 8), weight), linear(torch.ones(1, 8), weight)
        torch.testing.assert_close(*before)
        weight += 1
    assert len(packed) == 2
    torch.testing.assert_close(linear(torch.ones(1, 8), weight)[0], weight.sum(1))


def test_what_needs_a_gradient_is_not_packed():
    weight = torch.randn(4, 8, requires_grad=True)
    with packed_weights():
        linear(torch.ones(1, 8), weight).sum().backward()
    torch.testing.assert_close(weight.grad, torch.ones(4, 8))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("queries", [1, 5, FEW])
@torch.no_grad()
def test_attention_of_few_queries(queries: int, masked: bool):
    torch.manual_seed(0)
    q, k, v = (torch.randn(3, length, 2, 8).transpose(1, 2) for length in (queries, 7, 7))
    mask = (torch.rand(3, 1, queries, 7) > 0.5) | torch.eye(queries, 7, dtype=torch.bool) if masked else None
    if masked:
        mask[..., 0] = True
    torch.testing.assert_close(attend(q, k, v, mask), scaled_dot_product_attention(q, k, v, mask))


@each_network
def test_a_search_finds_the_same(kind: str):
    network = small(kind, 40)
    source, options = torch.tensor([[5, 6, 7, EOS], [9, 8, EOS, 0]]), SearchOptions(beam_size=3, n_best=3)
    expected = beam_search(network, source, options)
    with packed_weights():
        found = beam_search(network, source, options)
    for one, two in zip(expected, found, strict=True):
        assert [each.tokens for each in one] == [each.tokens for each in two]
        assert [each.score for each in one] == pytest.approx([each.score for each in two], abs=1e-5)
