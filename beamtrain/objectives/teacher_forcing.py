"""Maximum likelihood with the gold prefix: what every sequence-to-sequence model starts from."""

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives.base import Loss, Objective
from beamtrain.objectives.cross_entropy import smoothed_cross_entropy


class TeacherForcing(Objective):
    """Cross-entropy of each next token given the gold tokens before it, with label smoothing (Szegedy et al. 2016).

    The target distribution gives 1 - eps to the gold token and spreads eps evenly over all V tokens, the gold one
    included, but not what the network never says (`Seq2Seq.unsaid`):

        loss = (1 - eps) * -log p(gold)  +  eps * -(1/V) sum_v log p(v)

    PyTorch's `cross_entropy(label_smoothing=eps)` has this convention; fairseq spreads eps over the other V - 1 tokens.

    Args:
        label_smoothing: eps, a probability.

    Raises:
        UserError: `label_smoothing` lies outside [0, 1).
    """

    def __init__(self, label_smoothing: float = 0.1) -> None:
        super().__init__()
        check_smoothing(label_smoothing)
        self.label_smoothing = label_smoothing

    def forward(self, network: Seq2Seq, batch: Batch, step: int = 0) -> Loss:
        memory = network.encode_counted(batch.source, batch.source_lengths)
        hidden = network.decode(memory, batch.target_in)  # (B, T, D)
        logits = network.logits(batch.at_targets(hidden))  # (B, T, D) -> (N, D) -> (N, V)
        gold = batch.at_targets(batch.target_out)  # (N,)
        smoothed, likelihood = smoothed_cross_entropy(logits, gold, self.label_smoothing, network.unsaid)
        return Loss(smoothed, batch.num_target_tokens, {"nll": likelihood})


def check_smoothing(label_smoothing: float) -> None:
    """Raises UserError unless it is a probability below 1."""
    if not 0 <= label_smoothing < 1:
        raise UserError(f"label_smoothing is {label_smoothing}, but must be at least 0 and below 1; 0.1 is usual")
