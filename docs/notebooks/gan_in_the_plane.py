# %% [markdown]
# # A GAN one can see
#
# The same adversarial model on points in the plane: everything it does can be drawn. Half a minute on one core; the
# command trains longer:
#
#     python train.py model=gan dataset=ring

# %%
import html

import pytorch_lightning as pl
import torch
from IPython.display import display
from PIL import Image

from callbacks.analyses.plane_result import PlaneResult
from callbacks.drawing.output import pixels
from callbacks.observers.loss_history import LossHistory
from callbacks.observers.plane_view import PlaneView
from datamodules.distributions import Ring
from datamodules.plane import Plane
from latent_lab.training import quiet
from lightning_modules.gan import GAN
from lightning_modules.plane_networks import MLPCritic, MLPGenerator

quiet()
torch.manual_seed(0)
data = Plane(Ring(sigma=0.025), batch_size=256, train_size=20_000)
model = GAN(
    MLPGenerator(2, [64, 64, 64]), MLPCritic([64, 64, 64]), z_dim=2, n_critic=2, r1=0.001,
    lr_generator=1e-3, lr_critic=2e-3, betas=(0.0, 0.9), ema_horizon=0.1,
)  # fmt: skip
result = PlaneResult(points=20_000, paired=300)
trainer = pl.Trainer(
    max_steps=600, max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False,
    callbacks=[PlaneView(every_n_updates=50), LossHistory(every_n_updates=10), result],
)  # fmt: skip
trainer.fit(model, data)
print(result.outcome.facts["statement"])

# %% [markdown]
# The page of the fit: scrub, play, switch layers, and watch *one iteration, slowly*. It is one text without a network,
# the `page.html` that a job's folder holds; here it stands in a frame.

# %%
page = result.outcome.artefacts["page.html"]
frame = f'<iframe srcdoc="{html.escape(page)}" width="100%" height="900" style="border: 0"></iframe>'
display({"text/html": frame, "text/plain": "the page of the fit"}, raw=True)

# %% [markdown]
# The scores, beside what the data themselves reach (`_floor`) and what counts as near (`_limit`).

# %%
for name in ("js", "w1", "near"):
    metrics = {key: value for key, value in result.metrics.items() if key.split("_")[0] == name}
    print(*(f"{key} {value:.4f}" for key, value in metrics.items()), sep="   ")

# %%
display(Image.fromarray(pixels(result.outcome.figures["view"])))
