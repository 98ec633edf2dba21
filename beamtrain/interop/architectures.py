"""The encoder-decoders of Hugging Face's library that our Transformer can be, and with which settings.

Read from the library's code: `models/marian`, `pegasus`, `m2m_100` (which NLLB is too), `bart` and `mbart`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from beamtrain.base.errors import UserError
from beamtrain.model.layers import Activation, NormPosition
from beamtrain.model.positions import PositionKind

ACTIVATIONS: dict[str, Activation] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
}
"""Their `activation_function` -> ours."""

Config = Mapping[str, Any]
"""What their config.json says, and what it leaves to the defaults."""


@dataclass(frozen=True)
class Architecture:
    """One of their architectures: what its config does not say."""

    model_type: str
    """As config.json calls it."""
    model_class: str
    """The class of the library with a matrix of the logits."""
    norm: NormPosition
    positions: PositionKind
    embedding_norm: bool = False
    logits_bias: bool = True
    position_offset: int = 0
    """Rows of the table of positions besides `max_position_embeddings`."""
    first_position: Callable[[Config], int] = lambda config: 0
    """The row of the first position."""
    saves_positions: bool = True
    """Whether their files hold the table of positions; else it follows from the settings."""

    def options(self, config: Config) -> dict[str, Any]:
        """The arguments of `beamtrain.model.Transformer`, without vocabularies and special tokens.

        Raises:
            UserError: a setting that our Transformer has not.
        """
        for name in ("attention_heads", "ffn_dim"):
            one, other = config[f"encoder_{name}"], config[f"decoder_{name}"]
            if one != other:
                raise UserError(f"encoder_{name} is {one} and decoder_{name} {other}: here both sides have the same")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= config[name] <= 1:
                raise UserError(f"{name} is {config[name]}; it must be from 0 to 1")
        activation = config["activation_function"]
        if activation not in ACTIVATIONS:
            raise UserError(f"activation_function is {activation}; here it can be {', '.join(ACTIVATIONS)}")
        return {
            "width": config["d_model"],
            "inner_width": config["encoder_ffn_dim"],
            "heads": config["encoder_attention_heads"],
            "encoder_layers": config["encoder_layers"],
            "decoder_layers": config["decoder_layers"],
            "dropout": float(config["dropout"]),
            "attention_dropout": float(config["attention_dropout"]),
            "norm": self.norm,
            "activation": ACTIVATIONS[activation],
            "positions": self.positions,
            "position_rows": config["max_position_embeddings"] + self.position_offset,
            "first_position": self.first_position(config),
            "embedding_scale": bool(config["scale_embedding"]),
            "embedding_norm": self.embedding_norm,
            "logits_bias": self.logits_bias,
        }


def shares_vocabulary(config: Config) -> bool:
    """Whether both sides have the same tokens and vectors; only Marian's may not."""
    return bool(config.get("share_encoder_decoder_embeddings", True))


ARCHITECTURES = {
    each.model_type: each
    for each in (
        Architecture("marian", "MarianMTModel", norm="post", positions="fixed", saves_positions=False),
        Architecture("pegasus", "PegasusForConditionalGeneration", norm="pre", positions="fixed"),
        Architecture(
            "m2m_100",
            "M2M100ForConditionalGeneration",
            norm="pre",
            positions="fixed",
            logits_bias=False,
            position_offset=2,
            first_position=lambda config: config["pad_token_id"] + 1,
            saves_positions=False,
        ),
        Architecture(
            "bart",
            "BartForConditionalGeneration",
            norm="post",
            positions="learned",
            embedding_norm=True,
            position_offset=2,
            first_position=lambda config: 2,
        ),
        Architecture(
            "mbart",
            "MBartForConditionalGeneration",
            norm="pre",
            positions="learned",
            embedding_norm=True,
            position_offset=2,
            first_position=lambda config: 2,
        ),
    )
}
NAMES = "Marian, Pegasus, M2M100 and NLLB, BART, mBART"


def architecture_of(config: Config, where: str) -> Architecture:
    """The architecture of a model; `where` is what its config.json is called in messages.

    Raises:
        UserError: it is none that our Transformer can be.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
        raise UserError(f"{where}: a model of the type {model_type}; those that can be used here: {NAMES}")
    return ARCHITECTURES[model_type]
