"""Selection of the best candidates: exact, and deterministic among equals."""

import math

import pytest
import torch

from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.search.step import best_candidates, stable_topk


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 7), (2, 5, 130), (4, 2, 6000), (1, 640), (2, 641)])
@pytest.mark.parametrize("count", [1, 5])
def test_stable_topk_equals_a_stable_sort_with_many_ties(shape, count, dtype):
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-4, 5, shape, generator=generator).to(dtype) / 4
    values[values == 0] *= torch.where(torch.rand((values == 0).sum(), generator=generator) < 0.5, -1, 1).to(dtype)
    values[..., :2] = -math.inf
    expected, places = values.sort(dim=-1, descending=True, stable=True)
    best, found = stable_topk(values, count)
    assert torch.equal(best, expected[..., :count])
    assert torch.equal(found, places[..., :count])


def test_stable_topk_of_distinct_values_equals_torch():
    values = torch.randn(8, 5, 4001, generator=torch.Generator().manual_seed(1))
    best, places = stable_topk(values, 9)
    expected = values.topk(9)
    assert torch.equal(best, expected.values)
    assert torch.equal(places, expected.indices)


def test_stable_topk_tells_apart_float64_values_that_are_equal_in_float32():
    values = torch.tensor([1.0, 1.0 + 1e-12], dtype=torch.float64)
    assert stable_topk(values, 1)[1].item() == 1


def test_a_finished_slot_offers_pad_unchanged_and_an_open_one_its_tokens():
    log_probs = torch.log(torch.tensor([[[0, 0, 0.1, 0.9], [0, 0, 0.6, 0.4]]]))  # (1, 2, 4)
    going, absorbed = torch.tensor([[-math.inf, -1.0]]), torch.tensor([[-1.7, -math.inf]])
    chosen = best_candidates(log_probs, going, absorbed, 3)
    assert chosen.tokens.tolist() == [[EOS, PAD, 3]]
    assert chosen.parents.tolist() == [[1, 0, 1]]
    assert chosen.finished.tolist() == [[True, True, False]]
    torch.testing.assert_close(chosen.scores, torch.tensor([[-1 + math.log(0.6), -1.7, -1 + math.log(0.4)]]))
    torch.testing.assert_close(chosen.log_probs, torch.tensor([[math.log(0.6), 0.0, math.log(0.4)]]))


def test_a_slot_may_be_partly_finished():
    log_probs = torch.log(torch.tensor([[[0, 0, 0.5, 0.5]]]))  # (1, 1, 4)
    mass = 0.7
    chosen = best_candidates(
        log_probs, going=torch.tensor([[math.log(1 - mass)]]), absorbed=torch.tensor([[math.log(mass)]]), count=3
    )
    assert chosen.tokens.tolist() == [[PAD, EOS, 3]]
    torch.testing.assert_close(chosen.scores.exp(), torch.tensor([[0.7, 0.15, 0.15]]))


def test_ties_go_to_the_lower_slot_then_to_the_lower_token_for_every_count():
    log_probs = torch.full((1, 3, 6), math.log(0.25))
    log_probs[..., :2] = -math.inf
    going, absorbed = torch.zeros(1, 3), torch.full((1, 3), -math.inf)
    for count in (1, 4, 7, 12):
        chosen = best_candidates(log_probs, going, absorbed, count)
        order = [(slot, token) for slot in range(3) for token in range(2, 6)][:count]
        assert list(zip(chosen.parents[0].tolist(), chosen.tokens[0].tolist(), strict=True)) == order


@pytest.mark.parametrize("V", [5, 64, 129, 1000])
@pytest.mark.parametrize(("K", "count"), [(1, 4), (3, 3), (4, 20)])
def test_best_candidates_equal_a_stable_sort_of_all_of_them_with_many_ties(V, K, count):
    generator = torch.Generator().manual_seed(V + K)
    B = 50
    log_probs = -torch.randint(1, 9, (B, K, V), generator=generator) / 2
    log_probs[..., :2] = -math.inf
    scores = -torch.randint(0, 9, (B, K), generator=generator) / 2
    finished = torch.rand(B, K, generator=generator) < 0.3
    going, absorbed = scores.masked_fill(finished, -math.inf), scores.masked_fill(~finished, -math.inf)
    chosen = best_candidates(log_probs, going, absorbed, count)

    every = torch.cat((absorbed, (going.unsqueeze(-1) + log_probs).flatten(1)), dim=1)  # (B, K + K * V)
    expected, places = every.sort(dim=-1, descending=True, stable=True)
    assert torch.equal(chosen.scores, expected[:, :count])
    exists = chosen.scores > -math.inf
    slots = torch.where(places < K, places, (places - K) // V)[:, :count]
    tokens = torch.where(places < K, PAD, (places - K) % V)[:, :count]
    assert torch.equal(chosen.parents[exists], slots[exists])
    assert torch.equal(chosen.tokens[exists], tokens[exists])
    of_token = log_probs[torch.arange(B).unsqueeze(1), slots, tokens].masked_fill(places[:, :count] < K, 0.0)
    assert torch.equal(chosen.log_probs[exists], of_token[exists])
