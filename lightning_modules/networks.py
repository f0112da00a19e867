"""Encoders and decoders, sized by their arguments, for images whose height and width divide by four."""

import itertools
import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS = {"relu": nn.ReLU, "softplus": nn.Softplus, "silu": nn.SiLU, "leaky_relu": nn.LeakyReLU}


def activation(name: str) -> nn.Module:
    """The activation called ``name``.

    Raises:
        ValueError: if there is none of that name.
    """
    require_one_of(ACTIVATIONS, activation=name)
    return ACTIVATIONS[name]()


def require_positive(**numbers: float) -> None:
    """Raises ValueError for the first number that is not greater than zero, by its name."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
            raise ValueError(f"{name}={number}: expects a positive number")


def require_non_negative(**numbers: float) -> None:
    """Raises ValueError for the first number that is less than zero or none at all, by its name."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < math.inf:
            raise ValueError(f"{name}={number}: expects a number from 0")


def require_one_of(accepted: Iterable[str], **chosen: str) -> None:
    """Raises ValueError for the first choice that is none of the accepted ones, by its name."""
    for name, choice in chosen.items():
        if choice not in accepted:
            raise ValueError(f"{name}={choice}: accepted are {', '.join(accepted)}")


def require_betas(betas: tuple[float, float]) -> None:
    """Raises ValueError for decay rates that Adam can't take."""
    if len(betas) != 2 or not all(isinstance(b, int | float) and 0 <= b < 1 for b in betas):
        raise ValueError(f"model.betas={list(betas)}: expects two numbers from 0 to below 1")


def cosine_decay(optimizer: torch.optim.Optimizer, steps: int) -> dict:
    """A step size that falls to zero over so many steps by half a cosine, as Lightning takes a scheduler."""
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    )
    return {"scheduler": schedule, "interval": "step"}


def init_xavier(module: nn.Module) -> None:
    """Xavier-uniform weights (Glorot & Bengio 2010) and zero biases for every linear and convolutional layer."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


def mlp(sizes: list[int], act: str) -> nn.Sequential:
    """Linear layers between the given sizes with an activation after each but the last."""
    layers: list[nn.Module] = []
    for size_in, size_out in itertools.pairwise(sizes):
        layers += [nn.Linear(size_in, size_out), activation(act)]
    return nn.Sequential(*layers[:-1])


class MLPEncoder(nn.Module):
    """Fully connected, ``(B, *image_shape)`` to ``(B, 2 * latent_dim)``: means, then log variances."""

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int, hidden: list[int], act: str = "softplus"):
        super().__init__()
        require_positive(latent_dim=latent_dim, **{f"hidden[{i}]": h for i, h in enumerate(hidden)})
        self.net = mlp([math.prod(image_shape), *hidden, 2 * latent_dim], act)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.flatten(1))


class MLPDecoder(nn.Module):
    """Fully connected, ``(B, latent_dim)`` to the likelihood's parameter ``(B, *image_shape)``."""

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int, hidden: list[int], act: str = "softplus"):
        super().__init__()
        require_positive(latent_dim=latent_dim, **{f"hidden[{i}]": h for i, h in enumerate(hidden)})
        self.net = mlp([latent_dim, *hidden, math.prod(image_shape)], act)
        self.image_shape = tuple(image_shape)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z).unflatten(1, self.image_shape)


def _quarter(image_shape: tuple[int, int, int]) -> tuple[int, int]:
    _, height, width = image_shape
    if height % 4 or width % 4:
        raise ValueError(f"image_shape={list(image_shape)}: the convolutional networks need sides that divide by 4")
    return height // 4, width // 4


class ConvEncoder(nn.Module):
    """Two strided convolutions and a hidden linear layer; shapes as :class:`MLPEncoder`."""

    def __init__(
        self, image_shape: tuple[int, int, int], latent_dim: int, channels: int, hidden: int, act: str = "relu"
    ):
        super().__init__()
        require_positive(latent_dim=latent_dim, channels=channels, hidden=hidden)
        height, width = _quarter(image_shape)
        self.net = nn.Sequential(
            nn.Conv2d(image_shape[0], channels, 4, stride=2, padding=1),
            activation(act),
            nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1),
            activation(act),
            nn.Flatten(),
            nn.Linear(2 * channels * height * width, hidden),
            activation(act),
            nn.Linear(hidden, 2 * latent_dim),
        ).to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.contiguous(memory_format=torch.channels_last))


class ConvDecoder(nn.Module):
    """The mirror image of :class:`ConvEncoder`; shapes as :class:`MLPDecoder`."""

    def __init__(
        self, image_shape: tuple[int, int, int], latent_dim: int, channels: int, hidden: int, act: str = "relu"
    ):
        super().__init__()
        require_positive(latent_dim=latent_dim, channels=channels, hidden=hidden)
        height, width = _quarter(image_shape)
        self.net = nn.Sequential(
            nn.Linear(latent_dim, hidden),
            activation(act),
            nn.Linear(hidden, 2 * channels * height * width),
            activation(act),
            nn.Unflatten(1, (2 * channels, height, width)),
            nn.ConvTranspose2d(2 * channels, channels, 4, stride=2, padding=1),
            activation(act),
            nn.ConvTranspose2d(channels, image_shape[0], 4, stride=2, padding=1),
        ).to(memory_format=torch.channels_last)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z).contiguous()


class Jitter(nn.Module):
    """A random affine map and a random tone curve for each image: the corruption of a denoising VAE.

    All drawn uniformly and applied to the whole batch at once: one bilinear resampling with zeros outside, then
    ``gain * x ** gamma``.

    Args:
        shift: largest shift, as a share of the side (2 of 28 pixels: 0.07).
        rotation: largest angle, in degrees.
        scale: largest relative change of each side's length; also the largest shear.
        tone: largest change of the gain, relative, and of the logarithm of gamma.
    """

    def __init__(self, shift: float = 0.0, rotation: float = 0.0, scale: float = 0.0, tone: float = 0.0):
        super().__init__()
        strengths = {"shift": shift, "rotation": rotation, "scale": scale, "tone": tone}
        require_non_negative(**{f"corruption.{name}": value for name, value in strengths.items()})
        self.shift, self.rotation, self.scale, self.tone = shift, math.radians(rotation), scale, tone

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # coordinates in bfloat16 would be off by pixels' tenths
            return self._jitter(x)

    def _jitter(self, x: Tensor) -> Tensor:
        uniform = torch.rand(len(x), 8, device=x.device) * 2 - 1
        angle, sx, sy, shear = (uniform[:, :4] * uniform.new_tensor([self.rotation, *3 * [self.scale]])).unbind(1)
        shift = uniform[:, 4:6] * 2 * self.shift  # the grid's coordinates run from -1 to 1
        linear = torch.stack(
            [angle.cos() * (1 + sx), -angle.sin() + shear, angle.sin(), angle.cos() * (1 + sy)], dim=1
        ).view(-1, 2, 2)
        grid = F.affine_grid(torch.cat([linear, shift[..., None]], dim=2), list(x.shape), align_corners=False)
        x = F.grid_sample(x, grid, align_corners=False)
        if not self.tone:
            return x
        log_gamma, gain = (uniform[:, 6:] * self.tone).view(-1, 2, 1, 1, 1).unbind(1)
        return (1 + gain) * x.clamp_min(1e-6) ** log_gamma.exp()
