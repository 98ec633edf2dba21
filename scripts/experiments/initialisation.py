"""Learning curves of the Transformer by initialisation, place of the normalisation, and learning rate.

    python scripts/experiments/initialisation.py

Teacher forcing on the bundled phrasebook, all from the same seed on the same batches, each with half a cosine over its
own steps after a warm-up of a tenth of them. Prints, as it goes, a line of a table for each cell: the development
set's negative log-likelihood in nats a token after so many steps.
"""

import argparse
from itertools import chain, islice, product, repeat

import torch
from command_line import positive, positive_real, run_script
from torch.nn.utils import clip_grad_norm_

from beamtrain.base.memory import keep_what_pays
from beamtrain.base.script_parser import ScriptParser
from beamtrain.data.datamodule import TranslationData
from beamtrain.model.layers import Initialisation, NormPosition
from beamtrain.model.transformer import Transformer
from beamtrain.objectives.teacher_forcing import TeacherForcing
from beamtrain.training.schedule import Cosine

NORMS: tuple[NormPosition, ...] = ("pre", "post")
KINDS: tuple[Initialisation, ...] = ("xavier", "orthogonal")


def main() -> None:
    options = arguments()
    keep_what_pays()
    data = TranslationData(vocab_size=1500, batch_tokens=options.batch_tokens)
    data.prepare_data()
    steps = range(options.every, options.steps + 1, options.every)
    print("| norm | initialisation | learning rate | " + " | ".join(f"{step} steps" for step in steps) + " |")
    print("|---|---|---:|" + "---:|" * len(steps), flush=True)
    for rate, norm, kind in product(options.rates, NORMS, KINDS):
        curve = " | ".join(f"{value:.2f}" for value in trained(data, norm, kind, rate, options))
        print(f"| {norm} | {kind} | {rate:g} | {curve} |", flush=True)


def arguments() -> argparse.Namespace:
    parser = ScriptParser(__doc__)
    parser.add_argument("--width", type=positive, default=128)
    parser.add_argument("--layers", type=positive, default=4, help="of the encoder, and of the decoder")
    parser.add_argument("--batch-tokens", type=positive, default=1024)
    parser.add_argument("--steps", type=positive, default=300)
    parser.add_argument("--every", type=positive, default=100, help="steps between two points of a curve")
    parser.add_argument("--rates", type=positive_real, nargs="+", default=[0.001, 0.003])
    parser.add_argument("--seed", type=positive, default=1)
    return parser.parse_args()


def trained(
    data: TranslationData, norm: NormPosition, kind: Initialisation, rate: float, options: argparse.Namespace
) -> list[float]:
    """The development set's likelihood after every so many steps."""
    torch.manual_seed(options.seed)
    network = Transformer(
        data.tokenizer.target.vocab_size,
        width=options.width,
        inner_width=4 * options.width,
        heads=options.width // 32,
        encoder_layers=options.layers,
        decoder_layers=options.layers,
        norm=norm,
        initialisation=kind,
    )
    objective = TeacherForcing(0.1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, Cosine(options.steps, options.steps // 10))
    loader, curve = data.train_dataloader(), []
    for step, batch in enumerate(islice(chain.from_iterable(repeat(loader)), options.steps), start=1):
        loss = objective(network.train(), batch)
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % options.every == 0:
            curve.append(likelihood(network, data))
    return curve


@torch.no_grad()
def likelihood(network: Transformer, data: TranslationData) -> float:
    parts = [TeacherForcing(0.0)(network.eval(), batch) for batch in data.val_dataloader()]
    return sum(part.total.item() for part in parts) / sum(part.weight for part in parts)


if __name__ == "__main__":
    run_script(main)
