"""No operator mixes what it makes on the host with scores that lie on a GPU."""

import pytest
from topk_family import FAMILY, WITHOUT_GRADIENT, random_scores
from two_devices import OnHost, as_on_a_gpu


@pytest.mark.parametrize("name", FAMILY)
def test_a_function_of_the_family_stays_where_its_scores_lie(name):
    scores = random_scores(3, 9).requires_grad_()
    with as_on_a_gpu():
        found = FAMILY[name](scores)
        assert not isinstance(found, OnHost)
        if name not in WITHOUT_GRADIENT:
            found.sum().backward()
    assert name in WITHOUT_GRADIENT or scores.grad is not None
