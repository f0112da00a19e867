"""What an adversarial loss is: two functions of the critic's scores, and what these scores mean.

A new one is a file here with these two functions and what they come to, and ``conf/loss/NAME.yaml``: models, charts,
views and verdicts ask it, and nothing else knows its name. Scores are ``(B,)`` and come in float32 whatever
the precision of the training; real and generated examples may differ in number.
"""

from torch import Tensor

MEANINGS = ("probability", "margin", "distance", "comparison")


class AdversarialLoss:
    """Holds nothing that is learnt.

    Attributes:
        meaning: of the scores. ``probability``: :meth:`decision` is how likely an example is real. ``margin``: it is
            real above, generated below a score in the middle, and surely so from a margin on. ``distance``: the
            difference of the mean scores estimates the Wasserstein-1 distance; a single score, of arbitrary offset,
            says nothing. ``comparison``: the difference of two scores says which example is the more real; a single
            one, of arbitrary offset, says nothing.
        relative: the generator's loss compares each of its examples with a real one.
        decision_range: the decisions "surely generated" and "surely real"; None where scores decide nothing.
        undecided: the decision in the middle of that range; None where there is no range.
        equilibrium: terms that are shown (``critic_loss``, ``generator_loss``, or one of :meth:`shown`), and the values
            they have where generated and real are equally distributed and the critic is the best there is. A term that
            has no such value is not in it.
        lines: those values, for a chart of the losses: what they are called to where they lie.
        decision_chart: title, and the lines likewise, of the chart of the mean decisions.
    """

    meaning: str
    relative: bool = False
    decision_range: tuple[float, float] | None
    undecided: float | None
    equilibrium: dict[str, float]
    lines: dict[str, float]
    decision_chart: tuple[str, dict[str, float]]

    def critic(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """L_D, 0-d: the less, the better the critic tells the two apart."""
        raise NotImplementedError

    def generator(self, fake_scores: Tensor) -> Tensor:
        """L_G, 0-d, a mean over examples: the less, the more real these seem to the critic. A relative loss is given
        the scores of as many real examples besides."""
        raise NotImplementedError

    def decision(self, scores: Tensor) -> Tensor:
        """What scores of any shape say, as ``meaning`` has it."""
        return scores

    def shown(self, real_scores: Tensor, fake_scores: Tensor) -> dict[str, Tensor]:
        """What to see of a critic's step, 0-d each: here the mean decisions."""
        return {"d_real": self.decision(real_scores).mean(), "d_fake": self.decision(fake_scores).mean()}

    def held_out(self, real_scores: Tensor, fake_scores: Tensor) -> dict[str, Tensor]:
        """What to see of examples that the critic does not learn from now."""
        return self.shown(real_scores, fake_scores) | {"critic_loss": self.critic(real_scores, fake_scores)}

    @property
    def charts(self) -> tuple[dict, ...]:
        """How it is to be drawn: title, series (name of a term to its label), lines (label to value)."""
        title, lines = self.decision_chart
        losses = {"critic_loss": "discriminator", "generator_loss": "generator"}
        return (
            {"title": "losses", "series": losses, "lines": self.lines},
            {"title": title, "series": {"d_real": "D(x)", "d_fake": "D(G(z))"}, "lines": lines},
        )
