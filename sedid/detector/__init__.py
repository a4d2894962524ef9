"""A model with its calibration: its verdicts, how it is stored, fetched and published."""
