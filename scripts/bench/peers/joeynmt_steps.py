"""JoeyNMT's side of `scripts/bench/training.py`, run by the Python of an environment that has JoeyNMT 2.3.0.

    /path/to/joeynmt/bin/python scripts/bench/peers/joeynmt_steps.py CONFIG [PLAN]

`joeynmt.training.train` in all its steps, with a TrainManager that takes turns. PLAN, if given, is a JSON list of
batches, each a list of line numbers of the training text: they take the place of JoeyNMT's own token batches, which
are drawn without regard to length. Nothing else of JoeyNMT is touched.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import joeynmt.datasets
import torch
from joeynmt.batch import Batch
from joeynmt.config import load_config, parse_global_args, set_validation_args
from joeynmt.helpers import make_model_dir
from joeynmt.prediction import prepare
from joeynmt.training import TrainManager
from turns import Turns


def planned_sampler(plan: list[list[int]]) -> type:
    """A class for the place of JoeyNMT's TokenBatchSampler, with these batches in every epoch."""

    class PlannedBatches(joeynmt.datasets.TokenBatchSampler):
        def __iter__(self) -> Iterator[list[int]]:
            yield from plan

    return PlannedBatches


class TurnTaking(TrainManager):
    """JoeyNMT's training loop, its steps in turns."""

    def start(self) -> None:
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        facts = {"parameters": parameters, "torch": torch.__version__, "threads": torch.get_num_threads()}
        self._turns = Turns(facts)
        eps, V = self.args.label_smoothing, len(self.model.trg_vocab)
        # JoeyNMT's loss is a divergence from the smoothed target; with the target's entropy it is a cross-entropy
        self._entropy = -(1 - eps) * math.log(1 - eps) - eps * math.log(eps / (V - 2)) if eps else 0.0

    def _train_step(self, batch: Batch) -> tuple[float, int]:
        self._turns.before_step()
        loss, correct = super()._train_step(batch)
        self._turns.after_step(batch.ntokens, loss + self._entropy)
        return loss, correct


def main(config: str, plan: str | None) -> None:
    if plan is not None:
        joeynmt.datasets.TokenBatchSampler = planned_sampler(json.loads(Path(plan).read_text()))
    settings = load_config(config)
    make_model_dir(Path(settings["model_dir"]))
    args = parse_global_args(settings, rank=0, mode="train")
    model, train_data, dev_data, _ = prepare(args, rank=0, mode="train")
    manager = TurnTaking(
        model=model,
        model_dir=args.model_dir,
        device=args.device,
        n_gpu=args.n_gpu,
        rank=0,
        num_workers=args.num_workers,
        autocast=args.autocast,
        seed=args.seed,
        train_args=args.train,
        dev_args=set_validation_args(args.test),
    )
    manager.start()
    manager.train_and_validate(train_data=train_data, valid_data=dev_data)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
