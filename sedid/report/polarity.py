"""An analysis of the polarity as HTML parts: what each T_SEC shows, the statistics behind it, the frame, the noise floor."""

import numpy as np
from markupsafe import Markup

from sedid.data.image_statistics import STATISTICS
from sedid.method import paper
from sedid.report import lead
from sedid.report.charts.chart import Chart, of_source
from sedid.report.charts.scale import Scale, over
from sedid.report.charts.series import Series
from sedid.report.html import render
from sedid.report.markdown import leak_line
from sedid.report.numbers import counted
from sedid.report.protocol import detector_words, made_by, stated
from sedid.studies.polarity import PolarityResults

T_SECS = Scale("T_SEC", 0, 1000)
POLARITY = "Every AUC has the paper's polarity: a smaller value counts as generated. Below 0.5 the data turn it round."


def protocol(result: PolarityResults) -> Markup:
    """What was measured on what."""
    about = result.protocol
    counts = counted({name: found.count for name, found in about.images.items()})
    facts = [
        ("Detector", detector_words(about)),
        ("Images", f"{counts} ({', '.join(found.data_set for found in about.images.values())})"),
        ("How the images were generated", made_by(about.generated_by)),
        ("Same chain", result.chain),
        ("Statistics held equal", result.held_equal),
        ("Intervals", about.intervals),
    ]
    return stated(facts, about.splits, [result.audit])


def separation(result: PolarityResults) -> Chart:
    """AUC at every T_SEC as measured and under both controls."""
    rows, t_secs = result.rows, result.t_secs
    adjusted = [row.held_equal.after.value if row.held_equal else np.nan for row in rows]
    lines = [
        Series("as measured", t_secs, [row.auc.value for row in rows], "one", True),
        Series("same resize and JPEG for both", t_secs, [row.chain.value for row in rows], "two", True),
        Series("statistics held equal", t_secs, adjusted, "three dots", True),
        Series("no difference", (0, 1000), (0.5, 0.5), "faint thin"),
    ]
    return Chart("AUC", lines, T_SECS)


def scatter(arrays: dict[str, np.ndarray], t_sec: int, statistic: str) -> Chart | None:
    """t-errors at one T_SEC against one statistic, both classes; None where they were not kept."""
    if "t_secs" not in arrays or t_sec not in arrays["t_secs"]:
        return None
    place, row = int(np.flatnonzero(arrays["t_secs"] == t_sec)[0]), list(STATISTICS).index(statistic)
    label = STATISTICS[statistic][0]
    errors = {kind: arrays[f"errors_{kind}"][place] for kind in ("real", "generated")}
    values = {kind: arrays[f"statistics_{kind}"][row] for kind in ("real", "generated")}
    everything = np.concatenate(list(values.values()))
    title = f"t-error at T_SEC {t_sec}"
    return Chart(
        title,
        [Series(f"{kind} images", values[kind], errors[kind], kind, line=False) for kind in errors],
        Scale(label, float(everything.min()), float(everything.max())),
        over("t-error", np.concatenate(list(errors.values())), log_from=1),
        "logarithmic",
        said=f"{title} against {label}, image by image",
    )


def framed(result: PolarityResults) -> Chart:
    """The CelebA frame: AUC of STAT with and without it, and the paper's."""
    k = result.rows[0].k
    stats = [row for row in result.frame.methods if row.method == "stat" and row.k == k]
    t_secs = [row.t_sec or 0 for row in stats]
    lines = [
        Series("without the frame", t_secs, [row.plain.value for row in stats], "two", True),
        Series("with the frame", t_secs, [row.framed.value for row in stats], "one", True),
    ]
    if k == paper.K:
        celeba = [paper.TABLE_1[t][paper.DATA_SETS.index("CelebA")][0] for t in paper.TABLE_1]
        lines.append(Series("the paper on CelebA", list(paper.TABLE_1), celeba, "faint dash", True))
    return Chart(f"AUC of STAT, k = {k}", lines, T_SECS, note="AUC")


def noise(result: PolarityResults) -> Chart:
    """Relative error of the t-error in float32 and bfloat16 beside the difference between the classes."""
    rows, t_secs, apart = result.noise, [row.t_sec for row in result.noise], differences(result)
    curves = [
        Series("classes, medians apart", t_secs, [abs(apart[t]) for t in t_secs], "faint dash", True),
        Series("bfloat16, largest error", t_secs, [row.bf16.max for row in rows], "one", True),
        Series("float32, largest error", t_secs, [row.fp32.max for row in rows], "two", True),
    ]
    return Chart("Relative error", curves, T_SECS, Scale("relative error", 1e-8, 1, log=True), "logarithmic")


def differences(result: PolarityResults) -> dict[int, float]:
    """How far the classes' medians lie apart, relative, by T_SEC."""
    return {row.t_sec: row.relative_difference for row in result.rows}


def whole(result: PolarityResults, arrays: dict[str, np.ndarray]) -> Markup:
    """All parts; `arrays` are those beside the results."""
    examples = (("example_plain", "a generated image"), ("example_framed", "the same, framed"))
    drawn = render(
        "polarity.html",
        result=result,
        separation=separation(result),
        STATISTICS=STATISTICS,
        POLARITY=POLARITY,
        scatter=scatter(arrays, *result.closest),
        pictures=[(arrays[name], words) for name, words in examples if "example_framed" in arrays],
        framed=framed(result),
        leak_line=leak_line,
        noise=result.noise and noise(result),
        apart=differences(result),
        lead=lead.polarity(result),
        protocol=protocol(result),
    )
    return of_source(drawn, result.protocol.detector, "polarity")
