# %% [markdown]
# # DCGAN against WGAN-GP
#
# Two adversarial models learn the digits that ship with scikit-learn, for the same number of generator updates. Their
# losses do not mean the same, and samples tell more than losses do. About a minute on one core; the command trains them
# longer, on more data, and gives a verdict on every epoch:
#
#     python train.py -m model=dcgan,wgan_gp dataset=fashion,mnist

# %%
import pytorch_lightning as pl
import torch
from IPython.display import display
from PIL import Image

from callbacks.drawing.loss_charts import losses_figure, plain_history
from callbacks.drawing.output import pixels
from callbacks.observers.loss_history import LossHistory
from callbacks.observers.sample_sheets import SampleSheets
from datamodules.digits import Digits
from latent_lab.training import quiet
from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
from lightning_modules.gan import GAN
from lightning_modules.wgan_gp import WGANGP

quiet()
MODELS = {
    "DCGAN": (GAN, "batch", {"lr_generator": 4e-3, "lr_critic": 4e-3}),
    "WGAN-GP": (WGANGP, "none", {"n_critic": 1, "lr_generator": 2e-3, "lr_critic": 4e-3}),
}
data, fits = Digits(batch_size=64), {}
for name, (kind, norm, rates) in MODELS.items():
    torch.manual_seed(0)
    shape = (1, 8, 8)
    generator = ConvGenerator(shape, z_dim=32, channels=16, stages=2)
    model = kind(generator, ConvCritic(shape, channels=16, stages=2, norm=norm), z_dim=32, **rates)
    history = LossHistory(every_n_updates=20)
    trainer = pl.Trainer(
        max_epochs=20, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[history],
    )  # fmt: skip
    trainer.fit(model, data)
    fits[name] = model.eval(), plain_history(history.state_dict())

# %% [markdown]
# The samples of each, and on the right of them training images.

# %%
for name, (model, _) in fits.items():
    print(name)
    with torch.no_grad():
        display(Image.fromarray(SampleSheets().draw(model, data)["samples"].numpy()))

# %% [markdown]
# The nearest training image under each sample tells whether a generator has learnt by heart.

# %%
with torch.no_grad():
    display(Image.fromarray(SampleSheets().draw(fits["WGAN-GP"][0], data)["nearest"].numpy()))

# %% [markdown]
# The losses, over generator updates. A discriminator at chance sits at 2 ln 2; the critic's is an estimate of the
# distance between the two distributions, as far as the critic can tell, and its fall means something.

# %%
figure = losses_figure({name: history for name, (_, history) in fits.items()})
display(Image.fromarray(pixels(figure)))
