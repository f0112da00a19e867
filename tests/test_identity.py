"""A fit's identity tells the truth, as a user sees it: what is found, what is trained anew, what is said of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import (
    DIGITS,
    IMAGES,
    PLANE,
    POINTS,
    ROOT,
    assert_same_fit,
    checkpoint_of,
    environment,
    fit_of,
    fits_of,
    killed_after,
    metrics_of,
    run,
    same,
    trained,
)

from callbacks.observers.epoch_scores import Yardstick

GAN = (*IMAGES, "logger=none", "trainer.max_epochs=4", "+requires.scorer.trainer.max_epochs=3")
VIEW = (*PLANE[:-1], "logger=none", "trainer.max_epochs=2", "callbacks.analyses=null")  # 40 updates
PICTURES = "callbacks.observers.pictures"
VAE = (*DIGITS, "callbacks.analyses=null", "logger=none", "trainer.max_epochs=2")
FCD = {1: 900.0, 2: 0.0, 3: 700.0, 4: 800.0}  # added to the scores of the epochs, so that the second is the best


@pytest.fixture(scope="module")
def second_is_best():
    """Within the training of a GAN of four epochs."""
    scored = Yardstick.score_generator

    def added(self, module, averaged):
        scores = scored(self, module, averaged)
        if module._trainer is not None:
            scores["fcd"] += FCD[module.trainer.current_epoch + 1]
        return scores

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Yardstick, "score_generator", added)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory, second_is_best):
    outputs = tmp_path_factory.mktemp("whole")
    trained(outputs, *GAN)
    assert checkpoint_of(fit_of(outputs), "best.ckpt")["epoch"] + 1 == 2
    return outputs


@pytest.fixture(scope="module")
def killed(tmp_path_factory, second_is_best):
    """A GAN's fit killed just after its best epoch."""
    outputs = tmp_path_factory.mktemp("killed")
    with killed_after(epoch=2):
        assert run("train", *GAN, f"paths.outputs={outputs}").code == 1
    assert checkpoint_of(fit_of(outputs), "best.ckpt")["epoch"] + 1 == 2
    return outputs


@pytest.mark.parametrize("way", ["moved", "a symbolic link", "a relative path", "from absolute to its link"])
def test_killed_moved_and_continued_the_best_epoch_is_the_same(whole, killed, tmp_path, monkeypatch, way):
    """Fault 4: Lightning's own callback forgets the best score where its folder's path has changed."""
    shutil.copytree(killed, tmp_path / "elsewhere")
    outputs: Path | str = tmp_path / "elsewhere"
    if way == "a symbolic link":
        (tmp_path / "link").symlink_to(outputs)
        outputs = tmp_path / "link"
    elif way == "a relative path":
        monkeypatch.chdir(tmp_path)
        outputs = "elsewhere/../elsewhere"
    elif way == "from absolute to its link":
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "link").symlink_to(killed.parent)
        shutil.rmtree(outputs)
        shutil.copytree(killed, killed.parent / "again", dirs_exist_ok=True)
        outputs = tmp_path / "a" / "link" / "again"
    assert "continues after epoch 2 of 4" in trained(outputs, *GAN)
    fit = fit_of(Path(outputs))
    assert checkpoint_of(fit, "best.ckpt")["epoch"] + 1 == 2
    assert_same_fit(fit_of(whole), fit, "best.ckpt")
    assert metrics_of(Path(outputs))["fcd_best"] == metrics_of(whole)["fcd_best"]
    assert same(metrics_of(Path(outputs)), metrics_of(whole))
    assert statements(Path(outputs)) == statements(whole)


def statements(outputs: Path) -> set[str]:
    found = [json.loads(path.read_text()) for path in outputs.glob("runs/*/result.json")]
    return {result["statement"] for result in found if result["status"] == "ok"}


def test_a_best_checkpoint_of_another_epoch_is_refused(whole, tmp_path):
    """Whatever put it there: the report would contradict it."""
    shutil.copytree(whole, tmp_path / "out")
    fit = fit_of(tmp_path / "out")
    shutil.copy(fit / "last.ckpt", fit / "best.ckpt")
    said = run("train", *GAN, f"paths.outputs={tmp_path / 'out'}")
    assert said.code == 1 and "of epoch 4, where epoch 2 scored best" in said.out


def epochs(kept: dict) -> list[int]:
    return [entry["epoch"] for entry in kept["EpochScores"]["epochs"]]


def samples(kept: dict) -> int:
    return kept["EpochScores"]["samples"]


def frames(kept: dict) -> list[int]:
    return [frame["update"] for frame in kept["PlaneView"]["frames"]]


def windows(kept: dict) -> int:
    return len(kept["LossHistory"]["updates"])


@pytest.mark.parametrize(
    ("arguments", "setting", "kept", "values"),
    [
        (GAN, "callbacks.every_n_epochs", epochs, {1: [1, 2, 3, 4], 3: [3, 4]}),
        pytest.param(GAN, "callbacks.observers.scores.samples", samples, {100: 100, 120: 120}, marks=pytest.mark.slow),
        (VIEW, "callbacks.observers.view.every_n_updates", frames, {20: [1, 20, 40], 15: [1, 15, 30, 40]}),
        pytest.param(
            VIEW, "callbacks.observers.history.every_n_updates", windows, {50: 2, 10: 4}, marks=pytest.mark.slow
        ),
    ],
    ids=["every_n_epochs", "samples", "view.every_n_updates", "history.every_n_updates"],
)
def test_what_an_observer_chooses_or_keeps_is_in_the_identity(
    second_is_best, tmp_path, arguments, setting, kept, values
):
    """Fault 5: a second command with another value is not told the first's best epoch or frames."""
    arguments = [word for word in arguments if not word.startswith(f"{setting}=")]
    seen: set[Path] = set()
    for value, expected in values.items():
        out = trained(tmp_path, *arguments, f"{setting}={value}")
        (new,) = set(fits_of(tmp_path)) - seen
        assert kept(checkpoint_of(new)["callbacks"]) == expected
        seen.add(new)
    first, second = values
    assert f"{setting.rpartition('.')[2]} is {second}, was {first}" in out
    one, two = (checkpoint_of(fit)["state_dict"] for fit in seen)
    assert same(one, two)  # only watched


@pytest.mark.parametrize(
    ("arguments", "then", "now", "told"),
    [
        ([word for word in VAE if not word.startswith(PICTURES)], f"{PICTURES}.every_n_epochs=5",
         f"{PICTURES}.every_n_epochs=2", "observers.pictures.every_n_epochs is 2, was 5"),
        (VIEW, "callbacks.layers=[real]", "callbacks.layers=[real,generated]",
         "observers.view.layers is ['real', 'generated'], was ['real']"),
    ],
    ids=["pictures", "layers"],
)  # fmt: skip
def test_a_fit_that_was_watched_otherwise_says_so_in_one_line(tmp_path, arguments, then, now, told):
    trained(tmp_path, *arguments, then)
    assert "with other settings" not in trained(tmp_path, *arguments, then)
    (line,) = [line for line in trained(tmp_path, *arguments, now).splitlines() if "with other settings" in line]
    assert line == f"fit {fit_of(tmp_path).name}: was watched with other settings: {told}; fresh=true trains anew"


def test_a_sweep_is_called_as_its_name_is_written(tmp_path):
    """Fault 8: 7e85342 and 9e10011 are hashes of commits, not two infinities."""
    names = {"7e85342", "9e10011", "007", "0x10", "1_000", "true", "3.0", "nan"}
    for name in names:
        trained(tmp_path, "-m", *VAE, f"sweep={name}")
    assert {folder.name for folder in (tmp_path / "sweeps").iterdir()} == names
    assert all(
        len([job for job in folder.iterdir() if job.is_dir()]) == 1 for folder in (tmp_path / "sweeps").iterdir()
    )
    assert len(fits_of(tmp_path)) == 1


def test_words_that_look_like_numbers_stay_what_they_are(tmp_path):
    outputs = tmp_path / "1e999"
    trained(outputs, *VAE)
    assert [folder.name for folder in tmp_path.iterdir()] == ["1e999"]


@pytest.fixture
def drawn(tmp_path):
    """A fit of a drawing, the drawing, and the command."""
    drawing = tmp_path / "points.csv"
    drawing.write_text("".join(f"{x / 40},{(x % 7) / 7}\n" for x in range(41)))
    words = [*POINTS, "dataset=drawing", "logger=none", "trainer.max_epochs=1", "callbacks=none"]
    trained(tmp_path / "out", *words, f"dataset.distribution.path={drawing}")
    return tmp_path / "out", drawing, words


def test_a_drawing_edited_after_training_is_told(drawn):
    """Fault 8: in one line that names the file, rather than as metrics that differ."""
    outputs, drawing, words = drawn
    (folder,) = (outputs / "runs").iterdir()
    text = drawing.read_text()
    drawing.write_text(text + "0.5,0.9\n")
    said = run("evaluate", f"run={folder}")
    assert (said.code, said.out) == (2, "") and said.err.count("\n") == 1, said.text
    assert f"{drawing} holds other data now than it was trained on" in said.err
    out = trained(outputs, *words, f"dataset.distribution.path={drawing}")
    assert "trains anew" in out and "the data have changed" in out and len(fits_of(outputs)) == 2

    drawing.write_text(text)
    said = run("evaluate", f"run={folder}")
    assert said.code == 0 and "metrics reproduced exactly" in said.out
    drawing.unlink()
    said = run("evaluate", f"run={folder}")
    assert (said.code, said.out, said.err) == (2, "", f"evaluate.py: {drawing}: no such file\n")


def test_a_drawing_is_known_by_its_points_wherever_it_lies(drawn, tmp_path):
    outputs, drawing, words = drawn
    other = tmp_path / "a copy (é).csv"
    shutil.copy(drawing, other)
    assert "found finished" in trained(outputs, *words, f"dataset.distribution.path={other}")


def test_a_process_of_its_own_gives_a_fit_the_same_name(tmp_path):
    """No set's order, no path, no environment is in it."""
    trained(tmp_path / "here", *VAE)
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *VAE, "paths.outputs=there"], cwd=tmp_path, capture_output=True,
        text=True, env=environment(PYTHONHASHSEED="12345", LANG="C"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert fit_of(tmp_path / "there").name == fit_of(tmp_path / "here").name
    assert_same_fit(fit_of(tmp_path / "there"), fit_of(tmp_path / "here"))
