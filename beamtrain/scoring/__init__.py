"""How good translations are: metrics with signatures, evaluation of a run, reports; `parallel_text` to score on."""
