# %% [markdown]
# # A handful of labels
#
# A variational autoencoder learns from images without labels. How good a classifier do its codes make with a handful of
# labelled images, and what would the pixels themselves make of them? On the digits that ship with scikit-learn, in less
# than a minute on one core. The command does the same on MNIST and Fashion-MNIST:
#
#     python train.py -m model=vae dataset=fashion,mnist n_labels=100,600,1000,3000

# %%
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytorch_lightning as pl
import torch
from IPython.display import display

from callbacks.analyses.base import InTraining
from callbacks.analyses.latent_classifier import LatentClassifier
from classifiers.linear_svc import LinearSVCHead
from classifiers.spreading import SpreadingHead
from datamodules.digits import Digits
from datamodules.labels import draw_labels
from latent_lab.training import quiet
from lightning_modules.corruption import Jitter
from lightning_modules.networks import MLPDecoder, MLPEncoder
from lightning_modules.vae import VAE

quiet()
torch.manual_seed(0)
data = Digits()
shape = (1, 8, 8)
jitter = Jitter(shift=0.07, rotation=12.0, scale=0.2, tone=0.6)  # of what the encoder sees in training
vae = VAE(MLPEncoder(shape, 32, [256]), MLPDecoder(shape, 32, [256]), latent_dim=32, beta=0.2, corruption=jitter)
trainer = pl.Trainer(
    max_epochs=30, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False,
)  # fmt: skip
trainer.fit(vae, data)

# %% [markdown]
# What it makes of test images: above the images, below their reconstructions.

# %%
with torch.no_grad():
    images = data.test.images[:12].float() / 255
    rebuilt = vae.decode(vae.encode(images))
figure, rows = plt.subplots(2, 12, figsize=(9, 1.7))
for row, shown in zip(rows, (images, rebuilt), strict=True):
    for axes, image in zip(row, shown, strict=True):
        axes.imshow(image[0], cmap="gray", vmin=0, vmax=1)
        axes.axis("off")
display(figure)
plt.close(figure)

# %% [markdown]
# Two classifiers on the codes of so many labelled images: scikit-learn's `LinearSVC` sees nothing else, label spreading
# the codes of the other training images too, without labels. Beside them the same `LinearSVC` on pixels: on images of
# 8x8 pixels a linear classifier needs no encoder, and what unlabelled images are good for shows in the second. Five
# draws of the labels each, on one fit: ± is the standard deviation over the draws.

# %%
COUNTS, DRAWS = (20, 50, 100, 300), range(5)
HEADS = {"LinearSVC on codes": LinearSVCHead(), "spreading over codes": SpreadingHead()}
pixels = data.train.images.flatten(1).numpy() / 255, data.test.images.flatten(1).numpy() / 255
targets = data.train.targets.numpy(), data.test.targets.numpy()


def by_codes(head, n_labels: int, draw: int) -> float:
    classify = LatentClassifier(head, n_labels=n_labels, label_seed=draw, pictures="none")
    return classify.run(InTraining(trainer, vae)).metrics["accuracy"]


def by_pixels(n_labels: int, draw: int) -> float:
    labelled = draw_labels(targets[0], n_labels, draw)
    head = LinearSVCHead().fit(pixels[0][labelled], targets[0][labelled])
    return float((head.predict(pixels[1]) == targets[1]).mean())


ways = {name: partial(by_codes, head) for name, head in HEADS.items()} | {"LinearSVC on pixels": by_pixels}
found = {
    name: np.array([[100 * accuracy(count, draw) for draw in DRAWS] for count in COUNTS])
    for name, accuracy in ways.items()
}
for name, figures in found.items():
    means = zip(COUNTS, figures.mean(1), figures.std(1, ddof=1), strict=True)
    print(f"{name:22}", *(f"{count}: {mean:.1f} ± {std:.1f}" for count, mean, std in means), sep="   ")

# %%
figure, axes = plt.subplots(figsize=(6, 3.6))
for (name, figures), colour in zip(found.items(), ("#0072b2", "#009e73", "#d55e00"), strict=True):
    axes.errorbar(COUNTS, figures.mean(1), figures.std(1, ddof=1), color=colour, marker="o", capsize=3, label=name)
axes.set_xscale("log")
axes.set_xticks(COUNTS, [str(count) for count in COUNTS])
axes.minorticks_off()
axes.set_xlabel("labelled images")
axes.set_ylabel("test accuracy, %")
axes.grid(alpha=0.3)
axes.legend()
display(figure)
plt.close(figure)

# %% [markdown]
# Other heads stand in `classifiers/`, stronger encoders in `conf/model/`: `LinearSVCHead` gives way to any class there,
# `VAE` to any that has codes.
