"""What training and search ask of an encoder-decoder network."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from beamtrain.base.errors import UserError
from beamtrain.model.packing import linear
from beamtrain.model.state import DecoderState


class Memory(NamedTuple):
    """An encoded batch of source sentences."""

    states: Tensor  # (B, S, D)
    mask: Tensor  # (B, S) True at real tokens, False at padding


class Seq2Seq(nn.Module, ABC):
    """An autoregressive model of a target sentence given a source sentence.

    The same network is read in two ways that agree to rounding: `decode` scores all positions of a given target at
    once (training), `step` advances K beams by one position (search, and training with the search in the loop).
    """

    vocab_size: int  # V, of the target side
    unsaid: tuple[int, ...] = ()  # tokens whose logit is -inf
    first_token: int | None = None  # the only one that a target may begin with, such as the code of its language
    max_positions: int | None = None  # the most tokens of a source or a target, EOS included; None: any number

    @abstractmethod
    def encode(self, source: Tensor) -> Memory:
        """Encode source ids (B, S), padded with PAD."""

    def encode_counted(self, source: Tensor, lengths: Tensor) -> Memory:
        """The same of sources whose numbers of tokens (B,) are known to the host, for networks that have to ask."""
        return self.encode(source)

    @abstractmethod
    def decode(self, memory: Memory, target_in: Tensor) -> Tensor:
        """Decoder outputs (B, T, D) for all positions of the target ids (B, T), which start with BOS.

        Scheduled sampling gives vectors (B, T, D) instead, as for `step`.
        """

    def logits(self, hidden: Tensor) -> Tensor:
        """Unnormalised log-probabilities (..., V) of the next token, from decoder outputs (..., D)."""
        return linear(hidden, self.output_weight, self.output_bias)

    @property
    def has_own_logits(self) -> bool:
        """Whether a subclass computes its logits otherwise: the search in the loop is then differentiated by autograd
        alone, which is slower than with the product's gradient written out."""
        return type(self).logits is not Seq2Seq.logits

    @property
    def output_weight(self) -> Tensor:
        """The matrix (V, D) of the logits."""
        raise UserError(f"{type(self).__name__} cannot be trained with the search in the loop: it has no output matrix")

    @property
    def output_bias(self) -> Tensor | None:
        """What is added to the logits: (V,), -inf for the `unsaid`; no parameter."""
        return None

    @abstractmethod
    def start(self, memory: Memory, beams: int) -> DecoderState:
        """The state before the first position, with `beams` (K) beams for each sentence.

        Training with the search in the loop differentiates the steps of any network but the Transformer as they were
        made: a state that is written in place would break their graph.
        """

    @abstractmethod
    def step(self, inputs: Tensor, state: DecoderState) -> Tensor:
        """Decoder outputs (B, K, D) for one more position of every beam; `state` is advanced in place.

        K is that of `inputs`: a search may begin with one beam and go on with more, see `DecoderState.reorder`.

        `inputs` are token ids (B, K), or vectors (B, K, D) in the space of the embedding table's rows, such as a
        convex mixture of rows.

        A beam whose token is EOS or PAD has ended: what it gets is any vector, and need not be computed.
        """

    def start_soft(self, memory: Memory, beams: int) -> DecoderState:
        """The same for a search that mixes beams and is differentiated."""
        raise UserError(f"{type(self).__name__} cannot be searched softly: it has no state that mixes beams")

    def embed(self, tokens: Tensor) -> Tensor:
        """The embedding table's rows (..., D) of target ids (...), for a search that mixes them."""
        raise UserError(f"{type(self).__name__} cannot be searched softly: it has no token vectors to mix")
