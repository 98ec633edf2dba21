"""`beamtrain train`, from the command line to a finished run.

main.py        the command: from a config to a trained run with its test scores
settings.py    names of settings, in files and on the command line; bounds.py what values they may have
resuming.py, warm_start.py   where a run starts
processes.py   several processes of one run
module.py      objective, optimiser and validation for Lightning
schedule.py    the learning rate over a run
callbacks/     what happens around a step
"""

from beamtrain.training.schedule import Cosine, InverseSquareRoot, Schedule

__all__ = ["Cosine", "InverseSquareRoot", "Schedule"]
