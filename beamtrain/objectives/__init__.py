"""What training minimises, by the short names that configs use.

base.py             the contract
teacher_forcing.py  maximum likelihood; cross_entropy.py, its loss in little memory
mixture.py          that, and a part that sees what the network says by itself: what the following are
beam_training.py    the search in the loop; annealing.py, a temperature that falls meanwhile
soft_teacher_forcing.py     its losses on what the network says after gold prefixes
sampled_risk.py     minimum risk over samples
self_critical.py    REINFORCE with the greedy output as its baseline; samples.py, what both draw
gumbel_greedy.py    a sampled output whose tokens pass the reward's gradient on
parameter_search.py search among weights near by the task loss; directions.py, which ones
scheduled_sampling.py    teacher forcing that reads its own words now and then; gold_share.py, how often
losses/             of beam training: what the search finds, as a number to minimise
rewards/            how good hypotheses are, for all that maximises that
"""

from beamtrain.objectives.annealing import Annealing
from beamtrain.objectives.base import Loss, Objective
from beamtrain.objectives.beam_training import BeamTraining
from beamtrain.objectives.gold_share import GoldShare
from beamtrain.objectives.gumbel_greedy import GumbelGreedy
from beamtrain.objectives.losses.aligned_cross_entropy import AlignedCrossEntropy
from beamtrain.objectives.losses.bag_of_tokens import BagOfTokens
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.objectives.losses.descendant_credit import DescendantCredit
from beamtrain.objectives.losses.expected_reward import ExpectedReward
from beamtrain.objectives.losses.gold_margin import GoldMargin
from beamtrain.objectives.losses.minimum_risk import MinimumRisk
from beamtrain.objectives.losses.optimal_completion import OptimalCompletion
from beamtrain.objectives.losses.optimal_transport import OptimalTransport
from beamtrain.objectives.losses.position_cross_entropy import PositionCrossEntropy
from beamtrain.objectives.losses.soft_survival import SoftSurvival
from beamtrain.objectives.losses.weighted_sum import WeightedSum
from beamtrain.objectives.parameter_search import ParameterSearch
from beamtrain.objectives.rewards.base import Reward
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.objectives.rewards.linear_bleu import LinearBleu
from beamtrain.objectives.rewards.ngram_reward import NgramReward
from beamtrain.objectives.rewards.sentence_bleu import SentenceBleu
from beamtrain.objectives.rewards.sentence_chrf import SentenceChrf
from beamtrain.objectives.rewards.sentence_ter import SentenceTer
from beamtrain.objectives.rewards.text_reward import TextReward
from beamtrain.objectives.sampled_risk import SampledRisk
from beamtrain.objectives.scheduled_sampling import ScheduledSampling
from beamtrain.objectives.self_critical import SelfCritical
from beamtrain.objectives.soft_teacher_forcing import SoftTeacherForcing
from beamtrain.objectives.teacher_forcing import TeacherForcing

__all__ = [
    "AlignedCrossEntropy",
    "Annealing",
    "BagOfTokens",
    "BeamLoss",
    "BeamTraining",
    "DescendantCredit",
    "ExpectedReward",
    "Gleu",
    "GoldMargin",
    "GoldShare",
    "GumbelGreedy",
    "LinearBleu",
    "Loss",
    "MinimumRisk",
    "NgramReward",
    "Objective",
    "OptimalCompletion",
    "OptimalTransport",
    "ParameterSearch",
    "PositionCrossEntropy",
    "Reward",
    "SampledRisk",
    "ScheduledSampling",
    "SelfCritical",
    "SentenceBleu",
    "SentenceChrf",
    "SentenceTer",
    "SoftSurvival",
    "SoftTeacherForcing",
    "TeacherForcing",
    "TextReward",
    "WeightedSum",
]
