"""An analysis of the polarity as HTML parts: what each T_SEC shows, the statistics behind it, the frame, the noise floor."""

import numpy as np

from sedid.data.image_statistics import STATISTICS
from sedid.escaping import for_html
from sedid.method import paper
from sedid.method.diffusion import pair_in_words
from sedid.report.charts.chart import Chart, of_source
from sedid.report.charts.scale import Scale, over
from sedid.report.charts.series import Series
from sedid.report.evaluation import picture, table
from sedid.report.markdown import leak_line
from sedid.report.numbers import counted
from sedid.report.protocol import detector_words, facts, leaks, made_by, splits
from sedid.studies.black_frame import FramedRow
from sedid.studies.polarity import PolarityResults

T_SECS = Scale("T_SEC", 0, 1000)
POLARITY = "Every AUC has the paper's polarity: a smaller value counts as generated. Below 0.5 the data turn it round."


def protocol(result: PolarityResults) -> str:
    """What was measured on what."""
    stated = result.protocol
    counts = counted({name: found.count for name, found in stated.images.items()})
    shown = [
        ("Detector", detector_words(stated)),
        ("Images", f"{counts} ({', '.join(found.data_set for found in stated.images.values())})"),
        ("How the images were generated", made_by(stated.generated_by)),
        ("Same chain", result.chain),
        ("Statistics held equal", result.held_equal),
        ("Intervals", stated.intervals),
    ]
    return facts(shown) + leaks(result.audit) + splits(stated.splits)


def findings(result: PolarityResults) -> str:
    """The computed sentence of every T_SEC."""
    parts = [row.finding.partition(": ") for row in result.rows]
    items = "".join(f"<li><b>{t_sec}:</b> {words}</li>" for t_sec, _, words in parts)
    return (
        f'<h2>What the data show</h2><ul class="res-found">{items}</ul><p class="res-note">Written from the figures below. '
        "“No difference is shown” means that the 95 % interval of the AUC holds 0.5; with many intervals, one in twenty "
        "misses by chance. What a statistic accounts for is not always an artefact: a generator that makes smoother "
        "images is found by that.</p>"
    )


def separation(result: PolarityResults) -> str:
    """AUC at every T_SEC as measured and under both controls, drawn and in figures."""
    rows, t_secs = result.rows, result.t_secs
    adjusted = [row.held_equal.after.value if row.held_equal else np.nan for row in rows]
    lines = [
        Series("as measured", t_secs, [row.auc.value for row in rows], "one", True),
        Series("same resize and JPEG for both", t_secs, [row.chain.value for row in rows], "two", True),
        Series("statistics held equal", t_secs, adjusted, "three dots", True),
        Series("no difference", (0, 1000), (0.5, 0.5), "faint thin"),
    ]
    head = (
        '<tr><th rowspan="2">T_SEC</th><th rowspan="2">as measured</th><th rowspan="2">same resize<br>and JPEG</th>'
        '<th class="res-group" colspan="2">on the second half of the images</th></tr>'
        "<tr><th>as measured</th><th>statistics held equal</th></tr>"
    )
    body = []
    for row in rows:
        held = row.held_equal
        cells = [row.auc, row.chain, held and held.before, held and held.after]
        body.append(("", [f"<th>{row.t_sec}</th>", *(f"<td>{one or 'n/a'}</td>" for one in cells)]))
    return (
        f'<h2>Which class has the smaller t-error</h2><div class="res-beside">{Chart("AUC", lines, T_SECS).html()}'
        f"<div>{table(head, body)}</div></div><p class='res-note'>{POLARITY} In brackets the 95 % interval.</p>"
    )


def warmth(value: float, most: float) -> str:
    """Class and strength of a cell that shades a signed value."""
    return f'class="{"res-warm" if value > 0 else "res-cold"}" style="--heat:{55 * min(abs(value) / most, 1):.0f}%"'


def correlations(result: PolarityResults) -> str:
    """Rank correlation of the t-error with every statistic, class by class, and the statistics' own AUC."""
    t_secs = result.t_secs
    head = (
        '<tr><th rowspan="2">statistic</th><th rowspan="2">images</th>'
        f'<th class="res-group" colspan="{len(t_secs)}">rank correlation with the t-error at T_SEC</th>'
        '<th rowspan="2">median</th><th rowspan="2">AUC of the<br>statistic alone</th></tr>'
        f"<tr>{''.join(f'<th>{t_sec}</th>' for t_sec in t_secs)}</tr>"
    )
    body = []
    for name, (label, _) in STATISTICS.items():
        measured = result.statistics[name]
        for kind in ("real", "generated"):
            cells = []
            for row in result.rows:
                found = row.correlations[name][kind]
                if found is None:
                    cells.append("<td>n/a</td>")
                    continue
                ends = f"95 % interval {found.low:+.2f} to {found.high:+.2f}"
                cells.append(f'<td {warmth(found.value, 1.0)} title="{ends}">{found.value:+.2f}</td>')
            first = kind == "real"
            alone = f'<td rowspan="2">{measured.auc}</td>' if first else ""
            title = f'<th rowspan="2">{label[0].upper() + label[1:]}</th>' if first else ""
            words = f"<td>{kind}</td>"
            body.append(("", [title, words, *cells, f"<td>{measured.median[kind]:.3g}</td>", alone]))
    return (
        f"<h2>What the t-error follows</h2>{table(head, body)}<p class='res-note'>Spearman's rank correlation: +1 where the "
        "t-error rises with the statistic, -1 where it falls, 0 where it does neither; hold the pointer over one for its "
        f"interval. {POLARITY}</p>"
    )


def scatter(arrays: dict[str, np.ndarray], t_sec: int, statistic: str) -> str:
    """t-errors at one T_SEC against one statistic, both classes; a sentence where they were not kept."""
    if "t_secs" not in arrays or t_sec not in arrays["t_secs"]:
        return '<p class="res-note">No scatter plot: the per-image values of this analysis were not kept.</p>'
    place, row = int(np.flatnonzero(arrays["t_secs"] == t_sec)[0]), list(STATISTICS).index(statistic)
    label = STATISTICS[statistic][0]
    errors = {kind: arrays[f"errors_{kind}"][place] for kind in ("real", "generated")}
    values = {kind: arrays[f"statistics_{kind}"][row] for kind in ("real", "generated")}
    everything = np.concatenate(list(values.values()))
    title = f"t-error at T_SEC {t_sec}"
    drawn = Chart(
        title,
        [Series(f"{kind} images", values[kind], errors[kind], kind, line=False) for kind in errors],
        Scale(label, float(everything.min()), float(everything.max())),
        over("t-error", np.concatenate(list(errors.values())), log_from=1),
        "logarithmic",
        said=f"{title} against {label}, image by image",
    )
    return f'<div class="res-dots">{drawn.html()}</div>'


def name_of(row: FramedRow) -> str:
    """What a method of the lesson is called."""
    if row.method == "existing":
        return f"Training loss, t = {row.t}"
    if row.title or row.k is None or row.t_sec is None:
        return row.title
    return f"{'STAT' if row.method == 'stat' else 'NN'}, {pair_in_words(row.k, row.t_sec).replace(' =', '')}"


def theirs(row: FramedRow) -> str:
    """The paper's AUC of a method on CelebA; "" where it has none."""
    return "" if row.paper is None else f"{row.paper:.4f}"


def lesson(result: PolarityResults, arrays: dict[str, np.ndarray]) -> str:
    """The CelebA frame: picture, AUC of every method with and without it, the leak audit's words."""
    found = result.frame
    pictures = ""
    if "example_framed" in arrays:
        pictures = "".join(
            f'<figure><img src="{picture(arrays[f"example_{name}"])}" alt="{words}"><figcaption>{words}</figcaption></figure>'
            for name, words in (("plain", "a generated image"), ("framed", "the same, framed"))
        )
    k = result.rows[0].k
    stats = [row for row in found.methods if row.method == "stat" and row.k == k]
    t_secs = [row.t_sec or 0 for row in stats]
    lines = [
        Series("without the frame", t_secs, [row.plain.value for row in stats], "two", True),
        Series("with the frame", t_secs, [row.framed.value for row in stats], "one", True),
    ]
    if k == paper.K:
        celeba = [paper.TABLE_1[t][paper.DATA_SETS.index("CelebA")][0] for t in paper.TABLE_1]
        lines.append(Series("the paper on CelebA", list(paper.TABLE_1), celeba, "faint dash", True))
    head = '<tr><th>method</th><th>without the frame</th><th>with the frame</th><th class="res-paper">paper, CelebA</th></tr>'
    body = [
        (
            "",
            [
                f"<th>{name_of(row)}</th><td>{row.plain}</td><td>{row.framed}</td>",
                f'<td class="res-paper">{theirs(row)}</td>',
            ],
        )
        for row in found.methods
    ]
    said = [
        f"<p>{leak_line(audit, words)}</p>"
        for words, audit in (
            ("Leak audit without the frame", found.audit_plain),
            ("Leak audit with the frame", found.audit_framed),
        )
    ]
    return (
        "<h2>A lesson: the black frame</h2><p>The published evaluation of CelebA puts photographs of 178x218 pixels and "
        "generated images of 32x32 through one transform, a centre crop to 140 pixels and then a resize to 32. What is "
        "smaller than the crop is padded with black, so every generated image becomes a small picture in a black frame "
        f"({found.picture_share:.1%} of its pixels are not black) and no photograph does. Here these generated images "
        "get that frame, and the reals stay as they are.</p>"
        f'<div class="res-pictures">{pictures}</div><div class="res-beside">'
        f"{Chart(f'AUC of STAT, k = {k}', lines, T_SECS, note='AUC').html()}<div>{table(head, body)}</div></div>"
        f"<p class='res-note'>{POLARITY} The NN's AUC is of its own probability, and it was not trained on framed images. The paper's column stands beside for "
        "comparison; a likeness does not prove that its figures came about in this way.</p>"
        f"{''.join(said)}"
    )


def noise(result: PolarityResults) -> str:
    """Relative error of the t-error in float32 and bfloat16 beside the difference between the classes."""
    if not result.noise:
        return '<h2>Noise floor</h2><p class="res-note">Not measured: noise_images was 0.</p>'
    rows, t_secs = result.noise, [row.t_sec for row in result.noise]
    apart = {row.t_sec: row.relative_difference for row in result.rows}
    curves = [
        Series("classes, medians apart", t_secs, [abs(apart[t]) for t in t_secs], "faint dash", True),
        Series("bfloat16, largest error", t_secs, [row.bf16.max for row in rows], "one", True),
        Series("float32, largest error", t_secs, [row.fp32.max for row in rows], "two", True),
    ]
    y = Scale("relative error", 1e-8, 1, log=True)
    head = (
        '<tr><th rowspan="2">T_SEC</th><th class="res-group" colspan="2">float32</th><th class="res-group" colspan="3">bfloat16'
        '</th><th rowspan="2">classes,<br>medians apart</th></tr><tr><th>median</th><th>largest</th><th>median</th>'
        "<th>largest</th><th>bias</th></tr>"
    )
    body = []
    for row in rows:
        of32, of16 = row.fp32, row.bf16
        cells = [f"{of32.median:.1e}", f"{of32.max:.1e}", f"{of16.median:.2%}", f"{of16.max:.2%}"]
        cells += [f"{of16.bias:+.2%}", f"{apart[row.t_sec]:+.1%}"]
        body.append(("", [f"<th>{row.t_sec}</th>", *(f"<td>{one}</td>" for one in cells)]))
    return (
        "<h2>Noise floor</h2><p>How far the t-error moves when the network runs in fewer bits, against float64, relative to "
        f'the t-error itself.</p><div class="res-beside">{Chart("Relative error", curves, T_SECS, y, "logarithmic").html()}'
        f"<div>{table(head, body)}</div></div><p class='res-note'>{result.noise_images} images. Bias is the "
        "median of the signed error: an error that all images share moves a threshold, not an AUC. Medians apart: generated "
        "over real, minus 1, of all images. Where the error comes near it, the precision matters.</p>"
    )


def whole(result: PolarityResults, arrays: dict[str, np.ndarray]) -> str:
    """All parts; `arrays` are those beside the results."""
    result = for_html(result)
    parts = (findings(result), separation(result), correlations(result), scatter(arrays, *result.closest))
    whole = "".join((*parts, lesson(result, arrays), noise(result), protocol(result)))
    return of_source(whole, result.protocol.detector, "polarity")
