"""Opens what was fitted before: scores, pictures, the tables of a sweep. Never trains, and needs no model's flags.
Exit code 1 if a metric differs, 2 for a mistake in the command.

    python evaluate.py run=outputs/sweeps/NAME/JOB     reload what the job used, compare its metrics
    python evaluate.py sweep=outputs/sweeps/NAME       rebuild results.csv, results.md and the chart
    python evaluate.py fit=outputs/fits/NAME           draw reconstructions, samples, interpolations, the codes
    python evaluate.py fit=DIR tsne=true paths.data=DIR
"""

import sys
from pathlib import Path

import compose


def main() -> int:
    """Reads the command and does the one thing it asks for; exit code 2 for a mistake in it."""
    try:
        command = compose.read_command("evaluate", [compose.quoted(argument) for argument in sys.argv[1:]])
        if command is None:
            print(__doc__.strip())
            return 0
        config = command.jobs[0]
        asked = [key for key in ("run", "sweep", "fit") if config[key] is not None]
        if len(asked) != 1 or command.multirun:
            raise compose.Mistake("give one of run=DIR, sweep=DIR, fit=DIR")
        folder = Path(str(config[asked[0]]))
        proof = {"run": "result.json", "sweep": "*/config.yaml", "fit": "fit.json"}[asked[0]]
        if not any(folder.glob(proof)):
            raise compose.Mistake(f"{asked[0]}={folder}: no such folder, or no {proof} in it")
    except compose.Mistake as mistake:
        compose.fail(str(mistake), "evaluate.py")

    import fitting

    fitting.quiet()
    try:
        if asked == ["sweep"]:
            return evaluate_sweep(folder)
        return evaluate_run(folder, config) if asked == ["run"] else evaluate_fit(folder, config)
    except (ValueError, TypeError, OSError) as error:
        compose.fail(str(error), "evaluate.py")


def evaluate_sweep(folder: Path) -> int:
    """Rebuilds a sweep's tables and chart from its result files."""
    import report

    results = report.show(folder)
    return 0 if results and all(result["status"] == "ok" for result in results) else 1


def evaluate_run(folder: Path, settings) -> int:
    """Recomputes a job's metrics from the checkpoint and the stored classifier, and compares them bit for bit."""
    import fitting
    from storage import read_json

    result, config = read_json(folder / "result.json"), stored_config(folder, settings)
    if result["status"] != "ok":
        raise ValueError(f"{folder}: the job failed ({result['error']}), there is nothing to reproduce")
    fit = fit_folder(folder, result["fit"])
    datamodule = fitting.build(config["dataset"])
    datamodule.setup()
    model = fitting.load_model(config, fit / "last.ckpt")
    metrics = fitting.test_metrics(config, model, datamodule, fit)
    for described in fitting.named(config, "post_fit"):
        callback = fitting.build(described, folder=folder)
        callback.reload(model, datamodule)
        metrics |= callback.metrics
    differing = [name for name in result["metrics"] if metrics.get(name) != result["metrics"][name]]
    for name, then in result["metrics"].items():
        print(f"{name:22} {then:<22} {'again' if name not in differing else f'now {metrics.get(name)}'}")
    if differing:
        print(f"{len(differing)} of {len(metrics)} metrics differ from {folder / 'result.json'}")
        return 1
    print(f"all {len(metrics)} metrics reproduced exactly")
    return 0


def evaluate_fit(folder: Path, settings) -> int:
    """Draws a fit's pictures into its folder."""
    import fitting
    from callbacks import pictures

    config = stored_config(folder, settings)
    datamodule = fitting.build(config["dataset"])
    datamodule.setup()
    model = fitting.load_model(config, folder / "last.ckpt")
    figures = pictures.all_pictures(model, datamodule)
    if settings.tsne:
        figures["codes_tsne"] = pictures.tsne_figure(model, datamodule)
    for file in pictures.save_figures(figures, folder / "pictures"):
        print(file)
    return 0


def stored_config(folder: Path, settings) -> dict:
    """The resolved configuration in a folder, with the data where ``paths.data`` says."""
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    if settings.paths.data is not None and "root" in config["dataset"]:
        config["dataset"]["root"] = str(settings.paths.data)
    return config


def fit_folder(run: Path, name: str) -> Path:
    """The fit's folder beside the folder of runs or sweeps that a job's folder lies in."""
    for parent in run.resolve().parents:
        if (parent / "fits" / name).is_dir():
            return parent / "fits" / name
    raise ValueError(f"{run}: its fit {name} is not in a folder fits/ above it")


if __name__ == "__main__":
    sys.exit(main())
