"""Imports: a model of Hugging Face's library as a run's folder, compared with what it was."""

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.data.foreign_tokenizer import NUMBERING, ForeignTokenizer
from beamtrain.interop.architectures import shares_vocabulary
from beamtrain.interop.conventions import Conventions, conventions
from beamtrain.interop.foreign_counterpart import ForeignCounterpart
from beamtrain.interop.foreign_model import ForeignModel
from beamtrain.interop.parity import ANOTHER_BEAM, FORCED, ONE_LIMIT, Parity, comparable, compare
from beamtrain.interop.weights import Vocabularies, to_ours
from beamtrain.model.transformer import Transformer
from beamtrain.runs.description import Description, save_description
from beamtrain.runs.loading import load_run
from beamtrain.runs.weights import save_weights
from beamtrain.search.options import SearchOptions

USUAL_LENGTH = 256
"""Subwords, at most, of either side of a training pair, unless told otherwise or the model has fewer positions."""
SETTINGS = ("config.json", "generation_config.json")
"""Of the model's files those that a run keeps, beside the tokenizer's."""
_OURS = {
    *("num_beams", "early_stopping", "length_penalty", "no_repeat_ngram_size", "use_cache"),
    *("max_length", "min_length"),
    *("bos_token_id", "decoder_start_token_id", "eos_token_id", "pad_token_id"),
    *("forced_bos_token_id", "forced_eos_token_id", "transformers_version"),
}
"""What generation_config.json says of searching that has a counterpart here, or changes nothing that is found."""


@dataclass(frozen=True)
class Import:
    """A model that can be written as a run."""

    foreign: ForeignModel
    conventions: Conventions
    description: Description
    tokenizer: ForeignTokenizer
    network: Transformer

    def write(self, folder: Path, environment: str) -> None:
        """Write the run; `environment` is the text of its environment.json."""
        self.tokenizer.save(folder)
        save_description(folder, self.description)
        write_text(folder / "environment.json", environment)
        data = {
            "source": "",  # it has none: --data.source is what it is trained on
            "source_lang": self.description.source_lang,
            "target_lang": self.description.target_lang,
            "vocab_size": self.tokenizer.target.vocab_size,
            "joint_vocabulary": self.tokenizer.joint,
            "max_length": min(USUAL_LENGTH, (self.network.max_positions or USUAL_LENGTH) - 1),  # EOS comes to it
        }
        config = yaml.safe_dump({"data": data}, sort_keys=False)
        write_text(folder / "config.yaml", config)
        save_weights(folder, self.network.state_dict(), {"step": 0})

    def check_lines(self, lines: Iterable[str]) -> None:
        """Raises UserError unless there is something to compare among the lines."""
        comparable(self.network, self.tokenizer, lines)

    def compared(self, folder: Path, lines: Iterable[str]) -> Parity:
        """The run in `folder` beside the model that it is of."""
        run = load_run(folder)
        counterpart = ForeignCounterpart(self.foreign.network, self.foreign.tokenizer, self.conventions)
        unlike = [ANOTHER_BEAM, ONE_LIMIT, FORCED, *_not_taken_over(self.foreign)]
        return compare(run.network, run.tokenizer, run.description.search, counterpart, lines, unlike=unlike)


def import_model(foreign: ForeignModel, source_lang: str | None, target_lang: str | None) -> Import:
    """The model as a network of ours.

    Args:
        source_lang: the language to translate from, for models that know several or say none.
        target_lang: the language to translate into.

    Raises:
        UserError: a setting that our Transformer has not, a language that is needed or unknown, or files that do not
            belong together.
    """
    where, architecture, config = foreign.folder, foreign.architecture, foreign.config
    try:
        around = conventions(foreign.tokenizer, config, foreign.generation, source_lang, target_lang)
        vocabularies = Vocabularies(around.numbering.source, around.numbering.target)
        joint = shares_vocabulary(config)
        arguments: dict[str, Any] = {
            "vocab_size": around.numbering.target.size + 1,
            "source_vocab_size": None if joint else around.numbering.source.size + 1,
            **architecture.options(config),
            **around.options(),
        }
        network = Transformer(**arguments)
        network.load_state_dict(to_ours(architecture, config, foreign.network.state_dict(), vocabularies))
        description = Description(
            network="beamtrain.model.Transformer",
            arguments=arguments,
            source_lang=around.source_lang,
            target_lang=around.target_lang,
            search=_search(foreign, network.max_positions or 0),
        )
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return Import(foreign, around, description, _tokenizer(foreign, around), network)


def _tokenizer(foreign: ForeignModel, around: Conventions) -> ForeignTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        foreign.tokenizer.save_pretrained(folder)
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}
    for name in SETTINGS:
        if (foreign.folder / name).is_file():
            files[name] = (foreign.folder / name).read_bytes()
    files[NUMBERING] = around.numbering.to_text().encode()
    return ForeignTokenizer(files, str(foreign.folder))


def _search(foreign: ForeignModel, positions: int) -> SearchOptions:
    """The search that is most like what `generate` does with this model."""
    said = foreign.generation
    if not isinstance(said.get("length_penalty"), int | float | None):
        raise UserError(f"generation_config.json: length_penalty is {said['length_penalty']!r}; it must be a number")
    for name in ("num_beams", "no_repeat_ngram_size", "max_length", "min_length"):
        if type(said.get(name)) not in (int, type(None)):
            raise UserError(f"generation_config.json: {name} is {said[name]!r}; it must be a whole number")
    longest = said.get("max_length") if "max_length" in _written(foreign) else None
    return SearchOptions(
        beam_size=said.get("num_beams") or 1,
        length_penalty="average",
        alpha=float(1.0 if said.get("length_penalty") is None else said["length_penalty"]),
        max_length=min(positions, longest - 1) if longest else positions,
        min_length=said.get("min_length") or 0,
        no_repeat_ngram=said.get("no_repeat_ngram_size") or 0,
    )


def _not_taken_over(foreign: ForeignModel) -> list[str]:
    """What the model's files say of searching and of training that has no counterpart here."""
    written = _written(foreign)
    searching = {
        name: foreign.generation[name] for name in sorted(foreign.generation) if name in written and name[0] != "_"
    }
    if searching.get("bad_words_ids") == [[foreign.config["pad_token_id"]]]:  # Marian's; PAD is never said here
        del searching["bad_words_ids"]
    never = {foreign.config["pad_token_id"], foreign.config.get("bos_token_id")}  # nor is BOS
    if set(searching.get("suppress_tokens") or ()) <= never:
        searching.pop("suppress_tokens", None)
    others = {name: value for name, value in searching.items() if name not in _OURS and value not in (None, False, [])}
    ends, end = searching.get("eos_token_id"), foreign.config["eos_token_id"]
    if ends not in (None, end, [end]):
        others["eos_token_id"] = ends
    training = {
        name: foreign.config[name]
        for name in ("activation_dropout", "encoder_layerdrop", "decoder_layerdrop")
        if foreign.config.get(name)
    }
    return [f"{name} {json.dumps(value)}" for name, value in {**others, **training}.items()]


def _written(foreign: ForeignModel) -> Mapping[str, Any]:
    """What generation_config.json says, or config.json where that is missing, as older models have it."""
    for name in reversed(SETTINGS):
        path = foreign.folder / name
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
    return {}
