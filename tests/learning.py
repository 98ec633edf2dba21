"""An objective that learns something itself."""

import torch
from torch import nn

from beamtrain.data.batch import Batch
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives.base import Loss, Objective
from beamtrain.objectives.teacher_forcing import TeacherForcing


class LearnedWeight(Objective):
    """nll exp(-s) + s for each token, with s learned (Kendall et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.teacher_forcing = TeacherForcing(0.0)

    def forward(self, network: Seq2Seq, batch: Batch, step: int = 0) -> Loss:
        loss = self.teacher_forcing(network, batch)
        return loss._replace(total=loss.total * (-self.log_scale).exp() + self.log_scale * loss.weight)
