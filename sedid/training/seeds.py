"""Seeds that are functions of what they are for, whatever ran before and however the work is shared."""

import numpy as np


def seed_of(*key: int) -> int:
    """The torch seed of a key, such as (seed of the run, purpose, step): below 2**62."""
    return int(np.random.default_rng(key).integers(2**62))
