"""Models of Hugging Face's library, tiny and random, with real architectures and every weight drawn."""

import pytest
import torch
import transformers

V, PAD_OF = 40, {"marian": 39, "pegasus": 0, "m2m_100": 1, "bart": 1, "mbart": 1}
each_architecture = pytest.mark.parametrize("name", ["marian", "marian-apart", "pegasus", "m2m_100", "bart", "mbart"])


def config_of(name, vocab_size=V, **changes):
    """A config of an architecture; "marian-apart" has a vocabulary for either side."""
    kind = name.removesuffix("-apart")
    settings = {
        "vocab_size": vocab_size,
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
        "max_position_embeddings": 48,
        "pad_token_id": PAD_OF[kind],
        "eos_token_id": {"marian": 0, "pegasus": 1}.get(kind, 2),
        "decoder_start_token_id": {"marian": 39, "pegasus": 0, "mbart": 7}.get(kind, 2),
        "scale_embedding": kind != "bart",
        "activation_function": {"marian": "swish", "pegasus": "relu", "m2m_100": "relu"}.get(kind, "gelu"),
    }
    if name == "marian-apart":
        settings |= {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": vocab_size + 4}
    return transformers.AutoConfig.for_model(kind, **settings | changes)


def model_of(config, seed=0):
    """The model with every weight and bias random, decided enough for beams to differ; in evaluation mode."""
    import transformers

    from beamtrain.interop.architectures import ARCHITECTURES

    torch.manual_seed(seed)
    model = getattr(transformers, ARCHITECTURES[config.model_type].model_class)(config)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if "embed_positions" not in name or config.model_type in ("bart", "mbart"):
                torch.nn.init.normal_(tensor, mean=float("norm.weight" in name), std=0.4)
    model.tie_weights()
    return model.eval()
