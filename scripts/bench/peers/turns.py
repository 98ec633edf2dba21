"""Training in turns: a process takes so many optimiser steps when it is told to, and says how long they took.

Standard library only, as it runs in the environment of every toolkit that is compared.
"""

import json
import os
import sys
import time
from typing import Any


class Turns:
    """One toolkit's side of the conversation: a line `N` comes in on stdin, a line of JSON goes out on stdout.

    A turn lasts from the beginning of its first step to the moment when the step after its last one would begin, so it
    holds N of everything that happens between two steps, loading data included. What the toolkit itself prints goes to
    stderr.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._facts, self._left = facts, 0
        self._start, self._cpu_start, self._tokens, self._loss = 0.0, 0.0, 0, 0.0

    def before_step(self) -> None:
        """Wait for the next turn, unless this one goes on."""
        if self._left == 0:
            self._answer(
                {
                    **self._facts,
                    "seconds": time.perf_counter() - self._start,
                    "cpu_seconds": time.process_time() - self._cpu_start,
                    "tokens": self._tokens,
                    "loss": self._loss,
                }
            )
            self._left = int(sys.stdin.readline())
            self._tokens, self._loss = 0, 0.0
            self._start, self._cpu_start = time.perf_counter(), time.process_time()

    def after_step(self, tokens: int, loss: float) -> None:
        """Count a step on so many target tokens; `loss` is its mean for one of them."""
        self._tokens += tokens
        self._loss += loss * tokens
        self._left -= 1

    def _answer(self, answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)
