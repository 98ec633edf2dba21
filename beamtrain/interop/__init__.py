"""Models of Hugging Face's library as runs, and runs as models of that library and of CTranslate2.

architectures.py       the architectures that our Transformer can be
weights.py             their names of weights and ours, both ways
importing.py           a model of theirs as a run, compared with what it was
foreign_model.py       a folder with a model of theirs; conventions.py, how it begins and ends a text
foreign_counterpart.py such a model, as `parity` asks it
exporting.py           a run for another engine, compared before it is there
export_huggingface.py  a run that was trained here as a folder that `transformers` loads
export_foreign.py      a run that was imported, in its own architecture again
export_ctranslate2.py  a run as a model of CTranslate2; quantization.py, its number formats
ctranslate2_engine.py  searching by CTranslate2
engines.py             an engine for a run, exported into its folder once
parity.py              how far another engine agrees with our network
counterparts.py        what was exported, as `parity` asks it
"""
