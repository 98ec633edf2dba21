"""What follows the last step of a run: the weights to use, and the scores of the test set."""

import sys

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.runs.checkpoints import load_checkpoint
from beamtrain.runs.loading import load_run
from beamtrain.runs.weights import save_weights, weights_in
from beamtrain.scoring.evaluation import checkpoint_name, evaluate
from beamtrain.scoring.reports import print_scores, write_report
from beamtrain.training.command_line import TrainingCLI
from beamtrain.training.ending import why_stopped
from beamtrain.training.run_folder import BEST, LAST


def finish(cli: TrainingCLI) -> None:
    """Say why training ended, write the best weights and score them, also of a run that was killed before that.

    Raises:
        UserError: there was no step.
    """
    folder = cli.folder.path
    reason = why_stopped(cli.trainer)
    last = folder / "checkpoints" / LAST
    if not last.exists():
        raise UserError(f"nothing was trained: {reason or 'there is no step to do'}")
    if reason:
        print(reason, file=sys.stderr)
    if not (folder / "model.safetensors").exists():
        best = last.with_name(BEST)
        save_weights(folder, *weights_in(load_checkpoint(best if best.exists() else last)))
    if cli.config.score_test:
        _score_test(cli)
    print(f"the run lies in {folder}; to use it: beamtrain translate {cli.to_load} < FILE")


def _score_test(cli: TrainingCLI) -> None:
    """Translate the test set as `beamtrain evaluate` does, and leave the report, if there is a test set."""
    if "test" not in cli.datamodule.splits:
        print(f"{cli.datamodule.source} has no test split: nothing is scored", file=sys.stderr)
        return
    folder = cli.folder.path
    run = load_run(folder, cli.model.device)
    sources, references = cli.datamodule.pairs("test")
    evaluation = evaluate(
        run.network,
        run.tokenizer,
        cli.model.search,
        sources,
        references,
        data="test",
        checkpoint=checkpoint_name(run),
        scoring=cli.model.scoring,
    )
    write_text(folder / "report" / "test.hyp", "".join(f"{line}\n" for line in evaluation.hypotheses))
    write_report(folder / "report", folder.name, [evaluation])
    print_scores([evaluation])
