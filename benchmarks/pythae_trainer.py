"""pythae's trainer on a VAE of this project, for throughput.py."""

import tempfile
from collections.abc import Callable

import torch
from torch import Tensor


def train_with_pythae(
    model, images: Tensor, targets: Tensor, batch_size: int, epochs: int, clock: Callable[[], float], **optimizer
) -> float:
    """Seconds of its training loop.

    Args:
        model: a VAE whose pixels are binarised at every sight.
        images: float32 in [0, 1], ``(N, C, H, W)``.
        targets: their classes ``(N,)``.
        batch_size: images a step.
        epochs: passes over the images.
        clock: gives the seconds now.
        optimizer: what Adam is told beside the step size; pythae itself tells it nothing.
    """
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            mean, log_var = self.net(torch.bernoulli(x)).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class Decoder(BaseDecoder):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, z):
            return ModelOutput(reconstruction=self.net(z).sigmoid())

    settings = VAEConfig(input_dim=tuple(images.shape[1:]), latent_dim=model.latent_dim, reconstruction_loss="bce")
    vae = VAE(settings, encoder=Encoder(model.encoder), decoder=Decoder(model.decoder))
    with tempfile.TemporaryDirectory() as folder:
        training = BaseTrainerConfig(
            output_dir=folder, num_epochs=epochs, per_device_train_batch_size=batch_size,
            learning_rate=model.lr, optimizer_cls="Adam", optimizer_params=optimizer or None, no_cuda=True,
        )  # fmt: skip
        trainer = BaseTrainer(vae, BaseDataset(images, targets), training_config=training)
        trainer.prepare_training()
        vae.train()
        start = clock()
        for epoch in range(1, epochs + 1):
            events = {"training_config": training, "epoch": epoch}
            trainer.callback_handler.on_epoch_begin(train_loader=trainer.train_loader, eval_loader=None, **events)
            trainer.train_step(epoch)
        return clock() - start
