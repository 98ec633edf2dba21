import torch

from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.search.unroll.prefix_tree import PrefixTree


def test_the_smallest_tree_has_the_wanted_prefixes_with_their_beginnings_and_nothing_else():
    own = torch.eye(2, dtype=torch.bool)
    first = own.expand(2, 2, 2)
    both_of_first = torch.stack([torch.cat((own[:1].expand(2, 2), own), 1), torch.cat((own, own), 1)])  # (B, K, 2 K)
    tree = PrefixTree.of_search(
        [torch.tensor([[4, 5], [6, 7]]), torch.tensor([[8, 9], [10, 11]])], [first, both_of_first]
    )
    assert tree.depths.tolist() == [[0, 0, 1, 1]] * 2
    wanted = torch.tensor([[False, False, True, True], [False, False, False, True]])
    small, places = tree.without_others(wanted)
    assert small.tokens.tolist() == [[4, 8, 9], [7, 11, PAD]]
    assert small.depths[:, :2].tolist() == [[0, 1], [0, 1]] and small.depths[0, 2] == 1
    assert places[0, 2:].tolist() == [1, 2] and places[1, 3] == 1
    assert small.visible[0].tolist() == [[True, False, False], [True, True, False], [True, False, True]]
    assert small.visible[1, :2, :2].tolist() == [[True, False], [True, True]]
    assert small.visible.any(2).all()  # what fills up sees itself, so that its attention is a number
    assert tree.rows.tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]] and small.rows[:, :2].tolist() == [[0, 4], [3, 7]]
    nothing, _ = tree.without_others(torch.zeros_like(wanted))
    assert nothing.tokens.tolist() == [[PAD], [PAD]]


def test_rows_are_counted_without_the_slots_that_had_ended():
    own = torch.eye(2, dtype=torch.bool)
    first = own.expand(2, 2, 2)
    tokens = [torch.tensor([[4, 5], [6, 7]]), torch.tensor([[EOS, 5], [6, PAD]]), torch.tensor([[PAD, 5], [6, 7]])]
    tree = PrefixTree.of_search(tokens, [torch.cat([first] * t, 2) for t in (1, 2, 3)])
    assert tree.rows[0, [0, 1, 3, 5]].tolist() == [0, 1, 4, 6]
    assert tree.rows[1, [0, 1, 2, 4, 5]].tolist() == [2, 3, 5, 7, 8]
    assert tree.rows.min() >= 0 and tree.rows.max() <= 8  # what had ended names some row that there is
