"""What TensorBoard is told: a job's columns of HPARAMS, tags that results know too, steps and no epochs."""

import re

import pytest
from commands import DIGITS, run, trained
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from callbacks.drawing.tensorboard import TensorBoard, tag
from latent_lab.hparams import columns, headline, log_result, varied


def told(folder) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("scores_averaged/fcd", "score/fcd"),  # as in a result
        ("scores_raw/fcd", "score/fcd_raw"),
        ("plane/js_averaged", "score/js_averaged"),
        ("epoch/train/critic_loss", "val/critic_loss_on_training"),
        ("val/critic_loss", "val/critic_loss"),
        ("train/elbo", "train/elbo"),
    ],
)
def test_a_quantity_has_one_tag_whatever_the_model(name, of):
    assert tag(name) == of


def test_curves_are_over_steps_and_there_is_none_of_epochs(tmp_path):
    logger = TensorBoard(tmp_path)
    for step in (10, 20):
        logger.log_metrics({"val/elbo": -1.0, "scores_raw/fcd": 2.0, "epoch": 1}, step)
        logger.log_metrics({"epoch": 1}, step)
    logger.finalize("success")
    found = told(tmp_path)
    assert sorted(found.Tags()["scalars"]) == ["score/fcd_raw", "val/elbo"]
    assert [event.step for event in found.Scalars("val/elbo")] == [10, 20]


def test_a_continued_fit_takes_back_what_came_after_its_checkpoint(tmp_path):
    for first, purge in ((0, None), (2, 2)):
        logger = TensorBoard(tmp_path, purge_step=purge)
        for step in range(first, first + 3):
            logger.log_metrics({"a": float(first)}, step)
        logger.finalize("success")
    assert [(event.step, event.value) for event in told(tmp_path).Scalars("a")] == [
        (0, 0),
        (1, 0),
        (2, 2),
        (3, 2),
        (4, 2),
    ]


def test_a_job_has_the_swept_settings_and_its_headline_as_columns_and_the_rest_as_a_text(tmp_path, monkeypatch):
    metrics = {"accuracy": 0.9, "js_averaged": 0.1, "js_limit": 0.2, "test_elbo": float("nan")}
    result = {"choices": {"model": "gan", "dataset": "ring", "recipe": "a"},
              "settings": {"model": "gan", "model.layers": [1, 2], "trainer.max_epochs": 3}, "metrics": metrics,
              "headline": {"accuracy": "percent", "js_averaged": "number", "js_limit": "number"}}  # fmt: skip
    monkeypatch.setattr("latent_lab.hparams.varied", lambda folder: {"model", "model.layers", "seed"})
    logger = TensorBoard(tmp_path)
    log_result(logger, result, tmp_path)
    logger.finalize("success")
    found = told(tmp_path)
    assert sorted(found.Tags()["scalars"]) == ["z_result/accuracy", "z_result/js_averaged"], "no dot beside these"
    (text,) = found.Tensors("result/text_summary")
    assert "| js_limit | 0.2 |" in re.sub(r"0\.200*", "0.2", text.tensor_proto.string_val[0].decode())
    plugin = found.SummaryMetadata
    started = HParamsPluginData.FromString(plugin("_hparams_/session_start_info").plugin_data.content)
    shown = started.session_start_info.hparams
    assert {name: shown[name].string_value for name in shown} == {
        "dataset": "ring", "model": "gan", "model.layers": "[1, 2]"
    }  # fmt: skip
    with pytest.raises(KeyError):  # one that spoke for all runs would hide the other sweeps' columns
        plugin("_hparams_/experiment")


def test_a_single_jobs_columns_are_what_it_was_told_of_its_model_and_data():
    settings = {"model": "gan", "model.n_critic": 5, "seed": 1, "logger": "tensorboard", "paths.outputs": "x",
                "compile": True, "model.betas": None}  # fmt: skip
    assert columns(settings, None) == {"compile": True, "model": "gan", "model.betas": "None", "model.n_critic": 5,
                                       "seed": 1}  # fmt: skip
    assert columns(settings, {"seed", "n_labels"}) == {"seed": 1}


def test_a_result_without_a_table_shows_all_its_metrics():
    assert headline({"headline": {}, "metrics": {"a": 1.0}}) == ["a"]
    assert headline({"headline": {"b": "number", "a": "number"}, "metrics": {"a": 1.0}}) == ["a"]


def test_a_sweep_s_columns_are_what_differs_over_its_plan(tmp_path):
    trained(
        tmp_path, "-m", *DIGITS, "trainer.max_epochs=1", "n_labels=20,50", "seed=0", "logger=tensorboard", "sweep=s"
    )
    for job in (tmp_path / "sweeps" / "s").glob("*,n_labels=*"):
        found = told(job)
        plugin = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        shown = HParamsPluginData.FromString(plugin).session_start_info.hparams
        assert {name: shown[name].string_value or shown[name].number_value for name in shown} == {
            "n_labels": float(re.search(r"n_labels=(\d+)", job.name)[1]), "model": "vae_mlp", "dataset": "digits"
        }  # fmt: skip
        assert sorted(found.Tags()["scalars"]) == [
            f"z_result/{name}" for name in ("accuracy", "f1", "precision", "recall")
        ]
    (fit,) = (tmp_path / "fits").glob("vae*")
    curves = told(fit).Tags()["scalars"]
    assert "epoch" not in curves and max(curves) < "z_result", "TensorBoard sorts them by name: curves come first"
    assert varied(tmp_path / "sweeps" / "s") == {"n_labels"} and varied(tmp_path) is None


def test_a_fit_unlike_another_names_the_drawing_and_no_digest(tmp_path):
    for name, text in (("a.csv", "0,0\n1,1\n"), ("b.csv", "0,0\n1,2\n")):
        (tmp_path / name).write_text(text)
    words = ["model=gan", "dataset=drawing", "trainer.max_steps=2", "dataset.train_size=500",
             "dataset.batch_size=50", "trainer.accelerator=cpu",
             "logger=none", "trainer.enable_progress_bar=false", f"paths.outputs={tmp_path}",
             "callbacks.analyses=null"]  # fmt: skip

    def said(name: str) -> str:
        told = run("train", *words, f"dataset.distribution.path={tmp_path / name}")
        return told.out + told.err

    said("a.csv")
    out = said("b.csv")
    assert f"dataset.distribution.path is {tmp_path / 'b.csv'}, was {tmp_path / 'a.csv'}" in out
    (tmp_path / "b.csv").write_text("0,0\n1,3\n")
    assert f"{tmp_path / 'b.csv'} has changed" in said("b.csv")
