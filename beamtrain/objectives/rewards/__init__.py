"""Rewards of hypotheses: one file a reward, all with the contract of `base`; `ngram_counts` is what they see."""
