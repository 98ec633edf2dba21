"""Tokenizers of each kind that Hugging Face's library has for these models, trained on the spot."""

import io
import json

import sentencepiece
from tiny import SENTENCES

MORE = [
    "Where is the station?",
    "Wo ist der Bahnhof?",
    "The cat sleeps on the roof, and the dog barks.",
    "Die Katze schläft auf dem Dach, und der Hund bellt.",
]
TEXT = [*SENTENCES, *MORE]
LANGUAGES = {"m2m_100": ("en", "de"), "nllb": ("eng_Latn", "deu_Latn"), "mbart": ("en_XX", "de_DE")}
LANGUAGES["mbart50"] = LANGUAGES["mbart"]


def _sentencepiece(lines=TEXT, size=120, kind="unigram"):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=size, model_type=kind, minloglevel=2,
        hard_vocab_limit=False, character_coverage=1.0, num_threads=1,
    )  # fmt: skip
    return model.getvalue()


def _scored(model):
    """The pieces of a model with their scores, without <unk>, <s> and </s>."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [(processor.id_to_piece(i), processor.get_score(i)) for i in range(3, processor.get_piece_size())]


def _marian(folder, apart):
    from transformers import MarianTokenizer

    models = {"source": _sentencepiece(TEXT[:4] + MORE[::2], 80), "target": _sentencepiece(TEXT[4:], 80)}
    pieces = {side: [piece for piece, _ in _scored(model)] for side, model in models.items()}
    if not apart:
        pieces["source"] = pieces["target"] = list(dict.fromkeys(pieces["source"] + pieces["target"]))
    for side, model in models.items():
        (folder / f"{side}.spm").write_bytes(model)
        vocabulary = {piece: number for number, piece in enumerate(["</s>", "<unk>", *pieces[side], "<pad>"])}
        (folder / f"{side}.json").write_text(json.dumps(vocabulary))
    return MarianTokenizer(
        *(str(folder / name) for name in ("source.spm", "target.spm", "source.json")),
        target_vocab_file=str(folder / "target.json"),
        separate_vocabs=apart,
        source_lang="en",
        target_lang="de",
    )


def _pegasus(folder):
    from transformers import PegasusTokenizer

    special = ["<pad>", "</s>", "<mask_1>", "<mask_2>", *(f"<unk_{i}>" for i in range(2, 103)), "<unk>"]
    vocabulary = [(token, 0.0) for token in special] + _scored(_sentencepiece())
    return PegasusTokenizer(vocab=vocabulary)


def _m2m_100(folder):
    from transformers import M2M100Tokenizer

    model = _sentencepiece()
    (folder / "sentencepiece.bpe.model").write_bytes(model)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *(piece for piece, _ in _scored(model))]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    return M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"))


def _bpe(special, byte_level):
    """Vocabulary and merges of the tokenizers library."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=None if byte_level else "<unk>"))
    of_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = of_bytes if byte_level else pre_tokenizers.Metaspace()
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
    trainer = trainers.BpeTrainer(
        vocab_size=300 if byte_level else 120, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def _nllb(folder):
    from transformers import NllbTokenizer

    vocabulary, merges = _bpe(["<s>", "<pad>", "</s>", "<unk>"], byte_level=False)
    return NllbTokenizer(vocab=vocabulary, merges=merges)


def _bart(folder):
    from transformers import BartTokenizer

    vocabulary, merges = _bpe(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], byte_level=True)
    return BartTokenizer(vocab=vocabulary, merges=merges)


def _mbart(folder, many):
    from transformers import MBart50Tokenizer, MBartTokenizer
    from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES

    if many:  # which puts the special tokens where they belong
        return MBart50Tokenizer(vocab=[("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *_scored(_sentencepiece())])
    vocabulary = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")] + _scored(_sentencepiece())
    return MBartTokenizer(vocab=[*vocabulary, *((code, 0.0) for code in FAIRSEQ_LANGUAGE_CODES), ("<mask>", 0.0)])


MAKERS = {
    "marian": lambda folder: _marian(folder, apart=False),
    "marian-apart": lambda folder: _marian(folder, apart=True),
    "pegasus": _pegasus,
    "m2m_100": _m2m_100,
    "nllb": _nllb,
    "bart": _bart,
    "mbart": lambda folder: _mbart(folder, many=False),
    "mbart50": lambda folder: _mbart(folder, many=True),
}
