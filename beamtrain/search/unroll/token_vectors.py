"""The final beams as mixtures of token vectors."""

from dataclasses import replace

import torch
from torch import Tensor

from beamtrain.model.base import Seq2Seq
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.topk.transforms import product


def with_vectors(beams: SoftBeams, network: Seq2Seq, reference: Tensor) -> SoftBeams:
    """The beams with `vectors`, and `reference_vectors` for the reference (B, U). The table carries no gradient."""
    M, V = beams.tokens.size(2), network.vocab_size
    weights, every_token = beams.weights, torch.arange(V, device=reference.device)
    with torch.no_grad():
        table, wanted = network.embed(every_token if M >= V else beams.tokens), network.embed(reference)
    if M >= V:
        places = beams.tokens.unsqueeze(2).expand_as(weights)
        weights = weights.new_zeros(*weights.shape[:3], V).scatter_add(3, places, weights)  # (B, T, K, V)
    return replace(beams, vectors=product(weights, table.to(weights.dtype)), reference_vectors=wanted.to(weights.dtype))
