"""Losses on what a search finds: one file a loss, all with the contract of `base`."""
