"""Encoder-decoder networks: what they compute (`base`), their `layers`, and their memory while decoding (`state`)."""
