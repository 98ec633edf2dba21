"""Batches of given tokens."""

import torch

from beamtrain.data.batch import Batch, pad
from beamtrain.data.tokenizer import EOS


def batch_of(pairs):
    """Of (source, target) token lists without EOS."""
    sources, targets = (pad([[*row, EOS] for row in side]) for side in zip(*pairs, strict=True))
    return Batch.of_pairs(sources, targets, torch.arange(len(pairs)))
