"""A fit's warning is said once, whatever its figures; another warning, and another fit's, are said too."""

import warnings

import pytest
from commands import DIGITS, run

from latent_lab.warned import warned_once


def warn(text: str) -> None:
    warnings.warn(text, stacklevel=1)


def test_a_warning_of_the_same_words_is_said_once_a_fit():
    shown = warnings.showwarning
    with pytest.warns() as caught:
        warnings.simplefilter("always")
        for fit in ("a", "b", "a"):  # its training, another's, its test
            with warned_once(fit):
                for text in ("0 units, 0.12 nats", "1 units, 3 nats", "no figures"):
                    warn(f"{fit}: {text}")
    found = [str(warning.message) for warning in caught]
    assert found == ["a: 0 units, 0.12 nats", "a: no figures", "b: 0 units, 0.12 nats", "b: no figures"]
    assert warnings.showwarning is shown


def test_an_error_leaves_warnings_as_they_were():
    shown = warnings.showwarning
    with pytest.raises(ZeroDivisionError), warned_once("c"):
        raise ZeroDivisionError
    assert warnings.showwarning is shown


def test_a_fit_whose_units_are_all_inactive_says_so_once_in_its_training_and_its_test(tmp_path):
    words = [*DIGITS, "trainer.max_epochs=25", "model.beta=10000", "n_labels=50", "logger=none", "seed=0,1"]
    ran = run("train", "-m", *words, f"paths.outputs={tmp_path}")
    said = [line for line in ran.err.splitlines() if "POSTERIOR COLLAPSE" in line]
    assert ran.code == 0 and len(said) == 2, "of two fits each"
    assert all("the codes may say little" in line and "say nothing" not in line for line in said)
    assert "latent units are active (variance of the posterior means over 0.01; Burda et al. 2016)" in said[0]
