import torch

from beamtrain.data.tokenizer import PAD
from beamtrain.search.prefix_tree import PrefixTree


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
    nothing, _ = tree.without_others(torch.zeros_like(wanted))
    assert nothing.tokens.tolist() == [[PAD], [PAD]]
