"""The networks of the experiments, small enough for a CPU, and the ResNet-18 of the papers for those with a GPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def placed(network: nn.Module, device: torch.device | str) -> nn.Module:
    """The same network on a device, with the channels last, which convolutions are quicker with."""
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it


def convolutional(channels: int, size: int, width: int, outputs: int) -> nn.Module:
    """Blocks of convolution, batch normalisation, ReLU and pooling down to 4 to 7 pixels, and a linear layer: images
    (B, channels, size, size) -> (B, outputs)."""
    layers: list[nn.Module] = []
    while size >= 8:
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        channels, width, size = width, 2 * width, size // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * size * size, outputs))


class Sphere(nn.Module):
    """A network whose outputs are scaled to the length `radius`, so that squared distances lie in [0, 4 radius^2]."""

    def __init__(self, network: nn.Module, radius: float = 1.0) -> None:
        super().__init__()
        self.network, self.radius = network, radius

    def forward(self, images: Tensor) -> Tensor:
        return self.radius * F.normalize(self.network(images), dim=-1)


def resnet18(channels: int, outputs: int) -> nn.Module:
    """The pre-activation ResNet-18 of He et al. 2016 in its form for images of 28 to 32 pixels."""
    layers: list[nn.Module] = [nn.Conv2d(channels, 64, 3, padding=1, bias=False)]
    inside = 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [PreActivation(inside, width, stride), PreActivation(width, width, 1)]
        inside = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, outputs))


class PreActivation(nn.Module):
    """A residual block with normalisation and ReLU before each convolution."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, width, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.before, self.between = nn.BatchNorm2d(inside), nn.BatchNorm2d(width)
        self.short = nn.Conv2d(inside, width, 1, stride, bias=False) if (inside, stride) != (width, 1) else None

    def forward(self, features: Tensor) -> Tensor:
        active = self.before(features).relu()
        beside = features if self.short is None else self.short(active)
        return self.second(self.between(self.first(active)).relu()) + beside


@torch.no_grad()
def in_blocks(network: nn.Module, images: Tensor, block: int = 500) -> Tensor:
    """What the network makes of images (B, ...), in evaluation mode, some at a time."""
    network.eval()
    return torch.cat([network(part) for part in images.split(block)])
