"""What a model of images and their classes has set apart: each class as it draws it, and the hand that wrote it."""

import torch
from torch import Tensor

from callbacks.analyses.base import Analysis, Outcome
from callbacks.drawing.mosaics import beside, captioned, mosaic, row_labels, zoom_for
from callbacks.fitted import Fitted
from datamodules.images import to_unit_range

SAMPLES, SAMPLES_SEED = 10, 0  # rows of samples; of their codes
GAP = 1


class ClassPictures(Analysis):
    """After the fit, draws two sheets whose columns are the classes (Kingma et al. 2014, figure 1).

    The outcome has no metrics. ``class_samples``: a row is one code z ~ N(0, I), so that what it says besides the class
    is the same all along the row. ``styles``: a row begins with a validation image, the first of its class, whose z
    is then drawn with every class: the same hand writes 0 to 9.
    """

    @torch.no_grad()
    def run(self, fitted: Fitted) -> Outcome:
        model, data = fitted.model, fitted.datamodule
        z = torch.randn(SAMPLES, model.latent_dim, generator=torch.Generator().manual_seed(SAMPLES_SEED))
        first = [int((data.val.targets == k).nonzero()[0]) for k in range(data.num_classes) if k in data.val.targets]
        images = to_unit_range(data.val.images[first].to(model.device))
        with torch.autocast(model.device.type, enabled=False):
            styles = model.style(images, data.val.targets[first].to(model.device))
            samples, written = (_with_every_class(model, codes.to(model.device)) for codes in (z, styles))
        names = data.class_names
        sheet = captioned(_sheet(samples, len(names)), f"mean images, each row one z, its columns {', '.join(names)}")
        zoom = zoom_for(*images.shape[2:])
        originals = beside(
            row_labels([names[int(data.val.targets[row])] for row in first], images.shape[2] * zoom + GAP),
            mosaic(images, 1, zoom, GAP),
        )
        both = beside(originals, _sheet(written, len(names)))
        title = f"left validation images; each row their z drawn as {', '.join(names)}"
        return Outcome({}, figures={"class_samples": sheet.numpy(), "styles": captioned(both, title).numpy()})

    def reload(self, fitted: Fitted, stored) -> dict[str, float]:
        """Pictures have no metrics."""
        return {}


def _with_every_class(model, z: Tensor) -> Tensor:
    """Mean images of codes ``(N, D)`` and all K classes, ``(N K, 1, H, W)``, code by code."""
    classes = torch.arange(model.num_classes, device=z.device).repeat(len(z))
    return model.generate_class(z.repeat_interleave(model.num_classes, 0), classes).clamp(0, 1)


def _sheet(images: Tensor, columns: int) -> Tensor:
    return mosaic(images, columns, zoom_for(*images.shape[2:]), GAP)
