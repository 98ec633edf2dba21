"""One model for every engine: from Hugging Face, to Hugging Face, to CTranslate2.

export_huggingface.py  a run as a folder that `transformers` loads
"""
