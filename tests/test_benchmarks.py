"""The benchmarks: that they time what they say, and name what they could not measure."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import gpu_fits
import gpu_part
import race as racing
import steps

SMALL_VAE = ["model.encoder.hidden=[32]", "model.decoder.hidden=[32]", "model.latent_dim=8"]
SMALL_NETWORKS = ["model.generator.channels=2", "model.critic.channels=2"]
SMALL = {
    "vae_mlp": SMALL_VAE,
    "vae": ["model.encoder.channels=2", "model.latent_dim=8"],
    "dcgan": SMALL_NETWORKS,
    "wgan_gp": SMALL_NETWORKS,
    "r3gan": SMALL_NETWORKS,
    "scorer": ["model.channels=2"],
}


def race(model: str) -> racing.Race:
    return racing.Race(racing.read_job([f"model={model}", "dataset=digits", *SMALL[model]], batch=16), 1, 3)


def run(program: str, *words: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, f"benchmarks/{program}.py", *words]
    variables = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=300)


def cells(text: str, separator: str) -> dict[str, list[str]]:
    """A table's rows by their first cell, the bold head left out."""
    rows = [[cell.strip() for cell in line.strip(separator).split(separator)] for line in text.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) > 1}


def test_operations_are_those_of_the_products_and_all_their_derivatives():
    weights = 64 * 32 + 32 * 16 + 8 * 32 + 32 * 64  # each met once forward, once for its own gradient
    assert racing.flops_per_update(race("vae_mlp")) == 2 * 16 * (3 * weights - 64 * 32)  # none for the images' gradient


def test_operations_of_a_penalty_are_counted_too():
    plain, penalised = race("wgan_gp"), race("wgan_gp")
    penalised_flops = racing.flops_per_update(penalised)
    plain.job.config["model"]["_target_"] = "lightning_modules.gan.GAN"
    del plain.job.config["model"]["penalty_weight"]
    assert penalised_flops > 1.3 * racing.flops_per_update(plain)


@pytest.mark.parametrize("model", [pytest.param("wgan_gp", marks=pytest.mark.slow), "scorer"])
def test_throughput_sets_ours_beside_a_bare_loop_and_the_machines_product(model):
    settings = [f"model={model}", "dataset=digits", *SMALL[model], "--batch", "16"]
    done = run("throughput", *settings, "--rounds", "1", "--epochs", "1", "--steps", "2", "--clock", "cpu")
    assert done.returncode == 0, done.stderr
    rows = cells(done.stdout, "│")
    assert f"{model}, batch 16, 1 threads, cpu time" in done.stdout
    assert list(rows) == ["bare", "ours"] if model == "wgan_gp" else ["bare", "ours", "ours+val"]
    images, ratio, share = (float(cell.replace(",", "")) for cell in rows["bare"])
    assert images > 0 and ratio == 1 and 0 <= share < 1
    assert "an update: 0.0" in done.stdout and "GFLOP/s" in done.stdout


@pytest.mark.slow
def test_a_profile_adds_up_to_the_step():
    done = run("profile_step", "dataset=digits", "model=vae_mlp", *SMALL_VAE, "--batch", "16", "--steps", "10")
    assert done.returncode == 0, done.stderr
    rows = {name: [float(cell) for cell in row] for name, row in cells(done.stdout, "│").items()}
    for column in (0, 1):
        *parts, step = (row[column] for row in rows.values())
        assert sum(parts) == pytest.approx(step, abs=0.1) and rows["products"][column] > 0


@pytest.mark.slow
def test_a_table_of_a_gpu_names_what_it_could_not_measure(tmp_path):
    """Of a machine without a GPU, whose compiler is broken besides."""
    table = tmp_path / "gpu.md"
    broken = {"CXX": str(tmp_path / "nothing"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    words = ["--device", "cpu", "--models", "vae_mlp", "--updates", "3", "--fit-seconds", "8", "--out", str(table)]
    ways = ["--ways", "ours", "captured", "bare", "compiled", "1 fit"]
    done = run("gpu", "dataset=digits", *SMALL_VAE, "trainer.precision=32-true", *words, *ways, **broken)
    assert done.returncode == 0, done.stderr
    lines = [line.removeprefix("| vae_mlp ") for line in table.read_text().splitlines() if line.startswith("| vae_mlp")]
    rows = cells("\n".join(lines), "|")
    assert list(rows) == ["ours", "captured", "bare", "1 fit", "compiled"]
    assert rows["captured"][-1] == "NOT MEASURED: RuntimeError: a CUDA graph needs a GPU"
    assert rows["compiled"][-1].startswith("NOT MEASURED: ")
    for way in ("captured", "compiled"):
        assert set(rows[way][:-1]) == {"–"}
    for way in ("ours", "bare", "1 fit"):
        assert float(rows[way][1].replace(",", "")) > 0, rows
    assert float(rows["bare"][2]) == pytest.approx(
        float(rows["bare"][1].replace(",", "")) / float(rows["ours"][1].replace(",", "")), rel=0.05, abs=0.06
    )
    assert "x ours by" in table.read_text()


def test_what_there_is_no_time_for_is_named(tmp_path):
    table = tmp_path / "gpu.md"
    done = run("gpu", "dataset=digits", "--device", "cpu", "--minutes", "0", "--models", "dcgan", "--out", str(table))
    lines = table.read_text().splitlines()
    assert done.returncode == 0 and sum("NOT MEASURED: the minutes were over" in line for line in lines) == 7
    assert lines[-1] == "dcgan: nothing to set beside ours; 10 x is not shown."


def test_a_table_of_no_gpu_is_refused_in_a_line():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    done = run("gpu", "dataset=digits")
    assert done.returncode == 2
    assert done.stderr == "gpu.py: no GPU is to be seen; --device cpu runs what does not need one\n"


def test_the_steps_of_a_fit_on_a_cpu_do_not_each_look_for_a_gpu(monkeypatch):
    """As torch's optimizers do, by loading NVIDIA's library, where Lightning has asked for that."""
    count, looks = torch.cuda.device_count, []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: looks.append(1) or count())
    found = []
    for updates in (2, 12):
        monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
        small = race("vae_mlp")
        small.updates, before = updates, len(looks)
        racing.fit(small, [], "32-true")
        found.append(len(looks) - before)
    assert found[0] == found[1]


class Seen(TorchDispatchMode):
    """Notes which operations run."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("model", SMALL)
def test_nothing_in_an_update_comes_from_the_host_or_goes_there(model):
    """A copy from there (torch.tensor, new_tensor) or a number for Python (item) can't be captured, and stalls."""
    contestant = gpu_part.Contestant(race(model), torch.device("cpu"), "bf16-mixed")
    contestant.update()
    with Seen() as seen:
        contestant.update()
    assert not seen.names & {"lift_fresh", "_local_scalar_dense", "nonzero"}


def test_batches_come_from_a_place_that_moves_by_itself():
    small = race("vae_mlp")
    feed = gpu_part.Feed(small.data, 16, torch.device("cpu"))
    batches = [feed() for _ in range(feed.updates + 1)]
    assert torch.equal(batches[0][0], batches[-1][0]) and not torch.equal(batches[0][0], batches[1][0])
    images, targets = small.data.train
    assert torch.equal(batches[2][0], small.data.as_seen(images[feed.order[32:48]]))
    assert torch.equal(batches[2][1], targets[feed.order[32:48]])
    assert len(feed.order.unique()) == 16 * feed.updates


@pytest.mark.parametrize("model", ["vae", "wgan_gp"])
def test_an_update_can_be_made_again_from_the_beginning(model):
    contestant = gpu_part.Contestant(race(model), torch.device("cpu"), "32-true")
    first = contestant.way(contestant.update)
    assert torch.equal(first, contestant.way(contestant.update)) and first.norm() > 0
    assert gpu_part.distance(contestant.way(lambda: None), first) == 1
    with pytest.raises(RuntimeError, match="way differs from eager by 1, more than 0.01: it is not the same update"):
        gpu_part.require_same("way", gpu_part.distance(contestant.way(lambda: None), first), gpu_part.SAME)


def test_the_penalty_that_is_compiled_has_the_eager_ones_gradient():
    device = torch.device("cpu")
    expected = gpu_part.Contestant(race("wgan_gp"), device, "32-true").gradients()
    contestant = gpu_part.Contestant(race("wgan_gp"), device, "32-true")
    contestant.step.critic_loss = gpu_part.penalised(contestant.model)
    assert gpu_part.distance(contestant.gradients()["critic"], expected["critic"]) < 1e-5
    contestant.model.penalty_weight = 0.0  # as a penalty whose gradient is silently zero
    assert gpu_part.distance(contestant.gradients()["critic"], expected["critic"]) > gpu_part.SAME_BF16


def test_updates_of_fits_side_by_side_are_counted_while_all_train():
    one = [(0.0, 0), (10.0, 100), (20.0, 300)]
    other = [(5.0, 0), (15.0, 400)]  # from 5 to 15 s both train: one from 50 to 200
    assert gpu_fits.together([one, other], 9.0) == pytest.approx((150 + 400) / 10)
    with pytest.raises(RuntimeError, match="for 10.0 s only: give them more seconds"):
        gpu_fits.together([one, other], 11.0)


def test_a_model_without_a_bare_update_is_named():
    with pytest.raises(TypeError, match="^Linear: no bare update"):
        steps.bare(torch.nn.Linear(2, 2))


def test_a_knob_is_chosen_by_the_mean_over_counts_and_data_sets():
    import choose

    def result(dataset: str, n_labels: int, value: float, accuracy: float) -> dict:
        return {"status": "ok", "choices": {"dataset": dataset}, "n_labels": n_labels,
                "settings": {"classifier.C": value}, "metrics": {"accuracy": accuracy}}  # fmt: skip

    results = [result(d, n, value, accuracy) for d in ("mnist", "fashion") for n in choose.COUNTS
               for value, accuracy in ((0.5, 0.7 + 0.1 * (d == "mnist")), (2.0, 0.76))]  # fmt: skip
    in_use = {"mnist": "0.5", "fashion": "0.5"}
    shared = choose.table(choose.Knob("classifier.C", ("5e-1", "2.0", "9")), results, in_use)
    assert "| 5e-1 | 80.00 | 80.00 | 80.00 | 80.00 | 70.00 |" in shared and "| 9 | nan | nan" in shared
    assert shared.endswith("mnist and fashion: chosen 2.0, in use is 0.5, 1.00 below it in the mean")
    each = choose.table(choose.Knob("classifier.C", ("5e-1", "2.0"), each=True), results, in_use)
    assert "\nmnist: chosen 5e-1, which is in use\n" in each
    assert each.endswith("\nfashion: chosen 2.0, in use is 0.5, 6.00 below it in the mean")


def test_what_an_earlier_sweep_left_is_not_averaged_in(tmp_path, monkeypatch):
    import choose

    monkeypatch.setattr(choose.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0))
    knob = choose.Knob("classifier.k", ("1", "3"), ("classifier=knn",))
    names = [job.name for job in choose.read_command("train", ["-m", "classifier=knn", "classifier.k=1,3",
             "dataset=mnist,fashion", "n_labels=100,600,1000,3000", "label_seed=range(2)"]).jobs]  # fmt: skip
    for name in names:
        folder = tmp_path / "sweeps" / "choose_k" / name
        folder.mkdir(parents=True)
        (folder / "result.json").write_text('{"status": "ok"}')
    assert len(names) == 32 and len(choose.tried("k", knob, 1, [f"paths.outputs={tmp_path}"])) == 16
    assert choose.used(choose.KNOBS["rbf_svc"], []) == {"mnist": "3.0", "fashion": "3.0"}
    assert choose.used(choose.KNOBS["smoothed_svc"], [])["mnist"] == "0.6"
    assert choose.used(choose.KNOBS["rotation"], []) == {"mnist": "20.0", "fashion": "5.0"}


def test_a_knob_that_there_is_not_is_a_mistake():
    done = run("choose", "nosuch")
    assert done.returncode == 2 and done.stderr.startswith("choose.py: nosuch: no such knob; there are linear_svc, ")


@pytest.mark.slow
def test_heads_are_measured_each_in_its_own_process():
    done = run("heads", "--heads", "knn", "spreading", "--n", "300", "--labels", "30")
    assert done.returncode == 0, done.stderr
    rows = cells(done.stdout, "|")
    assert rows["knn"][:3] == ["300", "–", "–"], "it has no graph"
    assert rows["spreading"][1].endswith(" s") and rows["spreading"][-1].endswith(" MB")


@pytest.mark.slow
def test_quality_is_drawn_over_minutes(tmp_path):
    """A line of text a scored epoch, minutes that rise, and one picture with a panel a data set."""
    picture = tmp_path / "quality.png"
    words = ["--models", "dcgan", "--datasets", "digits", "--into", str(picture), "callbacks.every_n_epochs=1"]
    done = run("quality", *words, "trainer.max_epochs=2", "+requires.scorer.trainer.max_epochs=2", *SMALL_NETWORKS)
    assert done.returncode == 0, done.stderr
    lines = re.findall(r"^digits dcgan ([\d.]+) minutes: FCD ([\d.]+), floor ([\d.]+)$", done.stdout, re.MULTILINE)
    minutes, fcd, floors = zip(*(map(float, line) for line in lines), strict=True)
    assert len(lines) == 2 and minutes == tuple(sorted(minutes)) and len(set(floors)) == 1 and min(fcd) > floors[0]
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 5000
    refused = run("quality", "--models", "dcgna")
    assert refused.returncode == 2 and refused.stderr.startswith(
        "quality.py: model=dcgna: unknown (did you mean dcgan?)"
    )
