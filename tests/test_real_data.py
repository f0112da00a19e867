"""The headline command on real data, cut to one epoch: floors that an honest model clears and a broken one does not."""

import pytest

from conftest import results


@pytest.mark.real_data
@pytest.mark.slow
def test_one_epoch_of_the_headline_sweep(command, data, tmp_path):
    code, out, _ = command(
        "train", "-m", "model=vae", "dataset=fashion,mnist", "n_labels=100,1000", "trainer.max_epochs=1", "sweep=head",
        "model.nll_images=100", "model.nll_samples=10", f"paths.data={data}", "trainer.enable_progress_bar=false",
    )  # fmt: skip
    assert code == 0 and out.count("trains anew") == 2
    jobs = results(tmp_path / "sweeps" / "head")
    accuracy = {(job["choices"]["dataset"], job["n_labels"]): job["metrics"]["accuracy"] for job in jobs.values()}
    assert accuracy["mnist", 100] > 0.82
    assert accuracy["mnist", 1000] > 0.88
    assert accuracy["fashion", 100] > 0.66
    assert accuracy["fashion", 1000] > 0.72
    assert all(job["metrics"]["active_units"] > 20 for job in jobs.values())
    further = [job["seconds"]["total"] for job in jobs.values() if job["fit_reused"]]
    assert len(further) == 2


@pytest.mark.real_data
@pytest.mark.slow
def test_one_epoch_of_m1_is_a_likelihood(command, data, tmp_path):
    """The Bernoulli ELBO on binarised MNIST after one epoch; an untrained or mean-reduced one is far off."""
    code, _, _ = command(
        "train", "model=vae_mlp", "dataset=mnist", "trainer.max_epochs=1", "model.nll_images=200",
        f"paths.data={data}", "trainer.enable_progress_bar=false", "trainer.precision=32-true",
    )  # fmt: skip
    (result,) = results(tmp_path / "runs").values()
    assert code == 0 and -210 < result["metrics"]["test_elbo"] < -130
    assert 100 < result["metrics"]["test_nll"] < -result["metrics"]["test_elbo"]
    assert 0.5 < result["metrics"]["accuracy"] < 0.9
