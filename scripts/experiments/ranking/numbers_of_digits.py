"""Images of numbers, put together from images of digits (Grover et al. 2019, section 6), and a network for them."""

import torch
from images import Images
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

DIGITS = 4


class Numbers:
    """Draws numbers of four digits, 0000 to 9999 equally often, each digit a random image of its class."""

    def __init__(self, digits: Images, seed: int) -> None:
        self.pixels = digits.pixels
        labels = digits.labels.cpu()
        self.by_class = [torch.nonzero(labels == digit).squeeze(-1) for digit in range(10)]
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self, *shape: int) -> tuple[Tensor, Tensor]:
        """Digits' images (*shape, 4, 1, height, width), most significant first, and numbers (*shape) as floats, both
        where the digits are."""
        digits = torch.randint(10, (*shape, DIGITS), generator=self.generator)
        chosen = torch.empty_like(digits)
        for digit, pool in enumerate(self.by_class):
            here = digits == digit
            chosen[here] = pool[torch.randint(len(pool), (int(here.sum()),), generator=self.generator)]
        numbers = (digits * 10 ** torch.arange(DIGITS - 1, -1, -1)).sum(-1).float()
        return self.pixels[chosen.to(self.pixels.device)], numbers.to(self.pixels.device)


class NumberNetwork(nn.Module):
    """(..., 4, 1, height, width) -> (..., outputs), or (...) for one: one convolution network for all digits, then two
    layers for the number."""

    def __init__(self, size: int, outputs: int = 1, width: int = 16, features: int = 32) -> None:
        super().__init__()
        stride = 2 if size > 20 else 1
        self.digit = nn.Sequential(
            nn.Conv2d(1, width, 5, stride=stride, padding=2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * (size // stride // 2) ** 2, features),
            nn.ReLU(),
        )
        self.number = nn.Sequential(nn.Linear(DIGITS * features, 64), nn.ReLU(), nn.Linear(64, outputs))

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(0, -4).contiguous(memory_format=torch.channels_last)
        found = self.digit(flat)  # (all digits, features)
        return self.number(found.view(*images.shape[:-4], -1)).squeeze(-1)


def optimised(network: nn.Module, rate: float, steps: int) -> tuple[Optimizer, LRScheduler]:
    """Adam and its one-cycle schedule."""
    optimizer = torch.optim.Adam(network.parameters(), rate, fused=True)
    return optimizer, OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.2)


@torch.no_grad()
def scored(network: nn.Module, numbers: Numbers, count: int) -> tuple[Tensor, Tensor]:
    """What the network, in evaluation mode, makes of so many numbers (count, ...), and the numbers (count,)."""
    network.eval()
    drawn = [numbers.draw(500) for _ in range(-(-count // 500))]
    return torch.cat([network(images) for images, _ in drawn]), torch.cat([values for _, values in drawn])
