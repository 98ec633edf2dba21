"""The images that the experiments of docs/ranking.md are made on: sources, batches, shifts."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments" / "ranking"))

from images import Images, batches, load_images, load_task, shifted

from beamtrain.base.errors import UserError


def test_a_task_has_as_many_images_whatever_the_source_has(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Images(torch.arange(12_000.0).view(-1, 1, 1, 1).expand(-1, 3, 32, 32), torch.arange(12_000) % 10)
    asked: list[str] = []

    def load(source: str) -> tuple[Images, Images]:
        asked.append(source)
        return whole, whole

    monkeypatch.setattr("images.load_images", load)
    first, again = load_task("cifar10"), load_task("cifar10", "folder")
    assert [len(images.labels) for images in first] == [10_000, 2_000]
    assert torch.equal(first[0].labels, again[0].labels)
    assert asked == ["uoft-cs/cifar10", "folder"]
    with pytest.raises(UserError, match=r"--task cifar10-full needs 50,000 train images .* got 12,000 of"):
        load_task("cifar10-full")
    for few, found in ((9, "got 9 of .* and 9 classes from 0 to 8;"), (0, "got 0 of .* and 0 classes;")):
        whole = Images(whole.pixels[:few], whole.labels[:few])
        with pytest.raises(UserError, match=found):
            load_task("cifar10")


def test_too_few_images_for_a_batch() -> None:
    with pytest.raises(ValueError, match="9 images are fewer than a batch of 10"):
        next(batches(9, 10, torch.Generator()))


def test_images_in_the_format_of_mnist(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    for part in ("train", "t10k"):
        with gzip.open(tmp_path / f"{part}-images-idx3-ubyte.gz", "wb") as file:
            file.write(bytes(16) + pixels.tobytes())
        with gzip.open(tmp_path / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(bytes(8) + bytes([4, 0, 9]))
    train, test = load_images(str(tmp_path))
    assert train.labels.tolist() == test.labels.tolist() == [4, 0, 9]
    assert torch.equal((train.pixels.squeeze(1) * 255).round().byte(), torch.from_numpy(pixels))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"not MNIST's four files: .*t10k-labels-idx1-ubyte.gz"):
        load_images(str(tmp_path))


def test_images_in_the_format_of_the_hub(tmp_path: Path) -> None:
    from datasets import Dataset, Features, Image, Value

    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    for part in ("train", "test"):
        rows = Dataset.from_dict(
            {"img": list(pixels), "label": [3, 1]}, features=Features({"img": Image(), "label": Value("int64")})
        )
        rows.to_parquet(tmp_path / f"{part}-00000-of-00001.parquet")
    train, _ = load_images(str(tmp_path))
    assert train.labels.tolist() == [3, 1]
    assert torch.equal((train.pixels.movedim(1, -1) * 255).round().byte(), torch.from_numpy(pixels))


def test_shifts_move_the_whole_image() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.arange(1.0, 17).view(1, 1, 4, 4).expand(50, 1, 4, 4)
    moved = shifted(image, 1, generator)
    corners = {tuple(one[0, 1:3, 1:3].flatten().tolist()) for one in moved}
    assert corners == {
        tuple(image[0, 0, 1 + d : 3 + d, 1 + r : 3 + r].flatten().tolist()) for d in (-1, 0, 1) for r in (-1, 0, 1)
    }
    assert torch.equal(shifted(image, 0, generator), image)
