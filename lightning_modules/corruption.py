"""What an image goes through on its way to the encoder, in training."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.checks import require_non_negative


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
        angle, (sx, sy, shear) = uniform[:, 0] * self.rotation, (uniform[:, 1:4] * self.scale).unbind(1)
        shift = uniform[:, 4:6] * 2 * self.shift  # the grid's coordinates run from -1 to 1
        # where each pixel of the result comes from: the grid of F.affine_grid, whose product of matrices is ten times
        # slower on a CPU than these sums
        rows, columns = ((2 * torch.arange(n, device=x.device) + 1) / n - 1 for n in x.shape[2:])
        across = [angle.cos() * (1 + sx), angle.sin()]  # what a step to the right changes of the column, of the row
        down = [-angle.sin() + shear, angle.cos() * (1 + sy)]
        grid = torch.stack(
            [
                (by_column[:, None] * columns + start[:, None])[:, None, :] + (by_row[:, None] * rows)[:, :, None]
                for by_column, by_row, start in zip(across, down, shift.unbind(1), strict=True)
            ],
            dim=-1,
        )
        x = F.grid_sample(x, grid, align_corners=False)
        if not self.tone:
            return x
        log_gamma, gain = (uniform[:, 6:] * self.tone).view(-1, 2, 1, 1, 1).unbind(1)
        return (1 + gain) * x.clamp_min(1e-6) ** log_gamma.exp()
