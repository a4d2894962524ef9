"""From photographs to a calibrated detector, each step a generator."""
