"""Folders of other toolkits' models, tiny and random, with a real tokenizer, as `save_pretrained` writes them."""

import pytest
import transformers
from foreign import config_of, model_of
from tokenizers_of import LANGUAGES, MAKERS

transformers.logging.disable_progress_bar()

LINES = ["Two young men are near bushes.", "Where is the </s> station?", "Die Katze schläft."]
ARCHITECTURE = {"nllb": "m2m_100", "mbart50": "mbart"}

each_kind = pytest.mark.parametrize("name", list(MAKERS))


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
