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

    result, config = read_json(folder / "result.json"), fitting.stored_config(folder, settings.paths.data)
    if result["status"] != "ok":
        raise ValueError(f"{folder}: the job failed ({result['error']}), there is nothing to reproduce")
    fit = fit_folder(folder, result["fit"])
    datamodule = fitting.build(config["dataset"])
    datamodule.setup()
    model = fitting.load_model(config, fit / "last.ckpt")
    metrics = fitting.test_metrics(config, model, datamodule, fit)
    context = {"folder": folder, "fit_folder": fit} | required_models(fit)
    for described in fitting.named(config, "post_fit"):
        callback = fitting.build(described, **context)
        callback.reload(model, datamodule)
        metrics |= callback.metrics
    # as text, to which a NaN is equal to itself
    differing = [name for name, then in result["metrics"].items() if repr(metrics.get(name)) != repr(then)]
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

    config = fitting.stored_config(folder, settings.paths.data)
    datamodule = fitting.build(config["dataset"])
    datamodule.setup()
    model = fitting.load_model(config, folder / "last.ckpt")
    callbacks = [fitting.build(c, fit_folder=folder, tsne=settings.tsne) for c in fitting.named(config, "fit")]
    drawing = [callback for callback in callbacks if hasattr(callback, "redraw")]
    if not drawing:
        raise ValueError(f"{folder}: none of its callbacks draws a picture")
    for callback in drawing:
        for file in callback.redraw(model, datamodule):
            print(file)
    return 0


def required_models(fit: Path) -> dict:
    """The models of the fits that this one required, by the name its callbacks know them by."""
    import fitting
    from storage import read_json

    models = {}
    for name, other in read_json(fit / "identity.json").get("requires", {}).items():
        folder = fit.parent / other
        if not (folder / "last.ckpt").exists():
            raise ValueError(f"{fit}: the fit {other}, which it requires as its {name}, is not beside it")
        models[name] = fitting.load_model(fitting.stored_config(folder), folder / "last.ckpt")
    return models


def fit_folder(run: Path, name: str) -> Path:
    """The fit's folder beside the folder of runs or sweeps that a job's folder lies in."""
    for parent in run.resolve().parents:
        if (parent / "fits" / name).is_dir():
            return parent / "fits" / name
    raise ValueError(f"{run}: its fit {name} is not in a folder fits/ above it")


if __name__ == "__main__":
    sys.exit(main())
