"""Under autocast the network computes in bfloat16, the search does not: its scores and shares are in float32."""

import pytest
import torch
from batches import batch_of
from networks import each_network, small

from beamtrain.objectives.beam_training import BeamTraining
from beamtrain.objectives.losses.optimal_transport import OptimalTransport
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.search.unroll.options import UnrollOptions

V, WORDS = 50, [8, 9, 10, 11, 12, 13] * 4
SEARCHES = [UnrollOptions(3, 8, "hard"), UnrollOptions(3, 8), UnrollOptions(3, 8, "soft", ("embeddings", "ancestry"))]


@each_network
@pytest.mark.parametrize("options", SEARCHES, ids=lambda options: options.selection)
def test_what_accumulates_is_not_rounded(kind, options):
    network, batch = small(kind, V, layers=1), batch_of([([5, 6, 7], WORDS), ([9, 10], WORDS)])
    aim = BeamTraining(OptimalTransport(), unroll=options)
    with torch.autocast("cpu", torch.bfloat16):
        beams = aim.search(network, network.encode(batch.source), batch)
    assert beams.scores.dtype == beams.weights.dtype == beams.origins.dtype == torch.float32
    torch.testing.assert_close(beams.weights.sum(-1), torch.ones_like(beams.weights[..., 0]), atol=1e-5, rtol=0)
    if options.selection != "soft":
        assert torch.equal(beams.slot_scores, beams.candidate_scores[..., :3])
    with torch.autocast("cpu", torch.bfloat16):
        rounded = Gleu().soft(beams, batch)
    torch.testing.assert_close(rounded, Gleu().soft(beams, batch))
