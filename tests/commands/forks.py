"""Runs the command again and again, each time in a fork of one process that has imported everything.

Each fork finds its standard streams as a new process would: from or to files, closed, or without a reader.

    python forks.py CASES RESULTS   both JSON: lists of {arguments, stdin, stdout, stderr, encoding}, and of exit codes

A stream is the path of a file, null for one that is closed, or "no reader" for a pipe that nobody reads.
"""

import json
import os
import sys

import datasets  # noqa: F401 (imported once, for all forks)

import beamtrain.commands.compare
import beamtrain.scoring.reports
import beamtrain.training.main  # noqa: F401
from beamtrain.cli import main


def become(case: dict) -> None:
    """Give this process the streams of the case."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        stream = None
        if case[name] is None:
            os.close(descriptor)
        else:
            os.dup2(opened(case[name], writing=descriptor > 0), descriptor)
            errors = "backslashreplace" if name == "stderr" else "strict"
            stream = open(descriptor, "w" if descriptor else "r", encoding=case["encoding"], errors=errors)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def opened(place: str, writing: bool) -> int:
    if place == "no reader":
        reader, writer = os.pipe()
        os.close(reader)
        return writer
    return os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC if writing else os.O_RDONLY)


def run(case: dict) -> int:
    """The exit code, as after the end of the interpreter."""
    try:
        code = main(case["arguments"])
    except BaseException:
        code = 1
        sys.excepthook(*sys.exc_info())
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        return 120
    return code


if __name__ == "__main__":
    codes = []
    for case in json.load(open(sys.argv[1], encoding="utf-8")):  # noqa: SIM115
        if (child := os.fork()) == 0:
            become(case)
            os._exit(run(case))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    with open(sys.argv[2], "w") as results:
        json.dump(codes, results)
