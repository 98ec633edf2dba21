"""Which sentences stay in the batch, and where."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from beamtrain.search.decode import _filling_gaps


@given(going=st.lists(st.booleans(), min_size=1, max_size=12))
def test_the_sentences_that_go_on_fill_the_gaps_and_no_other_moves(going):
    rows = _filling_gaps(torch.tensor(going)).tolist()
    assert sorted(rows) == [sentence for sentence, goes_on in enumerate(going) if goes_on]
    assert all(rows[place] == place for place, goes_on in enumerate(going[: len(rows)]) if goes_on)
