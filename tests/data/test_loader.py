"""Batches as training gets them: right, the same under any number of workers, and resumable in Lightning."""

import itertools
import logging
import multiprocessing
import os
import signal
import time
import warnings

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data._utils import worker
from waiting import running, wait_until

from beamtrain.data.batch import Batch, pad
from beamtrain.data.datamodule import TranslationData
from beamtrain.data.tokenizer import BOS, EOS, PAD

SAMPLED = {"subwords": "bpe", "subword_sampling": 0.1}


def fields(batch: Batch) -> tuple[list, ...]:
    return tuple(tensor.tolist() for tensor in (batch.source, batch.target_in, batch.target_out, batch.index))


def take(loader, count: int) -> list[tuple[list, ...]]:
    """The next `count` batches, over as many epochs as that takes."""
    return [fields(batch) for batch in itertools.islice(itertools.chain.from_iterable(itertools.repeat(loader)), count)]


def test_a_batch_is_what_its_rows_say(data):
    opened = data()
    source, target = opened.pairs("train")
    encode = opened.tokenizer.source.encode
    for batch in opened.train_dataloader():
        rows = batch.index.tolist()
        expected_source = [[*tokens, EOS] for tokens in encode([source[row] for row in rows])]
        expected_target = encode([target[row] for row in rows])
        assert batch.source.equal(pad(expected_source))
        assert batch.target_in.equal(pad([[BOS, *tokens] for tokens in expected_target]))
        assert batch.target_out.equal(pad([[*tokens, EOS] for tokens in expected_target]))
        assert batch.num_target_tokens == sum(len(tokens) + 1 for tokens in expected_target)
        assert len(batch) * max(batch.source.shape[1], batch.target_out.shape[1]) <= 400
        assert len(batch) == len(rows)


@pytest.mark.parametrize("settings", [{}, SAMPLED])
def test_the_number_of_workers_changes_nothing(data, settings):
    alone, one, two = (take(data(num_workers=n, **settings).train_dataloader(), 40) for n in (0, 1, 2))
    assert alone == one == two


def test_sampling_cuts_the_same_text_anew_in_every_epoch(data):
    opened = data(**SAMPLED)
    loader = opened.train_dataloader()
    lines, references = opened.pairs("train")
    seen = []
    for _ in range(2):
        tokens = {}
        for batch in loader:
            rows = [row[row > 3].tolist() for row in batch.source]
            assert opened.tokenizer.source.decode(rows) == [lines[row] for row in batch.index]
            targets = [row[row > 3].tolist() for row in batch.target_out]
            assert opened.tokenizer.target.decode(targets) == [references[row] for row in batch.index]
            tokens |= dict(zip(batch.index.tolist(), rows, strict=True))
        seen.append(tokens)
    assert seen[0].keys() == seen[1].keys()
    assert sum(seen[0][row] != seen[1][row] for row in seen[0]) > 200


def test_sampling_makes_no_side_longer_than_the_longest_there_is(data):
    opened = data(subwords="bpe", subword_sampling=0.9)  # nearly a token for each letter
    encode = opened.tokenizer.source.encode
    lines, longest, cut = opened.pairs("train")[0], opened.longest("train"), 0
    for batch in opened.train_dataloader():
        assert max(batch.source.size(1), batch.target_out.size(1)) <= longest
        usual = encode([lines[row] for row in batch.index])
        rows = [row[row > 3].tolist() for row in batch.source]
        cut += sum(row != tokens for row, tokens in zip(rows, usual, strict=True))
    assert 0 < cut < len(lines)


@pytest.mark.parametrize("workers", [(0, 0), (0, 2), (2, 0), (2, 2)])
def test_it_resumes_with_the_next_batch(data, workers):
    batches = take(data(**SAMPLED).train_dataloader(), 40)
    for done in (0, 1, 17, len(data().train_dataloader())):
        before = data(num_workers=workers[0], **SAMPLED).train_dataloader()
        assert take(before, done) == batches[:done]
        after = data(num_workers=workers[1], **SAMPLED).train_dataloader()
        after.load_state_dict(before.state_dict())
        assert take(after, 40 - done) == batches[done:]


def test_the_global_random_state_is_left_alone(data):
    opened = data()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    take(opened.train_dataloader(), 40)
    take(opened.val_dataloader(), 5)
    assert torch.rand(3).equal(expected)


def test_validation_has_every_pair_once_in_fixed_batches(data):
    loader = data().val_dataloader()
    batches = [fields(batch) for batch in loader]
    assert batches == [fields(batch) for batch in loader]
    assert sorted(row for *_, index in batches for row in index) == list(range(30))
    assert len(loader) == len(batches)


def test_a_batch_moves_as_one(data):
    batch = next(iter(data().train_dataloader()))
    moved = batch.to("meta")
    assert {each.device.type for each in (moved.source, moved.target_in, moved.target_out, moved.places)} == {"meta"}
    for name in ("index", "source_lengths", "target_lengths"):  # which only the host reads
        assert getattr(moved, name).equal(getattr(batch, name))


def test_where_its_target_tokens_stand():
    batch = Batch.of_pairs(pad([[5, EOS], [6, 7, EOS]]), pad([[8, EOS], [9, 4, 9, EOS]]), torch.tensor([3, 1]))
    assert batch.target_in.tolist() == [[BOS, 8, PAD, PAD], [BOS, 9, 4, 9]]
    assert batch.at_targets(batch.target_out).tolist() == [8, EOS, 9, 4, 9, EOS]
    assert batch.source_lengths.tolist() == [2, 3] and batch.target_lengths.tolist() == [2, 4]
    assert batch.num_target_tokens == 6


def test_pad():
    assert pad([[5], [6, 7], []]).tolist() == [[5, PAD], [6, 7], [PAD, PAD]]
    assert pad([]).shape == (0, 0)


class Witness(pl.LightningModule):
    """Notes which rows it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[int]] = []

    def training_step(self, batch: Batch, number: int) -> torch.Tensor:
        self.seen.append(batch.index.tolist())
        return self.weight * 0

    def validation_step(self, batch: Batch, number: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data, steps: int, checkpoints=None, resume=None, workers: int = 0, **settings) -> list[list[int]]:
    witness = Witness()
    keep = ModelCheckpoint(dirpath=checkpoints, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        trainer = pl.Trainer(
            max_steps=steps,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=bool(checkpoints),
            callbacks=[keep] if checkpoints else [],
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            **settings,
        )
        trainer.fit(witness, datamodule=data(num_workers=workers), ckpt_path=resume)
    return witness.seen


@pytest.mark.parametrize(
    "settings",
    [{}, {"val_check_interval": 4}, {"accumulate_grad_batches": 3}, {"limit_train_batches": 7}],
    ids=["plain", "validation within the epoch", "accumulation", "short epochs"],
)
def test_lightning_resumes_at_any_step(data, tmp_path, settings):
    epoch = len(data().train_dataloader())
    window = settings.get("accumulate_grad_batches", 1)
    steps = 2 * epoch // window + 2
    whole = fit(data, steps, checkpoints=tmp_path / "checkpoints", **settings)
    assert sorted(row for rows in whole[:epoch] for row in rows) == list(range(300))
    assert len(whole) > epoch
    ends = {epoch // window - 1, epoch // window, epoch // window + 1, -(-epoch // window)}
    for step, workers in [(1, 0), (5, 2), (7, 0), *((end, 0) for end in ends)]:
        rest = fit(data, steps, resume=tmp_path / "checkpoints" / f"step={step}.ckpt", workers=workers, **settings)
        assert rest and rest == whole[len(whole) - len(rest) :]


def die_while_workers_start(settings, started):
    """Killed before the workers have looked who their parent is, by which PyTorch's own watch would know its end."""
    parent, watchdog = os.getpid(), worker.ManagerWatchdog

    def late():
        while os.getppid() == parent:
            time.sleep(0.01)
        return watchdog()

    worker.ManagerWatchdog = late
    iterator = TranslationData(num_workers=2, **settings).train_dataloader()._get_iterator()
    assert iterator
    for process in multiprocessing.active_children():
        (started / str(process.pid)).touch()
    os.kill(parent, signal.SIGKILL)


def test_workers_end_with_a_process_that_is_killed_while_they_start(small, tmp_path):
    started = tmp_path / "started"
    started.mkdir()
    TranslationData(**small).prepare_data()
    process = multiprocessing.get_context("spawn").Process(target=die_while_workers_start, args=(small, started))
    process.start()
    process.join()
    workers = [int(path.name) for path in started.iterdir()]
    assert process.exitcode == -signal.SIGKILL
    assert len(workers) == 2
    wait_until(lambda: not any(running(number) for number in workers))
