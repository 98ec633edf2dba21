"""Rewards of hypotheses: one file a reward, all with the contract of `base`.

Those of n-grams are in `ngram_reward`, differentiable; `ngram_counts` is what they see.
"""
