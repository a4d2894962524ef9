"""Measure a detector; each study writes one results file."""
