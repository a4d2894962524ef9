"""A choice.json as the loop `choose` writes it, from made-up scores: no network."""

from dataclasses import asdict
from typing import Any

import numpy as np

from helpers.results import made_up
from sedid.progress import finish
from sedid.studies.choose import SETS, ChooseConfig, Scored, conclude


def made_up_scores(count: int = 120, ks: tuple[int, ...] = (110, 165, 330), classifier: bool = True) -> Scored:
    """t-errors (and classifier probabilities) of all four sets."""
    rng = np.random.default_rng(3)
    errors: dict[str, dict] = {name: {} for name in SETS}
    for name in SETS:
        for k in ks:
            errors[name] |= made_up(rng, count, "generated" in name, k)
    beta = {name: (5, 2) if "generated" in name else (2, 5) for name in SETS}
    return Scored(errors, {name: rng.beta(*beta[name], count) for name in SETS} if classifier else {})


def make_choice(scored: Scored, nn_refusal: str = "", **settings: Any) -> dict[str, Any]:
    """The whole content of a choice.json."""
    config = ChooseConfig("cifar10", *SETS, **({"resamples": 30} | settings))
    figures = finish(conclude(scored, config, nn_refusal))
    count = len(next(iter(scored.errors["real"].values())))
    protocol = {
        "checkpoint_sha256": "0123456789abcdef" * 4,
        "images": {name: {"count": count, "sha256": "ab" * 32} for name in SETS},
        "chosen_on": "calibration images",
        "measured_on": "test images",
        "generated_by": {},
        "test_generated_by": {"sampler": "ddim", "steps": 50, "seed": 0},
        "config": asdict(config),
        "versions": {"torch": "2"},
    }
    audits = {"audit": {"warning": ""}, "audit_calibration": {"warning": ""}}
    return {"protocol": protocol, "calibrated": [165, 330], **figures, **audits}
