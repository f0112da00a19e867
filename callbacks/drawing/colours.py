"""Colours that colour-blind readers tell apart (Okabe & Ito 2008): real is blue, generated vermillion."""

BLACK, GREY = "#22252b", "#5d646f"
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#b6528f", "#e69f00", "#3b94cc"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")  # beside the colours, for those who see none

REAL, GENERATED, FOLD = BLUE, VERMILLION, PURPLE
DECISIONS = ("#f9d3b4", "#f4f4f2", "#b9d9ee")  # of a discriminator, from generated over undecided to real: pale
