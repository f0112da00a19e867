"""Says what of a folder of outputs nobody needs, with sizes; removes it only where told to.

    python -m latent_lab.clean                           what would be removed of outputs/
    python -m latent_lab.clean paths.outputs=DIR
    python -m latent_lab.clean remove=true               removes it

That is fits that no job in the folder needs, fits that were begun and given up, fits set aside by fresh=true, and files
left by processes that were killed while they wrote. Jobs and their results stay, and whatever is not this project's, is
another user's, is reached by a link, or is being trained. Jobs of another folder that reach these fits by a link are
not seen. To be given while no other command works in the folder. Exit code 1 if something could not be removed, 2 for a
mistake in the command.
"""

import shutil
import sys
from pathlib import Path

from filelock import Timeout

from latent_lab.clean_fits import Leftover, fits_to_remove, lock_of, needs, temporary_files
from latent_lab.command import read_command
from latent_lab.escaping import visible
from latent_lab.mistakes import Mistake, fail
from latent_lab.stopping import until_told
from latent_lab.terminal import speak_plainly

PROGRAM = "latent_lab.clean"
UNITS = ("bytes", "kB", "MB", "GB", "TB")


def main() -> int:
    """Does what the command says; returns the exit code."""
    speak_plainly()
    return until_told(run, lambda: "interrupted: what is half removed the same command removes")


def run() -> int:
    """Reads the command, lists, and removes if it says so; returns the exit code."""
    try:
        command = read_command("clean", sys.argv[1:])
        if command is None:
            print(__doc__.strip())
            return 0
        config = command.jobs[0].config
        if command.multirun or not isinstance(config["remove"], bool):
            raise Mistake("expects paths.outputs=DIR, of one folder, and remove=true or false")
        outputs = Path(config["paths"]["outputs"])
        if not any((outputs / part).is_dir() for part in ("fits", "runs", "sweeps")):
            raise Mistake(f"paths.outputs={outputs}: no such folder, or no fits/, runs/ or sweeps/ in it")
        return clean(outputs, config["remove"])
    except (ValueError, TypeError, OSError) as error:
        fail(error, PROGRAM)


def clean(outputs: Path, remove: bool) -> int:
    """Lists what can go, and removes it if told to; returns the exit code."""
    known = needs(outputs)
    found, kept = fits_to_remove(outputs, known)
    found += temporary_files(outputs)
    for reason in known.unknown:
        print(f"kept      {visible(reason)}: so no fit counts as unneeded")
    for path, reason in kept:
        print(f"kept      {visible(str(path))}: {visible(reason)}")
    failed, freed = 0, 0
    for leftover in sorted(found, key=lambda leftover: (-leftover.size, leftover.path)):
        print(f"{size(leftover.size):>9} {visible(str(leftover.path))}: {leftover.why}")
        if remove:
            try:
                removed(leftover)
                freed += leftover.size
            except (OSError, Timeout) as error:
                reason = "is being trained" if isinstance(error, Timeout) else error.strerror or str(error)
                print(f"kept      {visible(str(leftover.path))}: {visible(reason)}")
                failed += 1
    total = size(sum(leftover.size for leftover in found))
    if not found:
        print(f"nothing to remove in {visible(str(outputs))}")
    elif remove:
        print(f"removed {size(freed)}")
    else:
        print(f"{total} in all; remove=true removes it")
    return 1 if failed else 0


def removed(leftover: Leftover) -> None:
    """Removes a file, or a fit's folder: first renamed, so that what is half removed is no fit.

    Raises:
        Timeout: if it is being trained.
        OSError: if it can't be removed.
    """
    if not leftover.is_folder:
        leftover.path.unlink(missing_ok=True)
        return
    with lock_of(leftover.path):
        doomed = leftover.path
        if not doomed.name.startswith("."):
            doomed = doomed.rename(doomed.with_name(f".{doomed.name}.removed"))
        shutil.rmtree(doomed)  # which follows no links


def size(count: int) -> str:
    """``5.8 MB``: a number of bytes, decimal."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {UNITS[unit]}" if unit else f"{count} bytes"


if __name__ == "__main__":
    sys.exit(main())
