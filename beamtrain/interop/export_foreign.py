"""A run that was imported, or fine-tuned from an import, in its own architecture again: its files, new weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beamtrain.data.foreign_tokenizer import NUMBERING, ForeignTokenizer, quiet_transformers
from beamtrain.interop.architectures import architecture_of
from beamtrain.interop.conventions import Conventions
from beamtrain.interop.export_huggingface import average_alpha
from beamtrain.interop.foreign_counterpart import ForeignCounterpart
from beamtrain.interop.weights import Vocabularies, from_ours
from beamtrain.model.transformer import Transformer
from beamtrain.runs.loading import Run
from beamtrain.runs.weights import write_tensors
from beamtrain.search.options import SearchOptions

_PURPOSE = "exporting to Hugging Face"


def write_foreign(run: Run, search: SearchOptions, folder: Path) -> ForeignCounterpart:
    """Write the run into the empty `folder`, and load what is there; `search` is what `generate` does there unless told
    otherwise.

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
    write_tensors(
        folder / "model.safetensors", {name: tensor.clone() for name, tensor in weights.items()}, {"format": "pt"}
    )
    model = getattr(transformers, architecture.model_class).from_pretrained(folder, local_files_only=True).eval()
    if not (folder / "generation_config.json").exists():
        model.generation_config.save_pretrained(folder)
    description, theirs = run.description, numbering.target.theirs
    around = Conventions(
        numbering,
        description.source_lang,
        description.target_lang,
        start=theirs[description.arguments["start_token"]],
        first=None if network.first_token is None else theirs[network.first_token],
    )
    _say_how_to_search(search, around, config | model.generation_config.to_dict(), folder / "generation_config.json")
    if numbering.source_lang is not None:
        _put(folder / "tokenizer_config.json", {"src_lang": numbering.source_lang, "tgt_lang": numbering.target_lang})
    return ForeignCounterpart(model, tokenizer.backend, around)


def _say_how_to_search(search: SearchOptions, around: Conventions, present: Mapping[str, Any], path: Path) -> None:
    """Put into the file what is not already so, and nothing else: how to search, and into which language."""
    wanted: dict[str, Any] = {"num_beams": search.beam_size, "no_repeat_ngram_size": search.no_repeat_ngram}
    wanted["min_length"] = search.min_length
    wanted |= {"decoder_start_token_id": around.start, "forced_bos_token_id": around.first}
    usual = {"num_beams": 1, "no_repeat_ngram_size": 0, "min_length": 0, "length_penalty": 1.0}
    if search.beam_size > 1:
        wanted["length_penalty"] = average_alpha(search)
    if search.max_length is not None and search.max_length < present["max_position_embeddings"]:
        wanted["max_length"] = search.max_length + 1  # with what decoding starts from
    have = {name: usual.get(name) if present.get(name) is None else present[name] for name in wanted}
    _put(path, {name: value for name, value in wanted.items() if value != have[name]})


def _put(path: Path, settings: dict[str, Any]) -> None:
    """Change some settings of a JSON file; one that is so already is left as it is, byte by byte."""
    said = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    changed = {**said, **settings}
    if changed != said:
        path.write_text(json.dumps(changed, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
