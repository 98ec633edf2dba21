"""A run that was imported, or fine-tuned from an import, in its own architecture again: its files, new weights."""

from pathlib import Path

from safetensors.torch import save_file

from beamtrain.base.files import atomic_path
from beamtrain.data.foreign_tokenizer import NUMBERING, ForeignTokenizer, quiet_transformers
from beamtrain.interop.architectures import architecture_of
from beamtrain.interop.conventions import Conventions
from beamtrain.interop.foreign_counterpart import ForeignCounterpart
from beamtrain.interop.weights import Vocabularies, from_ours
from beamtrain.model.transformer import Transformer
from beamtrain.runs.loading import Run

_PURPOSE = "exporting to Hugging Face"


def write_foreign(run: Run, folder: Path) -> ForeignCounterpart:
    """Write the run into the empty `folder`, and load what is there.

    Raises:
        UserError: transformers is not installed, or what the run keeps of the model is damaged.
    """
    tokenizer, network = run.tokenizer, run.network
    assert isinstance(tokenizer, ForeignTokenizer) and isinstance(network, Transformer)
    for name, content in tokenizer.files.items():
        if name != NUMBERING:
            (folder / name).write_bytes(content)
    transformers = quiet_transformers(_PURPOSE)
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True).to_dict()
    architecture, numbering = architecture_of(config, f"{run.path}/huggingface/config.json"), tokenizer.numbering
    weights = from_ours(architecture, config, network.state_dict(), Vocabularies(numbering.source, numbering.target))
    with atomic_path(folder / "model.safetensors") as path:
        save_file({name: tensor.clone() for name, tensor in weights.items()}, path, {"format": "pt"})
    model = getattr(transformers, architecture.model_class).from_pretrained(folder, local_files_only=True).eval()
    description, theirs = run.description, numbering.target.theirs
    around = Conventions(
        numbering,
        description.source_lang,
        description.target_lang,
        start=theirs[description.arguments["start_token"]],
        first=None if network.first_token is None else theirs[network.first_token],
    )
    return ForeignCounterpart(model, tokenizer.backend, around)
