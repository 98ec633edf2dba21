"""A corpus that needs no data: sentences of English words and the same words backwards; and settings that suit it."""

import random
from pathlib import Path

WORDS = ["red", "green", "blue", "one", "two", "three", "cat", "dog", "bird", "sees", "has", "likes", "small", "large"]
CONFIG = """
data: {{source: {corpus}, vocab_size: {vocab_size}, byte_fallback: false, max_length: 40, batch_tokens: 200}}
model:
  network:
    class_path: beamtrain.model.Transformer
    init_args: {{width: 16, inner_width: 32, heads: 2, encoder_layers: 1, decoder_layers: 1, dropout: 0.1}}
trainer: {{max_steps: 8, val_check_interval: 4, log_every_n_steps: 2, accelerator: cpu}}
log_sentences: 0
"""


def write_corpus(folder: Path, rows: int) -> Path:
    """So many training pairs, 20 to validate and 12 to test, in `folder`."""
    draw = random.Random(5)
    folder.mkdir(exist_ok=True)
    for split, count in (("train", rows), ("validation", 20), ("test", 12)):
        lines = [" ".join(draw.choices(WORDS, k=draw.randint(2, 8))) for _ in range(count)]
        (folder / f"{split}.en").write_text("".join(f"{line}\n" for line in lines))
        (folder / f"{split}.de").write_text("".join(f"{' '.join(reversed(line.split()))}\n" for line in lines))
    return folder
