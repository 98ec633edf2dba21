"""Models of each architecture with a real tokenizer, as `save_pretrained` writes them."""

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import transformers
from foreign import config_of, model_of
from tokenizers_of import LANGUAGES, MAKERS

from beamtrain.cli import main

transformers.logging.disable_progress_bar()

LINES = ["Two young men are near bushes.", "Where is the </s> station?", "Die Katze schläft."]
ARCHITECTURE = {"nllb": "m2m_100", "mbart50": "mbart"}


@pytest.fixture(scope="session")
def foreign(tmp_path_factory):
    """name -> the folder of a tiny random model of that kind, made once."""
    made = {}

    def folder_of(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            write_foreign(name, made[name], tmp_path_factory.mktemp("parts"))
        return made[name]

    return folder_of


@dataclass(frozen=True)
class Imported:
    """A run, and what was said when it was made."""

    run: Path
    code: int
    out: str


@pytest.fixture(scope="session")
def imported(foreign, tmp_path_factory):
    """name -> the run of that model, imported once; it is not to be changed."""
    made = {}

    def of(name):
        if name not in made:
            folder, said = tmp_path_factory.mktemp("imported"), io.StringIO()
            (folder / "lines.txt").write_text("".join(f"{line}\n" for line in LINES))
            options = ["--runs", str(folder), "--name", name, "--check", str(folder / "lines.txt")]
            with redirect_stdout(said):
                code = main(["import", str(foreign(name)), *languages(name), *options])
            made[name] = Imported(folder / name, code, said.getvalue())
        return made[name]

    return of


def write_foreign(name, folder, parts):
    tokenizer = MAKERS[name](parts)
    apart = name == "marian-apart"
    special = {
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "decoder_start_token_id": tokenizer.eos_token_id,
        "forced_eos_token_id": tokenizer.eos_token_id,
    }
    size = max(len(tokenizer), max(tokenizer.get_vocab().values()) + 1)
    if name == "m2m_100":  # which does not count the codes of its languages
        size = max(tokenizer.lang_code_to_id.values()) + 9
    if name in ("marian", "marian-apart", "pegasus"):
        special["decoder_start_token_id"] = tokenizer.pad_token_id
    if name == "mbart":
        special["decoder_start_token_id"] = None
    config = config_of(ARCHITECTURE.get(name, name), vocab_size=size, max_position_embeddings=100, **special)
    if apart:
        config.decoder_vocab_size = len(tokenizer.target_encoder)
    model = model_of(config)
    model.generation_config.update(num_beams=3, no_repeat_ngram_size=4, repetition_penalty=1.1, max_length=14)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def languages(name):
    """The options that say the languages."""
    source, target = LANGUAGES.get(name, ("en", "de"))
    return ["--source-lang", source, "--target-lang", target]


each_kind = pytest.mark.parametrize("name", list(MAKERS))
