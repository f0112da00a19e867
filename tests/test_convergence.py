"""The verdict on a fit in the plane: courses of its scores made on purpose, and what is said of them."""

import math

import pytest

from metrics.advice import EPOCHS, FASTER, LOWER, SCORES, WORDS, YOUNG_LINE
from metrics.convergence import MANY, convergence
from metrics.courses import excess, trend, whole
from metrics.plane_yardstick import Bound

BOUNDS = {
    "kl": Bound(0.01, 0.001, math.inf),
    "js": Bound(0.002, 0.001, 0.1),
    "w1": Bound(0.02, 0.005, 0.05),
    "near": Bound(0.99, 0.001, 0.89),
    "misplaced": Bound(0.01, 0.002, 0.11),
    "least": Bound(0.96, 0.01, 0.7),
    "narrowest": Bound(0.97, 0.01, 0.25),
    "width": Bound(1.0, 0.01, 0.5),
    "widest": Bound(1.03, 0.01, 2.0),
    "modes": Bound(8, 0, 8),
}
GOOD = {"js": 0.01, "w1": 0.021, "near": 0.98, "misplaced": 0.02, "least": 0.95, "narrowest": 0.96, "widest": 1.1}
GOOD |= {"width": 1.0, "modes": 8, "kl": 0.02}
FALLING = [0.9, 0.7, 0.5, 0.3, 0.2, 0.12, *[0.05] * 18]
FORTY = 40


def judge(
    js=None, learning=None, decided=0.05, gradient=1.0, losses=None, final=None, estimate=None, every=10,
    budget=EPOCHS, **others,
):  # fmt: skip
    """Of courses of scores of the averaged generator; those not given are good throughout."""
    courses = others | ({"js": js} if js is not None else {})
    count = len(next(iter(courses.values())))
    frames = []
    for i in range(count):
        averaged = GOOD | {name: course[i] for name, course in courses.items()}
        frame = {f"{name}_averaged": value for name, value in averaged.items()}
        frame |= {"js": learning[i] if learning else averaged["js"], "w1": averaged["w1"], "decided": decided}
        frame |= {"critic_w1": estimate[i]} if estimate else {}
        frames.append(frame | {"gradient": gradient if isinstance(gradient, float) else gradient[i]})
    updates = [every * (i + 1) for i in range(count)]
    return convergence(updates, frames, BOUNDS, losses, final=final, budget=budget)


def steps(first, last, count=FORTY):
    return [first + (last - first) * i / (count - 1) for i in range(count)]


def wave(*values, count=FORTY):
    return [values[i % len(values)] for i in range(count)]


@pytest.mark.parametrize(
    "state, case",
    [
        ("diverged", {"js": [*FALLING[:-1], math.nan], "w1": [0.02] * 23 + [math.inf]}),
        ("diverged", {"js": FALLING, "gradient": [1.0] * 23 + [math.nan]}),
        ("converged", {"js": FALLING}),
        ("converged", {"js": FALLING, "learning": wave(0.3, 0.05, count=24)}),  # its average is near
        ("converged", {"js": FALLING, "modes": [2] * 6 + [8] * 18}),
        ("converged", {"js": wave(0.05, 0.06)}),
        ("converged", {"js": steps(0.05, 0.051)}),  # steadily, but nowhere
        ("converged", {"js": steps(0.02, 0.03)}),  # steadily, a tenth of the way
        ("converged", {"js": [0.05], "w1": [0.02]}),
        ("drifted", {"js": steps(0.02, 0.09, 10) + steps(0.02, 0.09, 30)}),
        ("drifted", {"w1": [0.021] * 30 + steps(0.021, 0.045, 10)}),
        ("drifted", {"js": [0.05] * 30 + steps(0.2, 0.6, 10)}),
        ("collapsed", {"js": [0.2] * 12, "modes": [5] * 12, "least": [0.0] * 12, "misplaced": [0.375] * 12}),
        ("collapsed", {"js": FALLING, "modes": [7] * 24, "least": [0.02] * 24, "misplaced": [0.125] * 24}),
        ("collapsed", {"least": [0.05] * FORTY, "misplaced": [0.05] * FORTY}),  # a gap in a curve
        ("improving", {"js": steps(1.0, 0.2)}),
        ("improving", {"js": [a + b for a, b in zip(steps(1.0, 0.3), wave(0.01, -0.01), strict=True)]}),
        ("arrived", {"js": steps(1.0, 0.09)}),
        ("arrived", {"js": [0.12] * 35 + [0.05] * 5}),  # near of late only
        ("arrived", {"js": [0.12] * 32 + [0.05] * 8}),
        ("improving", {"least": [0.0] * 30 + steps(0.0, 0.6, 10), "misplaced": [0.9] * 30 + steps(0.9, 0.2, 10)}),
        ("improving", {"least": [0.0] * 30 + steps(0.0, 0.15, 10), "misplaced": [0.9] * 30 + steps(0.9, 0.2, 10)}),
        ("overpowered", {"js": [0.9] * 12, "decided": 0.49}),
        ("vanished", {"js": [0.3] * 12, "gradient": [1.0] * 4 + [1e-6] * 8, "decided": 0.0}),
        ("left", {"js": [0.05] * 39 + [0.5]}),
        ("left", {"js": [0.05] * 33 + [0.12] * 7}),
        ("unstable", {"w1": [0.02] * 20 + [math.inf] + [0.02] * 3, "js": [0.05] * 24}),
        ("unstable", {"js": [*FALLING[:-2], math.nan, 0.05]}),
        ("unstable", {"js": FALLING, "gradient": [1.0] * 22 + [math.nan, 1.0]}),
        ("converged", {"js": [*FALLING[:6], math.nan, *FALLING[7:]]}),  # long ago
        ("oscillated", {"js": wave(0.09, 0.11)}),  # about its limit
        ("oscillated", {"js": wave(0.2, 0.6), "learning": [0.3] * FORTY}),
        ("oscillated", {"least": [*[0.6] * 35, 0.05, *[0.6] * 4]}),
        ("oscillated", {"js": [0.2] * 12, "learning": wave(0.3, 0.1, count=12)}),
        ("oscillated", {"w1": wave(0.08, *[0.03] * 8)}),
        ("stuck", {"js": [0.3] * 12}),
        ("stuck", {"w1": [0.07] * FORTY}),
    ],
)
def test_states_follow_from_the_rules(state, case):
    found = judge(**case)
    assert found.state == state, found.sentence
    assert (found.since is not None) == (state == "converged")
    assert found.sentence.startswith(WORDS[state].head.split("{")[0])


@pytest.mark.parametrize("name", [name for name in GOOD if name != "kl"])
def test_each_score_alone_decides_at_its_limit(name):
    """Within it by a hundredth the fit has converged, beyond it not, and the sentence has the figure and the limit."""
    bound = BOUNDS[name]
    slack = (bound.limit - bound.floor) / 100 or -1
    assert judge(**{name: [bound.limit - max(slack, -bound.floor) * (name != "modes")] * FORTY}).state == "converged"
    value = bound.limit + slack
    found = judge(**{name: [value] * FORTY})
    assert found.state != "converged"
    label, form, advice = SCORES[name]
    assert (
        f"{label} {form.format(value)} (" in found.sentence
        and f"its limit {form.format(bound.limit)}" in found.sentence
    )
    assert found.sentence.endswith(f". Advice: {advice}")
    one = [bound.limit - slack * (name != "modes")] * FORTY
    one[35] = value
    assert judge(**{name: one}).state == "oscillated", "one frame of those judged is enough"
    assert "beyond it in 1 of the last 10 frames" in judge(**{name: one}).sentence


def test_near_from_an_update_on_is_near_in_all_frames_from_there_on():
    assert judge(js=FALLING).since == 70
    assert judge(js=[0.5] * 5 + [0.05] * 10 + [0.5] * 9 + [0.05] * 76).since == 250
    found = judge(js=[0.5] * 5 + [0.05] * 60 + [0.5] + [0.05] * 34)
    assert found.since == 670 and found.sentence.startswith("converged, within all limits from update 670 on: ")
    assert judge(js=[0.05] * 30).since == 10


def test_a_larger_sample_has_the_last_word():
    """The table under the sentence is of these points."""
    better = BOUNDS | {"w1": Bound(0.01, 0.001, 0.03)}
    found = judge(js=FALLING, final=(GOOD | {"w1": 0.04}, better))
    assert found.state == "borderline" and "W1 0.0400 (over its limit 0.0300, floor 0.0100 ± 0.0010)" in found.sentence
    assert found.sentence.startswith(
        "not converged: within all limits in the frames from update 70 to 240, but not in the larger sample of the "
        "end: "
    )
    assert (
        found.summary == "borderline: near in its last frames, not in a larger sample, w1_averaged 0.0400, limit 0.0300"
    )
    arrived = judge(js=[0.12] * 35 + [0.05] * 5, final=(GOOD | {"w1": 0.04}, better))
    assert arrived.state == "borderline" and "from update 360 to 400, but not" in arrived.sentence
    assert judge(js=[0.05] * 23 + [0.2], final=(GOOD | {"w1": 0.04}, better)).state == "left"
    assert judge(js=[0.05] * 20 + [0.2] * 2 + [0.05] * 2, final=(GOOD | {"w1": 0.04}, better)).state == "oscillated"
    assert judge(js=FALLING, final=(GOOD | {"w1": 0.029}, better)).state == "converged"
    assert judge(js=[*FALLING[:-1], 0.2], final=(GOOD, BOUNDS)).state == "converged"


@pytest.mark.parametrize(
    "state, advice",
    [("left", LOWER), ("drifted", LOWER), ("oscillated", LOWER), ("improving", "train longer (trainer.max_epochs)")],
)
def test_advice_fits_the_state(state, advice):
    assert WORDS[state].advice == advice


AWAY = {"js": [1.0] * FORTY, "near": [0.0] * FORTY, "least": [0.0] * FORTY, "misplaced": [0.9] * FORTY}
EVEN = 2 * math.log(2)


def critic(loss: float) -> dict:
    return {"critic loss": (loss, EVEN), "generator loss": (0.7, math.log(2))}


@pytest.mark.parametrize(
    ("case", "state", "advised"),
    [
        # every point outside the window, a critic that is fooled: it was told to train longer, as it comes nearer
        (AWAY | {"w1": steps(12, 5), "losses": critic(10.0), "decided": 0.49}, "outpaced", "the critic is too weak"),
        (AWAY | {"w1": [9.0] * FORTY, "losses": critic(10.0), "decided": 0.49}, "outpaced", "the critic is too weak"),
        # it has learned nothing: its loss is at the equilibrium, which is no equilibrium
        (AWAY | {"w1": [0.3] * FORTY, "losses": critic(EVEN), "decided": 0.01}, "outpaced", "the critic is too weak"),
        # it says something, and leads the generator away
        (AWAY | {"w1": steps(0.3, 4), "losses": critic(0.6), "decided": 0.3}, "outpaced", "lower model.lr_generator"),
        # a critic of distances, of the wrong sign, or of a tenth of the distance
        (AWAY | {"w1": [2.0] * FORTY, "estimate": [-1.0] * FORTY}, "outpaced", "the critic is too weak"),
        (AWAY | {"w1": [2.0] * FORTY, "estimate": [0.2] * FORTY}, "outpaced", "the critic is too weak"),
        # it tells all apart, and the generator runs away
        (AWAY | {"w1": steps(0.3, 4), "losses": critic(0.001), "decided": 0.5}, "overpowered", "lower model.lr_critic"),
        # at a rate of .5 it jumps: the same signs as of one that is too weak, so both are advised
        (AWAY | {"w1": [3.0] * FORTY, "losses": critic(4203.0), "decided": 0.5}, "outpaced",
         "but a rate above .01 makes it jump"),
        # one that sees all, of a generator that does not move
        (AWAY | {"w1": [2.0] * FORTY, "estimate": [1.9] * FORTY, "misplaced": steps(0.9, 0.4), "least": [0.2] * FORTY},
         "stuck", "raise model.lr_generator"),
        (AWAY | {"w1": [2.0] * FORTY, "losses": critic(0.01), "decided": 0.49, "least": [0.2] * FORTY}, "overpowered",
         "lower model.lr_critic or raise model.lr_generator"),
        # far away, and coming nearer by a critic that sees half: a healthy beginning
        ({"js": steps(1.0, 0.55), "w1": steps(2.0, 0.5), "losses": critic(1.2)}, "improving", "train longer"),
        # a generator that hardly moves, or has had no time to, and a critic that sees it: no modes are lost yet
        ({"js": [0.67] * FORTY, "w1": [0.17] * FORTY, "near": [0.31] * FORTY, "least": [0.0] * FORTY,
          "misplaced": [0.48] * FORTY, "losses": critic(0.56), "decided": 0.36}, "stuck", "raise model.lr_generator"),
        # all in one mode
        ({"js": [0.72] * FORTY, "w1": [1.0] * FORTY, "least": [0.0] * FORTY, "misplaced": [0.87] * FORTY,
          "losses": critic(0.3), "decided": 0.3}, "collapsed", "give the critic more steps"),
        # half of the modes: a critic at its equilibrium is not blind to what is small
        ({"js": [0.31] * FORTY, "least": [0.0] * FORTY, "misplaced": [0.5] * FORTY, "modes": [4] * FORTY,
          "losses": critic(EVEN)}, "collapsed", "give the critic more steps"),
        # within all limits but one, which stays; the learning generator swings far below its limit
        ({"width": [0.45] * FORTY, "learning": wave(0.010, 0.016)}, "stuck", "raise model.n_critic"),
        # nearly there
        ({"js": [0.12] * FORTY, "losses": critic(EVEN)}, "stuck", "longer (trainer.max_epochs), or wider networks"),
    ],
)  # fmt: skip
def test_advice_fits_examples_made_to_fool_it(case, state, advised):
    found = judge(**case)
    assert found.state == state, found.sentence
    advice = found.sentence.partition(". Advice: ")[2]
    assert advised in advice, advice
    if case.get("losses", critic(0.0)) == critic(10.0):
        assert "longer" not in found.sentence and "longer" not in found.summary


FAR_YOUNG = {"js": [0.98, *steps(0.9, 0.855, 39)], "w1": [1.9, *steps(0.8, 0.683, 39)], "near": [0.0] * FORTY,
             "least": [0.0] * 30 + wave(0.13, 0.12, count=10), "misplaced": [0.9] + [0.15] * 39, "modes": [0] * FORTY,
             "losses": critic(1.265)}  # fmt: skip
MODES = {"js": [0.31] * FORTY, "least": [0.0] * FORTY, "misplaced": [0.5] * FORTY, "modes": [4] * FORTY}
UNMOVED = AWAY | {"js": [0.76] * FORTY, "w1": [0.27] * FORTY, "losses": critic(1.7), "decided": 0.14}
ON_ITS_WAY = {"js": [0.77, *[0.5] * 39], "w1": [0.35, *[0.1] * 39], "widest": [7.0] * FORTY}
SHRUNK = {"least": [0.0] * 30 + steps(0.5, 0.22, 10), "js": steps(0.75, 0.34), "w1": steps(0.4, 0.073)}


@pytest.mark.parametrize(
    ("case", "every", "state", "advised"),
    [
        # 300 updates of a recipe that converges after 3,000: its critic is on its way, as it is
        (FAR_YOUNG, 10, "early", "train longer"),
        (FAR_YOUNG, 100, "outpaced", "the critic is too weak"),
        # the same that has come no nearer since the first frame, a little, or farther: who is to blame is open, or not
        (FAR_YOUNG | {"js": [0.9] * FORTY, "w1": [0.8] * FORTY}, 10, "outpaced",
         "first train longer (trainer.max_epochs), for 400 updates are few; if that does not help, the critic is too"),
        (FAR_YOUNG | {"w1": [1.9, *steps(1.95, 2.6, 39)], "losses": critic(1.1)}, 10, "outpaced", "critic is too weak"),
        (FAR_YOUNG | {"js": [0.5, *[0.9] * 39]}, 10, "outpaced", "the critic is too weak"),
        # 40 updates: the losses' means have the first ones in them, and nothing has moved
        (UNMOVED, 1, "early", "train longer"),
        (UNMOVED, 10, "outpaced", "the critic is too weak"),
        # a rate of a million, in as many updates
        (AWAY | {"w1": [0.27] * 20 + [8e4] * 20, "losses": critic(5e17), "decided": 0.5}, 1, "outpaced", "it jump"),
        # rates that decayed within 200 updates stop the scores where they are
        (ON_ITS_WAY, 5, "early", "train longer"),
        (ON_ITS_WAY, 100, "stuck", "train longer"),
        # swinging on its way, in few updates and in many
        ({"js": [0.75] * 5 + [0.15] * 35, "learning": wave(0.15, 0.3)}, 10, "early", "train longer"),
        ({"js": [0.75] * 5 + [0.15] * 35, "learning": wave(0.15, 0.3)}, 100, "oscillated", "lower the rates"),
        # what keeps it in place is seen in few updates too
        (ON_ITS_WAY | {"gradient": [1.0] * 5 + [1e-6] * 35}, 10, "vanished", "lower model.lr_critic"),
        (ON_ITS_WAY | {"decided": 0.49}, 10, "overpowered", "lower model.lr_critic"),
        # one part thins out while all else comes nearer, or the other way about
        (SHRUNK, 100, "improving", "train longer"),
        (SHRUNK, 10, "improving", "train longer"),
        ({"least": steps(0.0, 0.65), "js": steps(0.12, 0.4), "w1": steps(0.06, 0.2)}, 100, "drifted", "lower"),
        # one gets much worse, and the distances get better
        ({"least": [0.68] * 30 + steps(0.68, 0.3, 10), "js": [0.3] * 30 + steps(0.3, 0.25, 10)}, 100, "stuck", ""),
        # the whole holds out, for a width gets better as the distance grows
        ({"js": [0.15] * 30 + steps(0.15, 0.2, 10), "width": [0.1] * 30 + steps(0.1, 0.35, 10)}, 100, "drifted", ""),
        # missing modes after few updates
        (MODES, 10, "collapsed",
         "first train longer (trainer.max_epochs), for 400 updates are few; if that does not help, give the critic"),
    ],
)  # fmt: skip
def test_a_fit_is_judged_as_a_whole_and_not_by_too_few_updates(case, every, state, advised):
    found = judge(**case, every=every)
    assert found.state == state, found.sentence
    assert advised in found.sentence.partition(". Advice: ")[2], found.sentence
    if state in ("early", "improving"):
        assert found.summary.endswith("; train longer (trainer.max_epochs)")
        assert "lower" not in found.sentence.partition("Advice")[2]


def test_the_score_that_drifts_is_named():
    found = judge(**SHRUNK, every=100)
    assert (
        "least share of a part, in its due 0.22 (under its limit 0.70, floor 0.96 ± 0.01, drifting away)"
        in found.sentence
    )
    assert found.sentence.count("drifting away") == 1
    found = judge(js=[0.05] * 30 + steps(0.2, 0.6, 10))
    assert found.summary == "drifted: js_averaged 0.6000, limit 0.1000, moves away; lower model.lr_generator"
    found = judge(w1=[0.021] * 30 + steps(0.021, 0.045, 10))  # within its limit
    assert found.summary == "drifted: w1_averaged 0.0450, limit 0.0500, moves away; lower model.lr_generator"


def test_few_updates_are_under_half_of_any_recipe():
    from latent_lab.command import read_command

    for job in read_command("train", ["-m", "model=gan,wgan,wgan_gp,r3gan", "dataset=ring,25gaussians"]).jobs:
        data, steps_a_batch = job.config["dataset"], job.config["model"]["n_critic"]
        updates = job.config["trainer"]["max_epochs"] * (data["train_size"] // data["batch_size"] // steps_a_batch)
        assert updates > 2 * MANY, (job.name, updates)


@pytest.mark.parametrize("case", [{"js": steps(1.0, 0.2)}, {"js": [0.12] * 35 + [0.05] * 5}, {"js": [0.12] * FORTY}])
def test_the_budget_that_is_in_force_is_the_one_to_raise(case):
    """Where trainer.max_steps is set, trainer.max_epochs is -1 and does nothing."""
    for budget, named in (("trainer.max_steps", " (trainer.max_steps)"), ("", ""), (EPOCHS, f" ({EPOCHS})")):
        found = judge(**case, budget=budget)
        assert f"train longer{named}" in found.sentence
        assert budget == EPOCHS or EPOCHS not in found.sentence + found.summary
        assert budget or "trainer." not in found.sentence + found.summary


def test_a_frame_of_no_numbers_is_no_oscillation():
    found = judge(js=[*[0.05] * 30, math.nan, *[0.05] * 9])
    assert found.sentence.startswith("not converged, the averaged generator's scores were not finite at update 310: ")
    assert found.summary == "unstable: points or gradients were not finite at update 310; lower both rates"
    found = judge(js=[0.05] * FORTY, w1=[0.02] * 35 + [math.inf, math.inf] + [0.02] * 3)
    assert "its points and the averaged generator's points were not finite at update 370: " in found.sentence
    assert judge(js=[0.05] * FORTY, final=(GOOD | {"w1": math.nan}, BOUNDS)).state == "diverged"


def test_whole_is_the_mean_of_what_is_beyond():
    excesses = [{"a": 4.0, "b": 9.0, "c": 0.1, "d": math.inf}, {"a": 1.0, "b": 4.0, "c": 2.0, "d": 3.0}]
    assert whole(excesses[:1]) == pytest.approx([6.0])
    assert whole(excesses) == pytest.approx([36 ** (1 / 3), 8 ** (1 / 3)])  # c counts, beyond in one of two; d does not
    assert whole([{"a": 0.5}, {"a": 0.7}, {"a": 1.2}]) == [1.0, 1.0, 1.0]


LONGEST = {
    "since": 123456,
    "until": 123456,
    "arrived": 123456,
    "near": 25,
    "judged": 25,
    "lost": "",
    "lost_at": 123456,
    "updates": 999,
    "drifts": "misplaced_averaged 0.124, limit 0.117",
    "worst": "misplaced_averaged 0.124, limit 0.117",
}


@pytest.mark.parametrize("state", WORDS)
def test_a_line_is_one_word_and_short(state):
    longest = max([FASTER, *(words for _, _, words in SCORES.values())], key=len)
    line = WORDS[state].line.format(**LONGEST, help=longest)
    assert (
        len(f"{state}: {line}") <= 100
        and len(f"outpaced: {YOUNG_LINE}") <= 100
        and " " not in state
        and "failed" not in line
    )


def test_the_line_begins_with_the_state():
    assert judge(js=FALLING).summary == "converged: within all limits from update 70 on"
    found = judge(w1=[0.07] * FORTY)
    assert found.summary == (
        "stuck: w1_averaged 0.0700, limit 0.0500; larger batches (dataset.batch_size), or train longer"
    )
    assert judge(js=wave(0.09, 0.11)).summary == (
        "oscillated: near in 5 of 10 frames, js_averaged 0.1100, limit 0.1000; lower model.lr_generator"
    )


def test_the_number_of_points_in_a_frame_is_that_of_the_observer():
    from callbacks.observers.plane_view import SCORED
    from metrics.advice import IN_A_FRAME

    assert IN_A_FRAME == SCORED


def test_the_sentence_has_all_figures():
    losses = {"critic loss": (1.38, 2 * math.log(2)), "generator loss": (0.9, math.log(2))}
    found = judge(js=FALLING, learning=[*FALLING[:-1], 0.06], gradient=[4.0] + [1.0] * 23, losses=losses)
    assert found.sentence == (
        "converged, within all limits from update 70 on: JS in bits 0.0500 (within its limit 0.1000, floor 0.0020 "
        "± 0.0010), W1 0.0210 (within its limit 0.0500, floor 0.0200 ± 0.0050), JS of the learning generator, 10,000 "
        "points, lately 0.050 to 0.060, the discriminator undecided (mean |D - 1/2| 0.05), critic loss 1.380, at its "
        "equilibrium 1.386, generator loss 0.900, off its equilibrium 0.693, gradients down to 25 % of their longest"
    )


def test_excess_is_0_at_the_floor_and_1_at_the_limit_in_both_directions():
    assert [excess(value, Bound(2.0, 0.0, 4.0)) for value in (1.0, 2.0, 3.0, 4.0, 6.0)] == [-0.5, 0, 0.5, 1, 2]
    assert [excess(value, Bound(4.0, 0.0, 2.0)) for value in (5.0, 4.0, 3.0, 2.0, 0.0)] == [-0.5, 0, 0.5, 1, 2]
    assert [excess(value, Bound(8, 0, 8)) for value in (8, 7, 5)] == [0, 2, 4]
    assert excess(math.nan, Bound(2.0, 0.0, 4.0)) == excess(math.inf, Bound(2.0, 0.0, 4.0)) == math.inf


def test_a_trend_is_told_from_a_swing_by_direction():
    assert trend(steps(1.0, 2.0)) == 1 and trend(steps(2.0, 1.0)) == -1
    assert trend(wave(1.0, 2.0)) == trend([1.0] * 9) == trend([1.0]) == trend(steps(1.0, 1.08)) == 0
    assert trend(steps(1.0, 2.0, 20) + steps(2.0, 1.0, 20)) == 0, "there and back"
    noisy = [a + b for a, b in zip(steps(1.0, 2.0), wave(0.1, -0.1), strict=True)]
    assert trend(noisy) == 1
    assert trend([1.0, 3.0, 2.0, 3.0, 1.0, 1.0, 3.0, 2.0, 3.0]) == 0
    assert trend([1.0, math.inf, 2.0]) in (0, 1) and trend([1.0, 2.0, math.inf]) == 0
