"""Pictures of what observers kept and analyses found: on sheets, in charts, on a page."""

NOT_IN_A_FIT = "pictures"
