"""Images and their labels: scikit-learn's digits, a data set of the hub, or a folder with its files.

digits                                    1,797 images of 8 x 8 pixels, part of scikit-learn; every fifth is for test
ylecun/mnist, uoft-cs/cifar10, ...        by `datasets`, from the hub
FOLDER                                    parquet files train-* and test-* as on the hub, or MNIST's own format
                                          (train-images-idx3-ubyte.gz and so on: Debian's dataset-fashion-mnist)
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from beamtrain.base.errors import UserError

CLASSES = 10


class Images(NamedTuple):
    """pixels (B, channels, height, width) in [0, 1], float32; labels (B,)."""

    pixels: Tensor
    labels: Tensor


class Data(NamedTuple):
    """Where the images of a task come from, what they look like (channels, height, width), and how many there are."""

    source: str
    shape: tuple[int, int, int]
    training: int
    test: int


TASKS = {
    "digits": Data("digits", (1, 8, 8), 1438, 359),
    "mnist": Data("ylecun/mnist", (1, 28, 28), 60_000, 10_000),
    "fashion": Data("zalando-datasets/fashion_mnist", (1, 28, 28), 60_000, 10_000),
    "cifar10": Data("uoft-cs/cifar10", (3, 32, 32), 10_000, 2_000),
    "cifar10-full": Data("uoft-cs/cifar10", (3, 32, 32), 50_000, 10_000),
}


def load_task(task: str, source: str | None = None) -> tuple[Images, Images]:
    """The training and the test images of a task; of a source with more, as many are drawn, the same each time.

    Raises:
        UserError: the source is none, has fewer images, or others than the task's.
    """
    data = TASKS[task]
    source = source or data.source
    parts = []
    for name, images, count in zip(("train", "test"), load_images(source), data[2:], strict=True):
        shape, labels = tuple(images.pixels.shape[1:]), images.labels
        classes = labels.unique().tolist()
        if shape != data.shape or len(labels) < count or classes != list(range(CLASSES)):
            raise UserError(
                f"--source {source}: --task {task} needs {count:,} {name} images of (channels, height, width) "
                f"{data.shape} and classes 0 to 9, got {len(labels):,} of {shape} and {len(classes)} classes"
                + (f" from {classes[0]} to {classes[-1]}" if classes else "")
                + "; give another --source or --task"
            )
        parts.append(images if len(labels) == count else held_out(images, count)[1])
    return parts[0], parts[1]


def load_images(source: str) -> tuple[Images, Images]:
    """The training and the test images of a source.

    Raises:
        UserError: there is no such source, or it cannot be read.
    """
    if source == "digits":
        return load_digits()
    if (Path(source) / "train-images-idx3-ubyte.gz").exists():
        try:
            return _idx(Path(source), "train"), _idx(Path(source), "t10k")
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise UserError(f"--source {source}: not MNIST's four files: {error}") from error
    from datasets import load_dataset

    try:
        return _from_hub(load_dataset(source, split="train")), _from_hub(load_dataset(source, split="test"))
    except Exception as error:  # the hub client raises dozens of types; each one is the user's to read
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"--source {source}: neither a folder of images nor a data set that the hub could give: {reason}; give "
            "an id such as ylecun/mnist, or a folder with train-*.parquet and test-*.parquet or with MNIST's four files"
        ) from error


def load_digits() -> tuple[Images, Images]:
    """The digits of scikit-learn, in their order."""
    from sklearn import datasets

    pixels, labels = datasets.load_digits(return_X_y=True)
    whole = Images(torch.tensor(pixels / 16.0).float().view(-1, 1, 8, 8), torch.tensor(labels))
    test = torch.arange(len(labels)) % 5 == 4
    return taken(whole, ~test), taken(whole, test)


def on(device: str, *sets: Images) -> list[Images]:
    """The same images on a device."""
    return [Images(*(tensor.to(device) for tensor in images)) for images in sets]


def taken(images: Images, which: Tensor) -> Images:
    return Images(images.pixels[which], images.labels[which])


def held_out(images: Images, count: int, seed: int = 0) -> tuple[Images, Images]:
    """Images without `count` of them, drawn at random, and these."""
    order = torch.randperm(len(images.labels), generator=torch.Generator().manual_seed(seed))
    return taken(images, order[count:]), taken(images, order[:count])


def batches(images: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Numbers (batch,) of images, in a new order in each epoch, without end; what is left of an epoch is dropped."""
    if images < batch:
        raise ValueError(f"{images} images are fewer than a batch of {batch}")
    while True:
        yield from torch.randperm(images, generator=generator).split(batch)[: images // batch]


def shifted(pixels: Tensor, reach: int, generator: torch.Generator, flip: bool = False) -> Tensor:
    """Each image moved by up to `reach` pixels in each direction, and flipped with probability 1/2 if asked for."""
    if reach:
        count, channels, height, width = pixels.shape
        padded = torch.nn.functional.pad(pixels, (reach,) * 4)
        down, right = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=generator)
        rows, columns = (torch.arange(size) + by for size, by in ((height, down), (width, right)))
        rows, columns = rows.to(pixels.device), columns.to(pixels.device)  # (B, height), (B, width)
        padded = padded.gather(2, rows[:, None, :, None].expand(-1, channels, -1, padded.shape[-1]))
        pixels = padded.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))
    if flip:
        turned = (torch.rand(len(pixels), 1, 1, 1, generator=generator) < 0.5).to(pixels.device)
        pixels = torch.where(turned, pixels.flip(-1), pixels)
    return pixels


def _from_hub(rows: Any) -> Images:
    """rows: a `Dataset` of `datasets`, which has no types."""
    column = "image" if "image" in rows.column_names else "img"
    pixels = torch.stack([torch.tensor(np.asarray(image)) for image in rows[column]])
    pixels = pixels.unsqueeze(1) if pixels.dim() == 3 else pixels.movedim(-1, 1)  # one channel, or (B, h, w, 3)
    return Images(pixels.float() / 255, torch.tensor(rows["label"]))


def _idx(folder: Path, part: str) -> Images:
    """MNIST's own format: 16 and 8 bytes, then a byte for each pixel and each label."""
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    if len(labels) != len(pixels):
        raise ValueError(f"{len(pixels)} {part} images and {len(labels)} labels")
    return Images(torch.tensor(pixels).float() / 255, torch.tensor(labels).long())
