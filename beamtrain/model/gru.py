"""A recurrent encoder-decoder with attention: gated recurrent units (Cho et al. 2014), many layers if asked for.

The encoder reads the source in both directions (Bahdanau et al. 2015, section 3.2). The decoder attends from its lowest
layer, and what it finds goes to all layers above (GNMT, Wu et al. 2016, section 3), so nothing of a later layer
enters an earlier one and each layer reads a whole given target in one call:

    x^0_t = sqrt(D) E[y_(t-1)]
    x^1_t = h^1_t = GRU_1(x^0_t, h^1_(t-1))
    c_t   = W_c sum_s softmax_s(q_t . k_s / sqrt(D)) v_s        q_t = W_q x^1_t,  k_s = W_k m_s,  v_s = W_v m_s
    h^l_t = GRU_l([x^(l-1)_t; c_t], h^l_(t-1)),  x^l_t = x^(l-1)_t + h^l_t        l = 2, ..., L
    o_t   = tanh(W_o [x^L_t; c_t]),  logits = E o_t

with m_s the encoder's states; each head has such a sum over its D/H entries. The score is Luong et al. 2015's
"general" one (equation 8), scaled as in a Transformer, and the output is theirs too (equation 5); its matrix is the
table of token vectors (Press and Wolf 2017). The first hidden vectors are h_0 = tanh(W mean_s m_s), as in Nematus
(Sennrich et al. 2017).

This deviates from Bahdanau et al. 2015, the model of Xie et al. 2020's experiments, where an additive attention from
the *previous* hidden vector enters the only GRU: that is a recurrence through the attention, which no single call can
run over all positions. With `decoder_layers: 1` it is Luong's global attention without input feeding.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import PAD
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.model.dropout import Dropout
from beamtrain.model.embedding import TokenEmbedding, token_table
from beamtrain.model.layers import CrossAttention, check_width, initialise
from beamtrain.model.recurrent_state import RecurrentState
from beamtrain.model.slots import OpenSlots
from beamtrain.model.state import DecoderState


class GRU(nn.GRU):
    """PyTorch's, which also has a gradient in evaluation mode on a GPU, where cuDNN gives one in training mode only.

    Of that mode nothing but the dropout between layers is seen, so it is switched on without it.
    """

    def forward(self, *inputs: Any) -> Any:
        if self.training or not torch.is_grad_enabled():
            return super().forward(*inputs)
        dropout, self.dropout, self.training = self.dropout, 0.0, True
        try:
            return super().forward(*inputs)
        finally:
            self.dropout, self.training = dropout, False


class Encoder(nn.Module):
    """A GRU from left to right and one from right to left, half of the width each."""

    def __init__(self, D: int, layers: int, dropout: float) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.gru = GRU(D, D // 2, layers, batch_first=True, dropout=between, bidirectional=True)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x (B, S, D), lengths (B,) in the host's memory -> (B, S, D), 0 beyond the lengths"""
        order = lengths.argsort(descending=True)
        packed = pack_padded_sequence(x[_moved(order, x.device)], lengths[order], batch_first=True)
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=x.size(1))
        return self.dropout(states[_moved(order.argsort(), x.device)])


def _moved(index: Tensor, device: torch.device) -> Tensor:
    """From the host's memory to the device; PyTorch's own packing of unsorted rows would wait for a GPU."""
    return index.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else index.to(device)


class Decoder(nn.Module):
    """A GRU that attends, and GRUs above it that read what was attended to."""

    def __init__(self, D: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.lowest = GRU(D, D, batch_first=True)
        self.attention = CrossAttention(D, heads, dropout=0.0)
        self.upper = nn.ModuleList(GRU(2 * D, D, batch_first=True) for _ in range(layers - 1))
        self.output = nn.Linear(2 * D, D)
        self.beginning = nn.Linear(D, layers * D)
        self.dropout = Dropout(dropout)

    def first_hidden(self, memory: Memory) -> Tensor:
        """tanh(W m) of the mean m of the source's real positions; padding is 0: (L, B, D)"""
        mean = memory.states.sum(1) / memory.mask.sum(1, keepdim=True)  # (B, S, D) -> (B, D)
        return self.beginning(mean).tanh().unflatten(1, (-1, mean.size(1))).transpose(0, 1).contiguous()

    def forward(self, x: Tensor, hidden: Tensor, attend: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Inputs x (N, T, D) from hidden vectors (L, N, D) on -> outputs (N, T, D) and the last hidden vectors.

        `attend` gives the contexts (N, T, D) for the outputs of the lowest layer.
        """
        x, last = self.lowest(x, hidden[:1])  # (N, T, D), (1, N, D)
        x, lasts = self.dropout(x), [last]
        context = attend(x)
        for layer, before in zip(self.upper, hidden[1:].unsqueeze(1), strict=True):
            more, last = layer(torch.cat((x, context), dim=2), before)
            x = x + self.dropout(more)
            lasts.append(last)
        return self.dropout(self.output(torch.cat((x, context), dim=2)).tanh()), torch.cat(lasts)


class GRUEncoderDecoder(Seq2Seq):
    """A GRU encoder-decoder with attention.

    Args:
        vocab_size: V, the number of subwords of the target side.
        source_vocab_size: subwords of the source side; None when both sides share one vocabulary, and then one
            embedding table.
        width: D, the size of a token's vector and of a hidden vector. Even, and a multiple of `heads`.
        heads: attention heads.
        encoder_layers: layers of the encoder, each in both directions.
        decoder_layers: layers of the decoder; the lowest attends to the source.
        dropout: the probability that an entry of an embedding or of a layer's output is dropped.

    Raises:
        UserError: `width` is odd or no multiple of `heads`, or there is no layer.
    """

    def __init__(
        self,
        vocab_size: int,
        source_vocab_size: int | None = None,
        width: int = 512,
        heads: int = 1,
        encoder_layers: int = 1,
        decoder_layers: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        check_width(width, heads)
        for name, layers in (("encoder_layers", encoder_layers), ("decoder_layers", decoder_layers)):
            if layers < 1:
                raise UserError(f"{name} is {layers}; it must be 1 or more")
        self.vocab_size = vocab_size
        self.target_embedding = TokenEmbedding(token_table(vocab_size, width), dropout)
        self.source_embedding = (
            self.target_embedding
            if source_vocab_size is None
            else TokenEmbedding(token_table(source_vocab_size, width), dropout)
        )
        self.encoder = Encoder(width, encoder_layers, dropout)
        self.decoder = Decoder(width, heads, decoder_layers, dropout)
        initialise(self, "xavier")

    def encode(self, source: Tensor) -> Memory:
        return self.encode_counted(source, (source != PAD).sum(1).cpu())

    def encode_counted(self, source: Tensor, lengths: Tensor) -> Memory:
        return Memory(self.encoder(self.source_embedding(source), lengths), source != PAD)  # (B, S) -> (B, S, D)

    def decode(self, memory: Memory, target_in: Tensor) -> Tensor:
        attention = self.decoder.attention
        source, mask = attention.source(memory.states), memory.mask[:, None, None, :]
        x = self.target_embedding(target_in)  # (B, T) -> (B, T, D)
        return self.decoder(x, self.decoder.first_hidden(memory), lambda y: attention(y, source, mask))[0]

    @property
    def output_weight(self) -> Tensor:
        """(V, D), the target embedding's."""
        return self.target_embedding.table.weight

    def embed(self, tokens: Tensor) -> Tensor:
        return self.target_embedding.vectors(tokens)  # (...) -> (..., D)

    def start(self, memory: Memory, beams: int) -> RecurrentState:
        hidden = self.decoder.first_hidden(memory).unsqueeze(2).expand(-1, -1, beams, -1)  # (L, B, D) -> (L, B, K, D)
        return RecurrentState(hidden, self.decoder.attention.source(memory.states), memory.mask)

    def start_soft(self, memory: Memory, beams: int) -> RecurrentState:
        return self.start(memory, beams)

    def step(self, inputs: Tensor, state: DecoderState) -> Tensor:
        assert isinstance(state, RecurrentState)
        slots = OpenSlots(inputs)

        def attend(x: Tensor) -> Tensor:
            """(R, 1, D) -> (R, 1, D)"""
            return self._look(x.squeeze(1), state, slots).unsqueeze(1)

        x = slots.pack(self.target_embedding(inputs)).unsqueeze(1)  # (B, K) -> (B, K, D) -> (R, 1, D)
        hidden = torch.stack([slots.pack(layer) for layer in state.hidden])  # (L, B, K, D) -> (L, R, D)
        output, hidden = self.decoder(x, hidden, attend)
        state.hidden = torch.stack([slots.unpack(layer) for layer in hidden])
        state.length += 1
        return slots.unpack(output.squeeze(1))  # (R, D) -> (B, K, D)

    def _look(self, x: Tensor, state: RecurrentState, slots: OpenSlots) -> Tensor:
        """(R, D) -> (R, D)"""
        attention = self.decoder.attention
        if state.record_attention:
            state.attention = attention.weights(slots.unpack(x), state.source, state.source_mask)
        return attention.step(x, state.source, state.source_mask, slots)
