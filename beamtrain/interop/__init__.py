"""Models of Hugging Face's library as runs, and runs as models of that library and of CTranslate2.

architectures.py  the architectures that our Transformer can be
weights.py        their names of weights and ours, both ways
"""
