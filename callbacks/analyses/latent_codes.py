"""A fit's codes: what all heads on it start from."""

import logging

import numpy as np
import pytorch_lightning as pl
import torch

from callbacks.observers.watching import evaluating
from datamodules.images import to_unit_range
from lightning_modules.vae import active_units

log = logging.getLogger(__name__)

ENCODING_BATCH = 1000


def latent_codes(module: pl.LightningModule, datamodule: pl.LightningDataModule) -> dict[str, np.ndarray]:
    """The codes of all images that may be labelled, of the validation and of the test set, float32, with their classes.

    Returns:
        ``train_codes (N, D)``, ``train_targets (N,)``, and the same of ``val`` and ``test``; the codes hold the active
        dimensions of the training images only, and ``active (D,)`` says which these are.
    """
    arrays: dict[str, torch.Tensor] = {}
    with torch.inference_mode(), torch.autocast(module.device.type, enabled=False), evaluating(module):
        for name, (images, targets) in {
            "train": datamodule.labelled,
            "val": datamodule.val,
            "test": datamodule.test,
        }.items():
            batches = images.split(ENCODING_BATCH)
            codes = torch.cat([module.encode(to_unit_range(batch.to(module.device))) for batch in batches])
            if name == "train":
                active = active_units(codes)
                if not active.any():
                    log.warning("no latent unit is active: the classifier is given all of them")
                    active = torch.ones_like(active)
            arrays |= {f"{name}_codes": codes[:, active], f"{name}_targets": targets}
    return {"active": active.cpu().numpy()} | {k: v.cpu().numpy() for k, v in arrays.items()}
