"""What stands beside a verdict, as HTML: mild re-encodings, tiles, file facts. For the page and the case report.

No Gradio, no network.
"""

import base64
from collections.abc import Sequence
from io import BytesIO

from PIL import Image

from sedid.data.file_facts import NOTE, FileFacts, rows
from sedid.detector.batches import METHODS, verdict_of
from sedid.detector.detector import Call, Judgement
from sedid.detector.stability import RULE, Outcome, Stability, in_words
from sedid.detector.tiles import CAVEAT, PatchMap
from sedid.detector.words import where
from sedid.report.pictures import GRADIENT, data_uri, heat, number, text
from sedid.report.verdict import headline

PREVIEW = 720  # pixels, the longer side of a picture under its tiles


def facts_table(facts: FileFacts) -> str:
    """The facts of a file and the sentence that they prove nothing."""
    return f'{pairs(rows(facts))}<p class="sed-fine">{NOTE}</p>'


def pairs(found: Sequence[tuple[str, str]]) -> str:
    """(name, plain text) pairs as a list."""
    body = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in found)
    return f'<dl class="sed-facts">{body}</dl>'


# --- stability ---------------------------------------------------------------------------------------------------


def summary_line(outcome: Outcome, method: str) -> str:
    """The sentence, its result first and bold."""
    result, _, rest = in_words(outcome, method).partition(". ")
    return f"<b>{text(result)}.</b> {text(rest)}" if rest else f"<b>{text(result)}</b>"


def stability_part(found: Stability) -> str:
    """The summary and the table of versions; those that got another call than the image itself are marked."""
    outcomes = {method: found.outcome(method) for method in METHODS}
    there = {method: outcome for method, outcome in outcomes.items() if outcome is not None}
    lines = "".join(f"<p>{summary_line(outcome, method)}</p>" for method, outcome in there.items())
    low, high = (number(value) for value in found.spread)
    if not there:
        lines = f"<p>Nothing is calibrated at this k and T_SEC: only the t-errors can be compared, {low} to {high}.</p>"
    heads = "".join(f'<th scope="col">{method}</th>' for method in there)
    body = "".join(_version(found, place, list(there)) for place in range(len(found.versions)))
    return (
        f'<div role="status">{lines}</div><table class="sed-versions"><thead><tr><th scope="col">version</th>'
        f'<th scope="col">t-error</th>{heads}</tr></thead><tbody>{body}</tbody></table>'
        f'<p class="sed-fine">{RULE} At {where(found.judgements[0])}, on the pixels the detector sees; t-errors from '
        f"{low} to {high}. Rows in gray got another verdict than the image itself.</p>"
    )


def _version(found: Stability, place: int, methods: Sequence[str]) -> str:
    version, judgement, first = found.versions[place], found.judgements[place], found.judgements[0]
    cells, moved = "", False
    for method in methods:
        verdict = verdict_of(judgement, method)
        words, style = headline(verdict)
        moved |= words != headline(verdict_of(first, method))[0]
        share = f" <span>{verdict.score:.0%}</span>" if method == "NN" and verdict is not None else ""
        cells += f'<td class="sed-ink-{style}"><b>{words}</b>{share}</td>'
    return (
        f'<tr{" class=sed-moved" if moved else ""}><th scope="row"><span class="sed-version"><img src="{data_uri(version.image)}" alt="">'
        f"{text(version.label)}</span></th><td>{number(judgement.t_error)}</td>{cells}</tr>"
    )


# --- tiles -------------------------------------------------------------------------------------------------------


def preview(picture: Image.Image) -> str:
    """An RGB picture, at most PREVIEW pixels a side, as a data URI; for looking at only."""
    small = picture.copy()
    small.thumbnail((PREVIEW, PREVIEW))
    file = BytesIO()
    small.save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def told(judgement: Judgement, number_of: int, corner: tuple[int, int], of: int) -> str:
    """One tile in words, plain text."""
    said = [f"t-error {number(judgement.t_error)}"]
    for method in METHODS:
        verdict = verdict_of(judgement, method)
        if verdict is not None:
            share = f" ({verdict.score:.0%})" if method == "NN" else ""
            said.append(f"{method} {headline(verdict)[0].lower()}{share}")
    return f"Tile {number_of} of {of}, at column {corner[0]}, row {corner[1]}: {'; '.join(said)}"


def sums(found: PatchMap) -> str:
    """What the tiles come to: medians, quartiles, shares."""
    spread, total = found.spread(), len(found.grid)
    boxes = [
        (
            number(spread.median),
            "median t-error",
            f"quartiles {number(spread.low)} and {number(spread.high)}, over {total} tiles",
        )
    ]
    for method in METHODS:
        if found.has(method):
            counts = found.calls(method)
            others = [
                f"{counts[name]} {name}"
                for name in Call
                if name == Call.REAL or (name in counts and name != Call.GENERATED)
            ]
            detail = f"{counts[Call.GENERATED]} of {total}; {', '.join(others)}"
            if method == "NN":
                nn = found.spread("NN")
                detail += f". Median probability {nn.median:.0%}, quartiles {nn.low:.0%} and {nn.high:.0%}"
            boxes.append((f"{found.share_generated(method):.0%}", f"of the tiles called generated by {method}", detail))
    return '<div class="sed-sum">{}</div>'.format(
        "".join(f"<div><b>{big}</b><span>{name}</span><small>{detail}</small></div>" for big, name, detail in boxes)
    )


def patch_part(found: PatchMap, uri: str, live: bool = True) -> str:
    """The map of tiles over the picture and what they come to.

    Args:
        uri: of `preview`.
        live: tiles are buttons that open; else they only say their score on hover.
    """
    grid, scores = found.grid, found.scores()
    limit = float(scores.max())
    colours = heat(scores, limit)
    views = [(method.lower(), f"{method} verdicts") for method in METHODS if found.has(method)]
    views += [("heat", "t-error"), ("none", "picture only")]
    radios = "".join(
        f'<label><input type="radio" name="sed-view{"" if live else "-report"}" value="{value}"{" checked" if not place else ""}>{label}</label>'
        for place, (value, label) in enumerate(views)
    )
    widths, heights = drawn(grid.columns, grid.size), drawn(grid.rows, grid.size)
    tiles = []
    for place, (corner, judgement) in enumerate(zip(grid.corners, found.judgements, strict=True)):
        classes = "".join(
            f" sed-tile-{method.lower()}-{headline(verdict_of(judgement, method))[1]}"
            for method in METHODS
            if found.has(method)
        )
        spot = (
            f"left:{100 * corner[0] / grid.width:.3f}%;top:{100 * corner[1] / grid.height:.3f}%;"
            f"width:{100 * widths[corner[0]] / grid.width:.3f}%;height:{100 * heights[corner[1]] / grid.height:.3f}%;"
            f"--heat:rgb({','.join(map(str, colours[place]))})"
        )
        label = text(told(judgement, place + 1, corner, len(grid)))
        kind = (
            f'button type="button" data-tile="{place}" tabindex="{0 if place == 0 else -1}" aria-pressed="false" aria-label="{label}"'
            if live
            else f'span title="{label}"'
        )
        tiles.append(f'<{kind} class="sed-tile{classes}" style="{spot}"></{kind.split()[0]}>')
    large = " sed-large" if max(grid.width, grid.height) > PREVIEW // 2 else ""
    ratio = f"aspect-ratio:{grid.width}/{grid.height};max-width:min(100%, {62 * grid.width / grid.height:.1f}vh)"
    hint = "Point at a tile, or move with the arrow keys, to read its score. A click or Enter inspects that tile."
    return (
        f"<p>{text(grid.words)} At {where(found.judgements[0])}.</p>{sums(found)}"
        f'<div class="sed-map"><fieldset class="sed-views" aria-label="What the map shows">{radios}</fieldset>'
        f'<div class="sed-tiles{large}" style="{ratio}" data-columns="{len(grid.columns)}"><img src="{uri}" alt="The whole picture, {grid.width} by {grid.height} pixels">'
        f"{''.join(tiles)}</div>{_keys(views, limit)}"
        + (f'<p class="sed-told" role="status">{hint}</p>' if live else "")
        + f'</div><p class="sed-fine">{CAVEAT}</p>'
    )


def drawn(edges: Sequence[int], size: int) -> dict[int, int]:
    """How far each tile is drawn, by its edge: up to the next one, so that no two colours mix where tiles overlap."""
    return {at: min(size, after - at) for at, after in zip(edges, (*edges[1:], edges[-1] + size), strict=True)}


def _keys(views: Sequence[tuple[str, str]], limit: float) -> str:
    calls = "".join(
        f'<span><i class="sed-key {style}"></i>{label}</span>'
        for style, label in (
            ("sed-real sed-flat", "real"),
            ("sed-generated sed-flat", "generated"),
            ("sed-key-none", "no verdict"),
        )
    )
    found = "".join(f'<p class="sed-legend sed-key-{view}">{calls}</p>' for view, _ in views if view in ("stat", "nn"))
    ticks = "".join(f"<span>{mark}</span>" for mark in ("0", number(limit / 2), number(limit)))
    bar = f'<div class="sed-bar" style="background:{GRADIENT}"></div><div class="sed-bar-ticks">{ticks}</div>'
    return f'{found}<div class="sed-key-heat">{bar}<p class="sed-fine">t-error of a tile</p></div>'
