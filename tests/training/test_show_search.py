"""What loggers get at validation: the translations that were scored, and a picture of the search in the loss."""

import numpy
import pytest
from lightning.pytorch.loggers.logger import Logger
from tensorboard.backend.event_processing.event_accumulator import IMAGES, TENSORS, EventAccumulator

BEAM = [
    "--model.objective=BeamTraining",
    "--model.objective.loss=ExpectedReward",
    "--model.objective.unroll={beam_size: 2, candidates: 4}",
    "--model.objective.start_step=6",
]


class Taking(Logger):
    """A logger that takes what that of Weights & Biases does."""

    name, version = "taking", ""
    texts, pictures = [], []

    def log_metrics(self, metrics, step=None):
        pass

    def log_hyperparams(self, *arguments, **named):
        pass

    def log_text(self, key, columns=None, data=None, dataframe=None, step=None):
        self.texts.append((key, columns, data, step))

    def log_image(self, key, images, step=None, **named):
        self.pictures.append((key, images, step))


class NotTaking(Taking):
    """One that takes figures alone."""

    log_text = log_image = property(lambda self: (_ for _ in ()).throw(AttributeError))


@pytest.fixture
def taking(monkeypatch):
    monkeypatch.setattr(Taking, "texts", [])
    monkeypatch.setattr(Taking, "pictures", [])
    return Taking


def test_tensorboard_has_translations_at_each_validation_and_beams_once_the_loss_searches(train):
    assert train("--log_sentences=3", "--score_test=false", *BEAM) == 0
    events = EventAccumulator("runs/tiny/logs/tensorboard", {IMAGES: 0, TENSORS: 0}).Reload()
    texts = events.Tensors("dev/translations/text_summary")
    assert [each.step for each in texts] == [4, 8]
    lines = texts[-1].tensor_proto.string_val[0].decode().splitlines()
    assert lines[0] == "| source | reference | translation |" and len(lines) == 5
    (picture,) = events.Images("dev/beams")
    assert picture.step == 8 and picture.width > 500 and picture.height > 200


def test_a_logger_that_takes_them_gets_the_scored_translations_and_another_is_left_alone(train, taking, words_corpus):
    loggers = f"--trainer.logger=[{__name__}.NotTaking, {__name__}.Taking]"
    assert train(loggers, "--log_sentences=20", "--score_test=false", *BEAM) == 0
    sources, references = ((words_corpus / f"validation.{lang}").read_text().splitlines() for lang in ("en", "de"))
    (_, _, _, first), (name, columns, rows, last) = taking.texts
    assert (name, columns, first, last) == ("dev/translations", ["source", "reference", "translation"], 4, 8)
    assert [row[:2] for row in rows] == [list(pair) for pair in zip(sources, references, strict=True)]
    ((name, (pixels,), step),) = taking.pictures
    assert (name, step, pixels.dtype, pixels.shape[2]) == ("dev/beams", 8, numpy.uint8, 3)
    assert len(numpy.unique(pixels)) > 50  # something is drawn
