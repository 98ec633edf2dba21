"""Under autocast the network computes in bfloat16, the search does not: its scores and shares are in float32."""

from dataclasses import replace

import pytest
import torch
from batches import batch_of
from networks import each_network, small

from beamtrain.objectives.beam_training import BeamTraining
from beamtrain.objectives.losses.expected_reward import ExpectedReward
from beamtrain.objectives.losses.optimal_transport import OptimalTransport
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.search.unroll.options import UnrollOptions

V, WORDS = 50, [8, 9, 10, 11, 12, 13] * 4
SOFT = UnrollOptions(3, 8, "soft", ("embeddings", "ancestry"))
SEARCHES = {
    "hard": UnrollOptions(3, 8, "hard"),
    "straight-through": UnrollOptions(3, 8),
    "all paths": UnrollOptions(3, 8, open_paths=("score_update", "accumulated_score", "embeddings", "ancestry")),
    "noise": UnrollOptions(3, 8, noise=1.0),
    "undecided": UnrollOptions(3, 8, undecided=0.5),
    "soft": SOFT,
    "window": replace(SOFT, window=2),
    "snapping": replace(SOFT, snapping=0.25),
}


@each_network
@pytest.mark.parametrize("options", SEARCHES.values(), ids=SEARCHES)
def test_a_step_can_be_taken(kind, options):
    network, batch = small(kind, V, layers=1), batch_of([([5, 6, 7], WORDS[:6]), ([9, 10], WORDS[:4])])
    with torch.autocast("cpu", torch.bfloat16):
        loss = BeamTraining(ExpectedReward(), unroll=options)(network, batch).total
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(x.grad is None or torch.isfinite(x.grad).all() for x in network.parameters())
    assert any(x.grad is not None and x.grad.any() for x in network.parameters())


@each_network
@pytest.mark.parametrize("options", SEARCHES.values(), ids=SEARCHES)
def test_what_accumulates_is_not_rounded(kind, options):
    network, batch = small(kind, V, layers=1), batch_of([([5, 6, 7], WORDS), ([9, 10], WORDS)])
    aim = BeamTraining(OptimalTransport(), unroll=options)
    with torch.autocast("cpu", torch.bfloat16):
        beams = aim.search(network, network.encode(batch.source), batch)
    assert beams.scores.dtype == beams.weights.dtype == beams.origins.dtype == torch.float32
    torch.testing.assert_close(beams.weights.sum(-1), torch.ones_like(beams.weights[..., 0]), atol=1e-5, rtol=0)
    if options.selection != "soft" and not options.noise:
        assert torch.equal(beams.slot_scores, beams.candidate_scores[..., :3])
    with torch.autocast("cpu", torch.bfloat16):
        rounded = Gleu().soft(beams, batch)
    torch.testing.assert_close(rounded, Gleu().soft(beams, batch))
