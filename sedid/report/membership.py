"""One picture and the training set, as HTML: whether it is known, where its t-error stands, and what that is not for."""

import numpy as np
from markupsafe import Markup

from sedid.method.diffusion import pair_in_words
from sedid.report.charts.chart import Chart, Mark
from sedid.report.charts.scale import over
from sedid.report.charts.series import histogram
from sedid.report.html import render
from sedid.studies.membership import Among, Membership

BINS = 30


def standing(found: Among) -> Chart:
    """The t-errors of members and held-out reals, with the picture's as a line."""
    scale = over("t-error", np.concatenate([found.members, found.heldout, [found.score]]), log_from=10)
    at = np.geomspace if scale.log else np.linspace
    edges = at(scale.low, scale.high, BINS + 1)
    bars = [
        histogram("members", found.members, edges, "one"),
        histogram("held-out reals", found.heldout, edges, "two"),
    ]
    title = f"t-error at {pair_in_words(found.k, found.t_sec)}"
    return Chart(title, bars, scale, None, marks=[Mark(found.score, "this image", strong=True)])


def apart(found: Among) -> bool:
    """Whether the t-error tells members from held-out reals at all: the 95 % interval of its AUC does not hold 0.5."""
    told = found.auc
    return not told.low <= 0.5 <= told.high


def panel(found: Membership) -> Markup:
    """The panel of one picture."""
    drawn = standing(found.among) if found.among else None
    return render("membership.html", found=found, drawn=drawn, apart=found.among is not None and apart(found.among))
