"""`beamtrain train`, from the command line to a finished run.

main.py        the command: from a config to a trained run with its test scores
command_line.py   its settings, parsed, and the trainer that they make; describe.py, what model.json says of them
settings.py    names of settings, in files and on the command line; bounds.py what values they may have
class_defaults.py, nested_nulls.py   how they are parsed; mistakes.py, trainer_options.py, what is said of wrong ones,
               and of unused ones
class_paths.py the one name of each class in them, and modules of the user's own; precision.py, what it allows
run_folder.py  where a run lies, who may train into it, what may be replaced
start.py       where a run starts, and all that can refuse it; by provenance.py, what a checkpoint is tied to;
               warm_start.py, another run's weights
processes.py   several processes of one run
module.py      objective, optimiser and validation for Lightning; development_set.py, what is translated at validation
trained.py     which parameters are trained
weighted_means.py   the figures of training over many batches
schedule.py    the learning rate over a run; typed_optimizer.py, the optimiser and its rate after a resume
finish.py      what follows the last step; ending.py, why it was the last
environment.py what a run was trained by
callbacks/     what happens around a step
"""

from beamtrain.training.schedule import Cosine, InverseSquareRoot, Schedule

__all__ = ["Cosine", "InverseSquareRoot", "Schedule"]
