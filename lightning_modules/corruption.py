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
