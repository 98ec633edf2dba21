"""How a model of Hugging Face's library begins and ends a text, asked of its tokenizer and its settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beamtrain.base.errors import UserError, nearest
from beamtrain.data.foreign_tokenizer import Numbering, speak_between
from beamtrain.data.renumbering import Renumbering
from beamtrain.data.tokenizer import EOS
from beamtrain.interop.architectures import Config, shares_vocabulary


@dataclass(frozen=True)
class Conventions:
    """What a model expects around a text."""

    numbering: Numbering
    source_lang: str
    target_lang: str
    start: int
    """Their token that decoding starts from."""
    first: int | None
    """Their token that every target begins with, if there is one."""

    def options(self) -> dict[str, Any]:
        """The arguments of `beamtrain.model.Transformer` that follow."""
        ours, end = self.numbering.target.ours, self.numbering.source_end
        return {
            "start_token": ours[self.start],
            "source_end": EOS if end is None else self.numbering.source.ours[end],
            "first_token": None if self.first is None else ours[self.first],
        }


def conventions(
    tokenizer: Any, config: Config, generation: Mapping[str, Any], source_lang: str | None, target_lang: str | None
) -> Conventions:
    """What follows for translating between two languages.

    Args:
        tokenizer: the library's.
        config: the model's settings.
        generation: those of `generate`.
        source_lang: the language to translate from, as the tokenizer calls it if it knows several.
        target_lang: the language to translate into.

    Raises:
        UserError: a language is needed or unknown, or the tokenizer does not fit the model.
    """
    source_lang, target_lang = _languages(tokenizer, source_lang, target_lang)
    pad, eos, unk = config["pad_token_id"], _one(config["eos_token_id"]), tokenizer.unk_token_id
    if pad is None or eos is None:
        raise UserError(f"pad_token_id is {pad} and eos_token_id {eos} in the model's settings; it must have both")
    many = hasattr(tokenizer, "src_lang")
    if many:
        speak_between(tokenizer, source_lang, target_lang)
    before_source, after_source = _around(tokenizer, "text", eos)
    before_target, _ = _around(tokenizer, "text_target", eos)
    if len(after_source) > 1:
        raise UserError(f"the tokenizer ends a source with {1 + len(after_source)} tokens; here it can be two")
    start, first = (_said(name, generation, config) for name in ("decoder_start_token_id", "forced_bos_token_id"))
    if many:
        code = _id_of(tokenizer, target_lang)
        by_code = start not in (pad, eos, tokenizer.bos_token_id)
        start, first = (code, None) if by_code else (start, code)
    elif marked := getattr(tokenizer, "encoder", {}).get(f">>{target_lang}<<"):
        before_source = [marked, *before_source]
    if start is None:
        raise UserError("the model's settings have no decoder_start_token_id, from which decoding would start")
    if first is not None and before_target[:1] != [first]:
        before_target = [first, *before_target]
    sizes = [config["vocab_size"], config["vocab_size"]]
    if not shares_vocabulary(config):
        sizes[1] = config["decoder_vocab_size"]
    if len(tokenizer) > max(sizes) or not all(0 <= each < sizes[1] for each in (start, first or 0)):
        raise UserError(f"the tokenizer knows {len(tokenizer):,} tokens, and the model {sizes[0]:,}: they do not fit")
    source, target = (Renumbering(size, pad, eos, unk) for size in sizes)
    end = after_source[0] if after_source else None
    codes = (source_lang, target_lang) if many else (None, None)
    numbering = Numbering(source, target, before_source, before_target, end, *codes)
    return Conventions(numbering, source_lang, target_lang, start, first)


def _languages(tokenizer: Any, source_lang: str | None, target_lang: str | None) -> tuple[str, str]:
    """The languages given, or those of the tokenizer."""
    several = [code[2:-2] for code in getattr(tokenizer, "supported_language_codes", [])]  # Marian's, of targets
    known = _known(tokenizer)
    said = {name: getattr(tokenizer, name, None) for name in ("source_lang", "target_lang")}
    given = {"source_lang": source_lang or said["source_lang"], "target_lang": target_lang or said["target_lang"]}
    for name, language in given.items():
        option, allowed = "--" + name.replace("_", "-"), several if name == "target_lang" and several else known
        some = f", such as {', '.join(sorted(allowed)[:5])}" if allowed else ""
        if language is None:
            raise UserError(f"{option} is needed: the model does not say which language it is{some}")
        if allowed and language not in allowed:
            guess = nearest(language, allowed)
            raise UserError(
                f"{option} {language}: not a language of this model{some}" + (f"; {guess}?" if guess else "")
            )
    return str(given["source_lang"]), str(given["target_lang"])


def _known(tokenizer: Any) -> list[str]:
    """The languages of a tokenizer that marks them, as it calls them; none for one that does not."""
    if not hasattr(tokenizer, "src_lang"):
        return []
    if hasattr(tokenizer, "lang_code_to_id"):
        return list(tokenizer.lang_code_to_id)
    named = {str(each) for each in tokenizer.all_special_tokens}
    others = {str(each) for each in tokenizer.special_tokens_map.values() if not isinstance(each, list)}
    return sorted(each for each in named - others if each in tokenizer.get_vocab())


def _id_of(tokenizer: Any, language: str) -> int:
    ids = getattr(tokenizer, "lang_code_to_id", {})
    return ids[language] if language in ids else tokenizer.convert_tokens_to_ids(language)


def _around(tokenizer: Any, side: str, eos: int) -> tuple[list[int], list[int]]:
    """What an empty text is, before and after EOS."""
    try:
        empty = tokenizer(**{side: ""})["input_ids"]
    except Exception as error:  # what its settings lead to: a limit that is no number, a class that is another's
        raise UserError(f"its tokenizer cannot be used ({' '.join(str(error).split())[:200]})") from error
    if eos not in empty:
        raise UserError("the tokenizer ends a text without the model's EOS")
    end = empty.index(eos)
    return empty[:end], empty[end + 1 :]


def _said(name: str, *settings: Mapping[str, Any]) -> Any:
    """The first id of a token among the settings; None where none has one."""
    said = next((each[name] for each in settings if each.get(name) is not None), None)
    if type(said) not in (int, type(None)):
        raise UserError(f"{name} is {said!r} in the model's settings; it must be the id of a token")
    return said


def _one(eos: int | list[int]) -> int:
    if isinstance(eos, list) and len(eos) != 1:
        raise UserError(f"eos_token_id is {eos}; here a text has one end")
    return eos[0] if isinstance(eos, list) else eos
