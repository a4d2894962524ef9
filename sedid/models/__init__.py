"""Networks, checkpoints and devices."""
