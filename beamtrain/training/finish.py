"""What follows the last step of a run: the weights to use, and the scores of the test set."""

import sys

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.base.text_io import make_output_folder
from beamtrain.reporting.data import report
from beamtrain.reporting.page import write_report_page
from beamtrain.reporting.systems import System, of_evaluation
from beamtrain.runs.checkpoints import load_checkpoint
from beamtrain.runs.loading import load_run
from beamtrain.runs.weights import load_weights, save_weights, weights_in
from beamtrain.scoring.evaluation import Evaluation, checkpoint_name, evaluate
from beamtrain.scoring.parallel_text import ParallelText
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
    scored = _score_test(cli) if cli.config.score_test else None
    if cli.config.write_page:
        _write_page(cli, scored)
    print(f"the run lies in {folder}; to use it: beamtrain translate {cli.to_load} < FILE")


def _score_test(cli: TrainingCLI) -> tuple[ParallelText, Evaluation] | None:
    """Translate the test set as `beamtrain evaluate` does, and leave the report, if there is a test set."""
    if "test" not in cli.datamodule.splits:
        print(f"{cli.datamodule.source} has no test split: nothing is scored", file=sys.stderr)
        return None
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
    return ParallelText("test", sources, [references]), evaluation


def _write_page(cli: TrainingCLI, scored: tuple[ParallelText, Evaluation] | None) -> None:
    """Leave a page of what training has measured anyway."""
    folder, text = cli.folder.path, None
    step = load_weights(folder)[1].get("step")
    system = System(folder.name, folder=folder, step=step)
    if scored is not None:
        text, evaluation = scored
        system = of_evaluation(evaluation, name=folder.name, folder=folder, step=step)
    make_output_folder(folder / "report")
    page = folder / "report" / "report.html"
    write_report_page(page, report(folder.name, text, [system], cli.model.scoring))
    print(f"its curves and scores: {page}")
