"""Makes the gallery: three small experiments, and of what they leave the files that are worth a look.

    python docs/gallery/make.py [FOLDER]

Trains in that folder, or in one that is removed afterwards: three minutes of one core, without a download. Fails if a
file, or all of them, would be too large to lie in a repository.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

GALLERY = Path(__file__).resolve().parent
ROOT = GALLERY.parent.parent
MOST_BYTES, MOST_IN_ALL = 1_000_000, 5_000_000
COMMANDS = (  # few jobs, and few frames, so that the pages are small
    ["experiment=demo", "n_labels=20,100", "label_seed=0", "sweep=few_labels"],
    ["experiment=demo_gan", "sweep=gan"],
    ["-m", "model=gan", "dataset=8gaussians", "callbacks.observers.view.every_n_updates=150", "sweep=plane"],
)
FILES = {
    "few_labels.html": "sweeps/few_labels/report.html",
    "few_labels_errors.png": "sweeps/few_labels/classifier=spreading,*n_labels=100/errors.png",
    "vae_samples.png": "fits/vae-digits-*/pictures/samples.png",
    "vae_prior_samples.png": "fits/vae-digits-*/pictures/prior_samples.png",
    "gan.html": "sweeps/gan/report.html",
    "gan_samples.png": "sweeps/gan/*/samples.png",
    "gan_strip.png": "sweeps/gan/*/strip.png",
    "plane.html": "sweeps/plane/*/page.html",
    "plane_view.png": "sweeps/plane/*/view.png",
}


def main() -> None:
    """Trains, and copies the files of ``FILES`` beside this one."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(sys.argv[1] if sys.argv[1:] else folder).resolve()
        for words in COMMANDS:
            print("python train.py", *words, flush=True)
            subprocess.run([sys.executable, ROOT / "train.py", *words, "logger=none"], cwd=folder, check=True)
        found = {name: one(folder / "outputs", pattern) for name, pattern in FILES.items()}
        sizes = {name: path.stat().st_size for name, path in found.items()}
        for name, size in sizes.items():
            print(f"{size / 1000:6.0f} kB  {name}")
        if max(sizes.values()) >= MOST_BYTES or sum(sizes.values()) >= MOST_IN_ALL:
            sys.exit(f"too large: at most {MOST_BYTES} bytes each, {MOST_IN_ALL} in all")
        for name, path in found.items():
            shutil.copyfile(path, GALLERY / name)


def one(outputs: Path, pattern: str) -> Path:
    """The one file of that pattern.

    Raises:
        ValueError: if there is none, or are several.
    """
    found = list(outputs.glob(pattern))
    if len(found) != 1:
        raise ValueError(f"{outputs / pattern}: {len(found)} files, expects one")
    return found[0]


if __name__ == "__main__":
    main()
