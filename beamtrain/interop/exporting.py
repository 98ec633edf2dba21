"""Exports: written whole or not at all, after they have been compared with the network that they are of."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from beamtrain.base.files import atomic_folder
from beamtrain.data.foreign_tokenizer import ForeignTokenizer
from beamtrain.interop.counterparts import CTranslate2Counterpart, HuggingFaceCounterpart, RunCounterpart
from beamtrain.interop.ctranslate2_engine import has_rules
from beamtrain.interop.engines import load_engine
from beamtrain.interop.export_ctranslate2 import write_ctranslate2
from beamtrain.interop.export_foreign import write_foreign
from beamtrain.interop.export_huggingface import TYPICAL_LENGTH, average_alpha, write_huggingface
from beamtrain.interop.parity import ANOTHER_BEAM, FORCED, ONE_LIMIT, Counterpart, Parity, compare
from beamtrain.interop.quantization import Quantization
from beamtrain.runs.description import save_description
from beamtrain.runs.loading import Run
from beamtrain.runs.weights import save_weights
from beamtrain.search.options import SearchOptions

SHARED_OUT = "what min_length and no_repeat_ngram forbid has no share in its softmax, which its search goes by"
UNKNOWN = "unknown characters (UNK) in a translation are left out of its text, and are ⁇ here"
Target = Literal["huggingface", "ctranslate2", "safetensors"]


class DisagreementError(Exception):
    """What was exported does not do what the network does."""

    def __init__(self, parity: Parity) -> None:
        super().__init__(parity)
        self.parity = parity


def export(
    run: Run, target: Target, quantization: Quantization, search: SearchOptions, out: Path, lines: Iterable[str]
) -> Parity:
    """Write the run to `out` for another engine, and compare that on the lines.

    Args:
        quantization: of CTranslate2.
        search: what the other engine does unless told otherwise, and how the translations are compared.
        out: a folder that does not exist, or is empty.

    Raises:
        UserError: the network has no counterpart there, a package is missing, or `out` is taken.
        DisagreementError: the other engine does something else; nothing is left in `out`.
    """
    with atomic_folder(out) as folder:
        counterpart, unlike, exact = _write(run, target, quantization, search, folder)
        parity = compare(run.network, run.tokenizer, search, counterpart, lines, exact=exact, unlike=unlike)
        if not parity.holds:
            raise DisagreementError(parity)
    return parity


def _write(
    run: Run, target: Target, quantization: Quantization, search: SearchOptions, folder: Path
) -> tuple[Counterpart, list[str], bool]:
    """Write the export, and load it; what it cannot reproduce, and whether it computes in float32."""
    if target == "huggingface" and isinstance(run.tokenizer, ForeignTokenizer):
        unlike = [*_unlike_in_beams(search), ONE_LIMIT, FORCED]
        return write_foreign(run, search, folder), unlike, True
    if target == "huggingface":
        write_huggingface(run, search, folder)
        unlike = [*_unlike_in_beams(search), ONE_LIMIT, FORCED, UNKNOWN]
        return HuggingFaceCounterpart(folder), unlike, True
    if target == "ctranslate2":
        write_ctranslate2(run.network, run.tokenizer, quantization, folder)
        unlike = _unlike_in_beams(search)
        if unlike and has_rules(search):
            unlike.append(SHARED_OUT)
        return (
            CTranslate2Counterpart(load_engine(run.network, run.tokenizer, folder), run.tokenizer),
            unlike,
            quantization == "float32",
        )
    save_run(run, folder)
    return RunCounterpart(folder), [], True


def _unlike_in_beams(search: SearchOptions) -> list[str]:
    if search.beam_size == 1:
        return []
    gnmt = (
        f"length_penalty gnmt {search.alpha:g}: by itself it has average only, of which "
        f"{average_alpha(search):g} is most like it for translations of {TYPICAL_LENGTH} tokens"
    )
    return [ANOTHER_BEAM, *([gnmt] if search.length_penalty == "gnmt" else [])]


def save_run(run: Run, folder: Path) -> None:
    """What is needed to translate with the run, and nothing else of its folder."""
    save_description(folder, run.description)
    save_weights(folder, run.network.state_dict(), run.weights)
    run.tokenizer.save(folder)
