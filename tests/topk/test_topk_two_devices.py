"""No operator mixes what it makes on the host with scores that lie on a GPU."""

import pytest
import torch
from topk_family import FAMILY, WITHOUT_GRADIENT, random_scores
from two_devices import OnHost, as_on_a_gpu


@pytest.mark.parametrize("name", FAMILY)
def test_a_function_of_the_family_stays_where_its_scores_lie(name):
    there, here = (random_scores(3, 9).requires_grad_() for _ in range(2))
    with as_on_a_gpu():
        found = FAMILY[name](there)
        assert not isinstance(found, OnHost)
        if name not in WITHOUT_GRADIENT:
            found.square().sum().backward()
    expected = FAMILY[name](here)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    if name not in WITHOUT_GRADIENT:
        expected.square().sum().backward()
        torch.testing.assert_close(there.grad, here.grad, atol=1e-5, rtol=1e-5)
