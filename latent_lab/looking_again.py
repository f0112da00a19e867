"""What ``evaluate.py`` makes of fits and jobs that are there: metrics again, pictures again. Nothing is trained."""

from pathlib import Path

from latent_lab.checks import check_trainer
from latent_lab.fit_files import drawn, read_identity
from latent_lab.opened import OpenFit
from latent_lab.results import JOB_AGAIN, require_as_written
from latent_lab.storage import load_arrays, write_json
from latent_lab.stored_config import NAME, Told, stored_config
from latent_lab.targets import build
from latent_lab.training import configured, quiet, test_metrics


def metrics_again(folder: Path, result: dict, fit: Path, data: str | None) -> dict[str, float]:
    """A job's metrics, from the fit's checkpoint and what its analyses stored: nothing derived is taken from a file.

    Args:
        folder: of the job.
        result: of the job.
        fit: the fit's folder.
        data: where the data lie, if not where they lay then.
    """
    quiet()
    told = Told(folder, JOB_AGAIN)
    config = stored_config(folder, read_identity(fit), data, JOB_AGAIN)
    require_as_written(folder / NAME, result)
    with told:
        check_trainer(config["trainer"])
    opened = OpenFit(fit, config=config, told=told, keep=False)

    def stored(name: str) -> dict:
        require_as_written(folder / name, result)
        return load_arrays(folder / name, JOB_AGAIN)

    metrics = {}
    for described in configured(config, "analyses"):
        required = opened.required
        with told:
            analysis = build(described, **required)
        metrics |= analysis.reload(opened, stored)
    return metrics | test_metrics(config, opened.model, opened.datamodule, fit)


def created(fit: Path) -> str:
    """When a fit was."""
    return OpenFit(fit).record["created"]


def drawn_again(folder: Path, data: str | None, tsne: bool) -> list[Path]:
    """Draws a fit's pictures into its folder; returns the files.

    Raises:
        ValueError: if none of its observers draws.
    """
    quiet()
    opened = OpenFit(folder, data=data)
    described, required = configured(opened.config, "observers"), opened.required
    with opened.told:
        observers = [build(observer, fit_folder=folder, tsne=tsne, **required) for observer in described]
    drawing = [observer for observer in observers if hasattr(observer, "redraw")]
    if opened.record.get("status") != "finished":
        print(f"{folder.name}: is not trained to its end; drawn as it was after epoch {opened.checkpoint['epoch'] + 1}")
    if not drawing:
        raise ValueError(f"{folder}: none of its callbacks draws a picture")
    files = [file for observer in drawing for file in observer.redraw(opened)]
    write_json(folder / "fit.json", opened.record | {"drawn": drawn(folder)})
    return files
