"""The Inspect tab: one picture, its walk, its verdicts, and the panels that ask further."""
