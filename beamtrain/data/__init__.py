"""From text to batches, in the order data flows:

lines.py      text files read line by line, one line being what ends in a line feed
formats.py    the files of a local corpus: formats, split names, rows
corpus.py     where text comes from: a hub id, a local folder or files, the bundled corpus
tokenizer.py  subwords by SentencePiece
cleaning.py   which training pairs are dropped, counted by reason
table.py      token rows in memory-mapped files
prepare.py    corpus -> tokenizer -> token tables, kept in a cache
batch.py      one padded batch
sampler.py    which rows make which batch: a pure function of seed, epoch and process
loader.py     batches in order, resumable at any point
datamodule.py all of it behind Lightning's interface
"""
