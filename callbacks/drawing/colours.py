"""Colours that colour-blind readers tell apart (Okabe & Ito 2008): real is blue, generated vermillion."""

import re

BLACK, GREY = "#22252b", "#5d646f"
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#b6528f", "#e69f00", "#3b94cc"
NAVY, RUST = "#00395e", "#7d3300"  # beside blue and vermillion: of held-out images
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")  # beside the colours, for those who see none

ROLES = {  # of a curve, by words of its name, the first that is found; plane_page.html has the same
    "average": re.compile("averag", re.I),
    "real": re.compile(r"discrim|critic|real|D\(x\)", re.I),
    "generated": re.compile(r"generat|G\(z\)", re.I),
}
REAL, GENERATED, FOLD = BLUE, VERMILLION, PURPLE
DECISIONS = ("#f9d3b4", "#f4f4f2", "#b9d9ee")  # of a discriminator, from generated over undecided to real: pale


def role(name: str) -> str | None:
    """Whose a curve is, which has a colour of its own in every chart: ``real``, with the critic's, blue; ``generated``,
    with the generator's, vermillion; ``average``, of the generator's weights, black. None for others."""
    return next((role for role, words in ROLES.items() if words.search(name)), None)
