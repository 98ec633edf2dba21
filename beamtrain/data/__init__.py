"""From text to batches, in the order data flows:

lines.py       a text file, line by line
local_files.py the files of a local corpus: which split they are, the sentence pairs in them
hub.py         data sets of the Hugging Face hub
corpus.py      where text comes from, and the splits of a corpus
tokenizer.py   subwords by SentencePiece; segmentation.py, random ones
foreign_tokenizer.py  those of a model of Hugging Face's library; renumbering.py, its token ids and ours
cleaning.py    which training pairs are dropped, counted by reason
table.py       token rows in memory-mapped files
workers.py     work on spans of rows, on every processor
encode.py      text to token tables
prepare.py     all of the above behind a cache
renumbering.py another model's token ids in our order
batch.py       one padded batch
resegment.py   other subwords in every epoch
sampler.py     which rows make which batch: a pure function of seed, epoch and process
loader.py      batches in order, resumable after any of them
datamodule.py  the whole behind Lightning's interface
"""
