"""How good translations are.

metrics.py        scores by sacrebleu, with the signatures that make them comparable
resampling.py     how sure a score and a difference are; sentence_statistics.py, what scores are computed from
word_movers.py    distances by optimal transport of word vectors; word_vectors.py, where those come from
parallel_text.py  what to score on: files, a split of a run's corpus, a test set that sacrebleu knows
evaluation.py     a test set translated and scored
reports.py        scores for people and for programs
"""
