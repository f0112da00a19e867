"""A job's own run in its loggers: its settings beside its final metrics, and its figures, which are files as well."""

from pathlib import Path

from pytorch_lightning.loggers import Logger, TensorBoardLogger

from callbacks.drawing import output
from latent_lab.hparams import log_result


def show(loggers: list[Logger], settings: dict, result: dict, figures: dict, folder: Path) -> None:
    """Writes ``<name>.png`` of each figure into the folder, and all there is to the loggers.

    Args:
        loggers: of the job.
        settings: plain values by which runs are told apart.
        result: of the job, with its final metrics.
        figures: matplotlib figures, or images uint8 ``(H, W)`` or ``(H, W, 3)``.
        folder: of the job.
    """
    images = {name: output.pixels(figure) for name, figure in figures.items()}
    for name, image in images.items():
        output.save_png(image, folder / f"{name}.png")
    finals = {f"result/{name}": value for name, value in result["metrics"].items()}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            log_result(logger, result, folder)
        else:
            logger.log_hyperparams(settings)
            logger.log_metrics(finals)
    output.show(loggers, images, 0)
    for logger in loggers:
        logger.finalize("success")
