"""Other engines for a run: exported once into its folder, and then used."""

import shutil
from pathlib import Path

import torch

from beamtrain.base.errors import UserError
from beamtrain.base.files import UNFINISHED, atomic_folder
from beamtrain.data.tokenizer import Tokenizer
from beamtrain.interop.ctranslate2_engine import CTranslate2Engine
from beamtrain.interop.export_ctranslate2 import positions_of, write_ctranslate2
from beamtrain.interop.quantization import Quantization
from beamtrain.model.base import Seq2Seq
from beamtrain.runs.loading import Run
from beamtrain.runs.weights import digest

FOLDER = "engines"
LAYOUT = "1"
"""Of what is written: another one is written anew."""


def ctranslate2_engine(run: Run, quantization: Quantization, scored: bool = True) -> CTranslate2Engine:
    """CTranslate2 with the run's weights, which are exported into its folder if they are not yet there.

    `scored` says whether anyone reads the scores.

    Raises:
        UserError: the network is no Transformer, ctranslate2 is not installed, or the folder cannot be written.
    """
    key = digest(run.network.state_dict(), f"{LAYOUT} {run.tokenizer.fingerprint()}")[:16]
    folder = run.path / FOLDER / f"ctranslate2-{quantization}-{key}"
    if not folder.exists():
        try:
            with atomic_folder(folder) as temporary:
                write_ctranslate2(run.network, run.tokenizer, quantization, temporary)
        except OSError as error:
            if not folder.exists():  # nor has another process made it
                raise UserError(f"{folder} cannot be written: {error.strerror or error}") from error
        _remove_others(folder, f"ctranslate2-{quantization}-*")
    return load_engine(run.network, run.tokenizer, folder, scored)


def load_engine(network: Seq2Seq, tokenizer: Tokenizer, folder: Path, scored: bool = True) -> CTranslate2Engine:
    """What was written of network and tokenizer into `folder`, with as many threads as torch has."""
    threads, positions = torch.get_num_threads(), positions_of(network)
    return CTranslate2Engine(folder, tokenizer, threads, positions, network.first_token, scored)


def _remove_others(folder: Path, pattern: str) -> None:
    """Remove what was exported of other weights of the run."""
    for other in folder.parent.glob(pattern):
        if other != folder and not other.match(UNFINISHED):
            shutil.rmtree(other, ignore_errors=True)
