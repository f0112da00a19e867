"""One folder of outputs and two users: what may be written is checked first, and its owner named."""

import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from commands import DIGITS, fit_of, trained
from forked import forked

from conftest import results
from latent_lab.storage import file_lock

ANN, BOB, GROUP = 40001, 40002, 40000
SMALL = (*DIGITS, "logger=none", "trainer.max_epochs=1")
pytestmark = pytest.mark.skipif(
    os.name != "posix" or os.getuid() != 0, reason="needs root, to act as two users"
)  # and their own folders


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory):
    """All that a command imports: copies of this process need not, and as another user perhaps could not."""
    trained(tmp_path_factory.mktemp("imported"), *SMALL)


@pytest.fixture
def shared():
    """A folder that both reach: pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def train(uid: int, folder: Path, *arguments: str, umask: int = 0o022) -> tuple[int, str]:
    """A command of that user's."""

    def become() -> None:
        tempfile.tempdir = str(folder)
        os.setgroups([GROUP])
        os.setgid(GROUP)
        os.setuid(uid)
        os.umask(umask)

    return forked(become, "train", *arguments, f"paths.outputs={folder / 'outputs'}")


def test_a_lock_in_a_shared_folder_is_everybodys_whatever_the_umask(shared):
    os.chown(shared, ANN, GROUP)
    for folder, lock in ((0o2770, 0o660), (0o2750, 0o640)):
        shared.chmod(folder)
        before = os.umask(0o022)
        with file_lock(shared / f"lock-{lock}").acquire(timeout=0):
            pass
        os.umask(before)
        assert (shared / f"lock-{lock}").stat().st_mode & 0o777 == lock


def test_a_group_shares_its_outputs(shared):
    """Set-group-ID, and a umask that lets the group write: one trains, the other goes on, each finds the other's."""
    outputs = shared / "outputs"
    outputs.mkdir()
    os.chown(outputs, ANN, GROUP)
    outputs.chmod(0o2775)
    words = ("-m", *SMALL, "sweep=s")
    for user, labels in ((ANN, "50"), (BOB, "50,100"), (ANN, "50,100,200")):
        code, said = train(user, shared, *words, f"n_labels={labels}", umask=0o002)
        assert code == 0, said
    assert said.count("finished before") == 2 and len(results(outputs / "sweeps")) == 3
    for path in outputs.rglob("*"):
        assert path.stat().st_gid == GROUP and path.stat().st_mode & 0o060 == 0o060, path


def test_another_users_fit_is_used_but_not_written(shared):
    """Finished, it serves a job of one's own, whose codes are not kept; unfinished, it is refused before all else."""
    assert train(ANN, shared, *SMALL)[0] == 0
    outputs, mine = shared / "outputs", shared / "outputs"
    for folder in (outputs, outputs / "runs", outputs / "fits"):
        folder.chmod(0o777)
    fit = fit_of(outputs)
    for derived in [*fit.glob("derived-*"), *fit.glob("test-*")]:
        shutil.rmtree(derived) if derived.is_dir() else derived.unlink()
    code, said = train(BOB, shared, *SMALL)
    assert code == 0 and re.search(
        r"codes.safetensors: not kept, to be made again by the next job .Permission", said
    ), said
    assert not list(fit.glob("derived-*")) and len(results(mine / "runs")) == 2
    (fit / "last.ckpt").unlink()
    code, said = train(BOB, shared, *SMALL)
    assert (code, said.count("\n")) == (2, 1), said
    owner = r"belongs to user 40001, who may let the group in \(chmod -R g\+rwX "
    assert re.search(rf"^train.py: {fit}: is not trained to its end, and {owner}", said), said


def test_another_users_sweep_is_refused_in_a_line(shared):
    assert train(ANN, shared, "-m", *SMALL, "sweep=s", "n_labels=50")[0] == 0
    outputs = shared / "outputs"
    for folder in (outputs, outputs / "sweeps", outputs / "fits"):
        folder.chmod(0o777)
    code, said = train(BOB, shared, "-m", *SMALL, "sweep=s", "n_labels=50,100")
    assert code == 2 and said.splitlines()[-1].startswith("train.py: "), said
    assert f"{outputs}/sweeps/s: can't be written, and belongs to user 40001" in said, said
