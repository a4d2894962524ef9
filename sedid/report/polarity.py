"""An analysis of the polarity as HTML parts: what each T_SEC shows, the statistics behind it, the frame, the noise floor."""

from pathlib import Path
from typing import Any

import numpy as np

from sedid.data.image_statistics import STATISTICS
from sedid.escaping import Html, read_results
from sedid.method import paper
from sedid.report.evaluation import facts, leaks, made_by, picture, splits, table
from sedid.report.markdown import leak_line
from sedid.report.svg import SHARES, Axis, Line, frame, keys, line_chart, round_ticks, svg
from sedid.stats.confounds import figures
from sedid.storage import read_arrays

T_SECS = Axis("T_SEC", 0, 1000, (0, 250, 500, 750, 1000))
POLARITY = "Every AUC has the paper's polarity: a smaller value counts as generated. Below 0.5 the data turn it round."


def load_polarity(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a polarity.json, and the arrays beside it (empty where there are none).

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not what `polarity` writes.
    """
    result = read_results(
        file,
        "polarity",
        lambda result: (
            bool(result["rows"])
            and all({"auc", "chain", "finding", "correlations"} <= row.keys() for row in result["rows"])
            and bool(result["frame"]["methods"])
            and isinstance(result["protocol"]["images"], dict)
            and result["statistics"].keys() == STATISTICS.keys()
            and isinstance(result["noise"], list)
        ),
    )
    return result, read_arrays(Path(file).with_name("polarity-scores.npz"))


def t_secs_of(result: dict[str, Any]) -> list[int]:
    """Every T_SEC measured, ascending."""
    return [row["t_sec"] for row in result["rows"]]


def protocol(result: Html) -> str:
    """What was measured on what."""
    stated = result["protocol"]
    counts = ", ".join(f"{found['count']:,} {name}" for name, found in stated["images"].items())
    config = stated.get("config", {})
    shown = [
        ("Detector", f"{config.get('detector', '?')}, checkpoint {str(stated.get('checkpoint_sha256', '?'))[:12]}"),
        ("Images", f"{counts} ({config.get('real', '?')}, {config.get('generated', '?')})"),
        ("How the images were generated", made_by(stated.get("generated_by", {}))),
        ("Same chain", str(stated.get("chain", "?"))),
        ("Statistics held equal", str(stated.get("held_equal", "?"))),
        ("Intervals", str(stated.get("intervals", "?"))),
    ]
    return facts(shown) + leaks(result) + splits(result)


def findings(result: Html) -> str:
    """The computed sentence of every T_SEC."""
    parts = [row["finding"].partition(": ") for row in result["rows"]]
    items = "".join(f"<li><b>{t_sec}:</b> {words}</li>" for t_sec, _, words in parts)
    return (
        f'<h2>What the data show</h2><ul class="res-found">{items}</ul><p class="res-note">Written from the figures below. '
        "“No difference is shown” means that the 95 % interval of the AUC holds 0.5; with many intervals, one in twenty "
        "misses by chance. What a statistic accounts for is not always an artefact: a generator that makes smoother "
        "images is found by that.</p>"
    )


def separation(result: Html) -> str:
    """AUC at every T_SEC as measured and under both controls, drawn and in figures."""
    rows, t_secs = result["rows"], t_secs_of(result)
    adjusted = [row["held_equal"]["after"]["value"] if row["held_equal"] else np.nan for row in rows]
    lines = [
        Line("as measured", t_secs, [row["auc"]["value"] for row in rows], "res-one", True),
        Line("same resize and JPEG for both", t_secs, [row["chain"]["value"] for row in rows], "res-two", True),
        Line("statistics held equal", t_secs, adjusted, "res-two res-dash", True),
        Line("no difference", (0, 1000), (0.5, 0.5), "res-faint res-thin"),
    ]
    head = (
        '<tr><th rowspan="2">T_SEC</th><th rowspan="2">as measured</th><th rowspan="2">same resize<br>and JPEG</th>'
        '<th class="res-group" colspan="2">on the second half of the images</th></tr>'
        "<tr><th>as measured</th><th>statistics held equal</th></tr>"
    )
    body = []
    for row in rows:
        held = row["held_equal"] or {}
        cells = [row["auc"], row["chain"], held.get("before"), held.get("after")]
        body.append(
            ("", [f"<th>{row['t_sec']}</th>", *(f"<td>{figures(one) if one else 'n/a'}</td>" for one in cells)])
        )
    return (
        f'<h2>Which class has the smaller t-error</h2><div class="res-beside">{line_chart("AUC", lines, T_SECS, SHARES)}'
        f"<div>{table(head, body)}</div></div><p class='res-note'>{POLARITY} In brackets the 95 % interval.</p>"
    )


def warmth(value: float, most: float) -> str:
    """Class and strength of a cell that shades a signed value."""
    return f'class="{"res-warm" if value > 0 else "res-cold"}" style="--heat:{55 * min(abs(value) / most, 1):.0f}%"'


def correlations(result: Html) -> str:
    """Rank correlation of the t-error with every statistic, class by class, and the statistics' own AUC."""
    t_secs = t_secs_of(result)
    head = (
        '<tr><th rowspan="2">statistic</th><th rowspan="2">images</th>'
        f'<th class="res-group" colspan="{len(t_secs)}">rank correlation with the t-error at T_SEC</th>'
        '<th rowspan="2">median</th><th rowspan="2">AUC of the<br>statistic alone</th></tr>'
        f"<tr>{''.join(f'<th>{t_sec}</th>' for t_sec in t_secs)}</tr>"
    )
    body = []
    for name, (label, _) in STATISTICS.items():
        measured = result["statistics"][name]
        for kind in ("real", "generated"):
            cells = []
            for row in result["rows"]:
                found = row["correlations"][name][kind]
                if found is None:
                    cells.append("<td>n/a</td>")
                    continue
                ends = f"95 % interval {found['low']:+.2f} to {found['high']:+.2f}"
                cells.append(f'<td {warmth(found["value"], 1.0)} title="{ends}">{found["value"]:+.2f}</td>')
            first = kind == "real"
            alone = f'<td rowspan="2">{figures(measured["auc"])}</td>' if first else ""
            title = f'<th rowspan="2">{label[0].upper() + label[1:]}</th>' if first else ""
            words = f"<td>{kind}</td>"
            body.append(("", [title, words, *cells, f"<td>{measured['median'][kind]:.3g}</td>", alone]))
    return (
        f"<h2>What the t-error follows</h2>{table(head, body)}<p class='res-note'>Spearman's rank correlation: +1 where the "
        "t-error rises with the statistic, -1 where it falls, 0 where it does neither; hold the pointer over one for its "
        f"interval. {POLARITY}</p>"
    )


def dots(axis_x: Axis, axis_y: Axis, x: np.ndarray, y: np.ndarray, style: str) -> str:
    """Points as one path of lines without length, which keep their size when the plot stretches."""
    points = "".join(f"M{a:.1f} {100 - b:.1f}h0" for a, b in zip(axis_x.at(x), axis_y.at(y), strict=True))
    return f'<path class="{style}" d="{points}"/>'


def scatter(arrays: dict[str, np.ndarray], t_sec: int, statistic: str) -> str:
    """t-errors at one T_SEC against one statistic, both classes; a sentence where they were not kept."""
    if "t_secs" not in arrays or t_sec not in arrays["t_secs"]:
        return '<p class="res-note">No scatter plot: the per-image values of this analysis were not kept.</p>'
    place, row = int(np.flatnonzero(arrays["t_secs"] == t_sec)[0]), list(STATISTICS).index(statistic)
    label = STATISTICS[statistic][0]
    errors = {kind: arrays[f"errors_{kind}"][place] for kind in ("real", "generated")}
    values = {kind: arrays[f"statistics_{kind}"][row] for kind in ("real", "generated")}
    everything = np.concatenate(list(values.values()))
    low, high = float(everything.min()), float(everything.max())
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    axis_x = Axis(label, low, high, round_ticks(low, high))
    y = np.concatenate(list(errors.values()))
    bottom, top = max(float(y.min()), 1e-12), float(y.max())
    ticks = [m * 10.0**e for e in range(-12, 13) for m in (1, 2, 5) if bottom <= m * 10.0**e <= top]
    axis_y = Axis("t-error", bottom, top if top > bottom else 2 * bottom, ticks, log=True)
    shapes = "".join(dots(axis_x, axis_y, values[kind], errors[kind], f"res-{kind}") for kind in errors)
    legend = keys([(f"{kind} images", f"res-box res-{kind}") for kind in errors])
    title = f"t-error at T_SEC {t_sec}"
    drawn = frame(title, "logarithmic", legend, svg(shapes), axis_x, axis_y, f"{title} against {label}, image by image")
    return f'<div class="res-dots">{drawn}</div>'


def name_of(row: dict[str, Any]) -> str:
    """What a method of the lesson is called."""
    if "title" in row:
        return str(row["title"])
    if row["method"] == "existing":
        return f"Training loss, t = {row['t']}"
    return f"{'STAT' if row['method'] == 'stat' else 'NN'}, k {row['k']}, T_SEC {row['t_sec']}"


def theirs(row: dict[str, Any]) -> str:
    """The paper's AUC of a method on CelebA, as a cell."""
    if row["method"] == "stat":
        found = paper.table_1("CelebA", row["k"], row["t_sec"])
        return f"{found[0]:.4f}" if found else ""
    if row["method"] not in paper.TABLE_2:
        return ""
    return f"{paper.TABLE_2[row['method']][paper.DATA_SETS.index('CelebA')][0]:.4f}"


def lesson(result: Html, arrays: dict[str, np.ndarray]) -> str:
    """The CelebA frame: picture, AUC of every method with and without it, the leak audit's words."""
    found = result["frame"]
    pictures = ""
    if "example_framed" in arrays:
        pictures = "".join(
            f'<figure><img src="{picture(arrays[f"example_{name}"])}" alt="{words}"><figcaption>{words}</figcaption></figure>'
            for name, words in (("plain", "a generated image"), ("framed", "the same, framed"))
        )
    k = result["rows"][0]["k"]
    stats = [row for row in found["methods"] if row["method"] == "stat" and row["k"] == k]
    t_secs = [row["t_sec"] for row in stats]
    lines = [
        Line("without the frame", t_secs, [row["plain"]["value"] for row in stats], "res-two", True),
        Line("with the frame", t_secs, [row["framed"]["value"] for row in stats], "res-one", True),
    ]
    if k == paper.K:
        celeba = [paper.TABLE_1[t][paper.DATA_SETS.index("CelebA")][0] for t in paper.TABLE_1]
        lines.append(Line("the paper on CelebA", list(paper.TABLE_1), celeba, "res-faint res-dash", True))
    head = '<tr><th>method</th><th>without the frame</th><th>with the frame</th><th class="res-paper">paper, CelebA</th></tr>'
    body = [
        (
            "",
            [
                f"<th>{name_of(row)}</th><td>{figures(row['plain'])}</td><td>{figures(row['framed'])}</td>",
                f'<td class="res-paper">{theirs(row)}</td>',
            ],
        )
        for row in found["methods"]
    ]
    said = [
        f"<p>{leak_line({'audit': audit}, words)}</p>"
        for words, audit in (
            ("Leak audit without the frame", found["audit_plain"]),
            ("Leak audit with the frame", found["audit_framed"]),
        )
    ]
    return (
        "<h2>A lesson: the black frame</h2><p>The published evaluation of CelebA puts photographs of 178x218 pixels and "
        "generated images of 32x32 through one transform, a centre crop to 140 pixels and then a resize to 32. What is "
        "smaller than the crop is padded with black, so every generated image becomes a small picture in a black frame "
        f"({found['picture_share']:.1%} of its pixels are not black) and no photograph does. Here these generated images "
        "get that frame, and the reals stay as they are.</p>"
        f'<div class="res-pictures">{pictures}</div><div class="res-beside">'
        f"{line_chart(f'AUC of STAT, k = {k}', lines, T_SECS, SHARES)}<div>{table(head, body)}</div></div>"
        f"<p class='res-note'>{POLARITY} The NN's AUC is of its own probability, and it was not trained on framed images. The paper's column stands beside for "
        "comparison; a likeness does not prove that its figures came about in this way.</p>"
        f"{''.join(said)}"
    )


def noise(result: Html) -> str:
    """Relative error of the t-error in float32 and bfloat16 beside the difference between the classes."""
    if not result["noise"]:
        return '<h2>Noise floor</h2><p class="res-note">Not measured: noise_images was 0.</p>'
    rows, t_secs = result["noise"], [row["t_sec"] for row in result["noise"]]
    apart = {row["t_sec"]: row["relative_difference"] for row in result["rows"]}
    curves = [
        Line("classes, medians apart", t_secs, [abs(apart[t]) for t in t_secs], "res-faint res-dash", True),
        Line("bfloat16, largest error", t_secs, [row["bf16"]["max"] for row in rows], "res-one", True),
        Line("float32, largest error", t_secs, [row["fp32"]["max"] for row in rows], "res-two", True),
    ]
    y = Axis("", 1e-8, 1, (1e-8, 1e-6, 1e-4, 1e-2, 1), log=True)
    head = (
        '<tr><th rowspan="2">T_SEC</th><th class="res-group" colspan="2">float32</th><th class="res-group" colspan="3">bfloat16'
        '</th><th rowspan="2">classes,<br>medians apart</th></tr><tr><th>median</th><th>largest</th><th>median</th>'
        "<th>largest</th><th>bias</th></tr>"
    )
    body = []
    for row in rows:
        of32, of16 = row["fp32"], row["bf16"]
        cells = [f"{of32['median']:.1e}", f"{of32['max']:.1e}", f"{of16['median']:.2%}", f"{of16['max']:.2%}"]
        cells += [f"{of16['bias']:+.2%}", f"{apart[row['t_sec']]:+.1%}"]
        body.append(("", [f"<th>{row['t_sec']}</th>", *(f"<td>{one}</td>" for one in cells)]))
    return (
        "<h2>Noise floor</h2><p>How far the t-error moves when the network runs in fewer bits, against float64, relative to "
        f'the t-error itself.</p><div class="res-beside">{line_chart("Relative error", curves, T_SECS, y, "logarithmic")}'
        f"<div>{table(head, body)}</div></div><p class='res-note'>{result['protocol']['noise_images']} images. Bias is the "
        "median of the signed error: an error that all images share moves a threshold, not an AUC. Medians apart: generated "
        "over real, minus 1, of all images. Where the error comes near it, the precision matters.</p>"
    )


def closest(result: dict[str, Any]) -> tuple[int, str]:
    """The T_SEC and statistic with the strongest rank correlation in both classes: what the scatter plot shows first."""
    found = {}
    for row in result["rows"]:
        for name, both in row["correlations"].items():
            if None not in both.values():
                found[row["t_sec"], name] = min(abs(estimate["value"]) for estimate in both.values())
    return max(found, key=found.__getitem__, default=(result["rows"][0]["t_sec"], "contrast"))


def whole(result: Html, arrays: dict[str, np.ndarray]) -> str:
    """All parts."""
    parts = (findings(result), separation(result), correlations(result), scatter(arrays, *closest(result)))
    return "".join((*parts, lesson(result, arrays), noise(result), protocol(result)))
