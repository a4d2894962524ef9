"""A choice.json as the loop `choose` writes it, from made-up scores: no network."""

from typing import Any

import numpy as np

from helpers.results import CHECKPOINT, made_up, protocol_of
from sedid.progress import finish
from sedid.studies.choose import SETS, ChoiceResults, ChooseConfig, Scored, conclude
from sedid.studies.study import MadeBy
from sedid.training.checks import LeakCheck


def made_up_scores(count: int = 120, ks: tuple[int, ...] = (110, 165, 330), classifier: bool = True) -> Scored:
    """t-errors (and classifier probabilities) of all four sets."""
    rng = np.random.default_rng(3)
    errors: dict[str, dict] = {name: {} for name in SETS}
    for name in SETS:
        for k in ks:
            errors[name] |= made_up(rng, count, "generated" in name, k)
    beta = {name: (5, 2) if "generated" in name else (2, 5) for name in SETS}
    return Scored(errors, {name: rng.beta(*beta[name], count) for name in SETS} if classifier else {})


def make_choice(scored: Scored, nn_refusal: str = "", **settings: Any) -> ChoiceResults:
    """What stands in a choice.json."""
    sets: dict[str, Any] = {name: name for name in SETS}
    config = ChooseConfig(detector="cifar10", **sets, **({"resamples": 30} | settings))
    figures = finish(conclude(scored, config, nn_refusal))
    count = len(next(iter(scored.errors["real"].values())))
    return ChoiceResults(
        protocol=protocol_of(dict.fromkeys(SETS, count), generated_by=None, config=config.recorded()),
        chosen_on="calibration images",
        measured_on="test images",
        test_generated_by=MadeBy(CHECKPOINT, "ddim", 50, 0),
        applied=config.apply,
        calibrated=(165, 330),
        audit=LeakCheck(""),
        audit_calibration=LeakCheck(""),
        paths=None,
        **vars(figures),
    )
