"""Step 0 of the lesson: a world in closed form, computed and drawn in the browser (`static/world.js`, `static/world_view.js`)."""

import re

from sedid.report.pictures import text
from sedid.ui.learn import equations
from sedid.ui.scripts import STATIC

TITLE = "A world small enough to compute"
IDEA = (
    "<p>In this world a picture is a <b>single number</b>, and there are two kinds of pictures: a density with two hills. Nobody has to "
    "train a network here: which noise was added is a <b>formula</b>. So every path and every t-error below is exact, and your browser "
    "computes it while you drag.</p><p>A picture of many numbers is not much different: the errors of its numbers add up.</p>"
)
TASK = "In part 3, find a T_SEC at which a smaller error means generated, and one at which a larger one does. Which slider moves which?"

EQUATIONS = (equations.MIXTURE, equations.EXACT_NOISE, equations.ONE_HILL)
SHOWN = ("noised", "eps", "step", "errors")
"""The functions of world.js that the step quotes."""

PARTS = {"point": "One point", "crowds": "Two crowds", "scales": "Two scales"}


def picture() -> str:
    """The interactive picture; the script fills it, and the texts are there before."""
    choices = "".join(
        f'<label><input type="radio" name="world-part" value="{name}"{" checked" if place == 1 else ""}><span><i>{place}</i> {title}</span></label>'
        for place, (name, title) in enumerate(PARTS.items(), 1)
    )
    play = '<button type="button" class="learn-play" data-world="play" aria-label="Play"><i aria-hidden="true">▶</i></button>'
    return (
        f'<div class="world"><fieldset class="world-parts"><legend>What to look at</legend>{choices}</fieldset>'
        f'<div class="world-walk">{play}{slider("t", "T_SEC", 165, 990, 165, 330)}{slider("k", "Step k", 33, 330, 33, 165)}</div>'
        f"{point()}{crowds()}{scales()}"
        '<p class="world-status" data-world="status" role="status"></p></div>'
    )


def point() -> str:
    """Part 1: a point, its path, the step back and the miss."""
    return section(
        "point",
        "<p><b>Drag the point</b>, or move it by the arrow keys. It walks into the noise to T_SEC by the noise that the formula sees at "
        "each stop (violet), then takes one step back by the noise seen at T_SEC (teal). The two differ: that is the miss, and its "
        "square is the t-error.</p>",
        drawing("path", 310, "The path of the point over the noised data", "The point", "vertical", 6)
        + READING
        + "<h4>The t-error at every T_SEC</h4>"
        + drawing("errors", 128)
        + '<div class="world-sliders">'
        + slider("spread", "Spread of each hill", 0.2, 2, 0.1, 0.7)
        + slider("apart", "Distance of the hills", 0, 8, 0.5, 5)
        + '</div><p class="world-aside">Set the distance to 0 and widen the hill: the error becomes largest later. <b>T_SEC chooses the scale</b>: it '
        "looks at what is about as wide as the noise there.</p>",
    )


def crowds() -> str:
    """Part 2: how the spread of generated data moves the error."""
    return section(
        "crowds",
        "<p>The formula knows the <b>real</b> data. The <b>generated</b> ones have another spread, as pictures with too little or too much "
        "contrast. On one hill the error is a fixed factor times the square of how far out the point lies, so too little spread makes "
        "it <b>smaller</b>, too much makes it <b>larger</b>.</p>",
        KEYS
        + drawing("densities", 96, "Densities of real and generated numbers")
        + '<div class="world-sliders">'
        + slider("ratio", "Spread of generated ones", 0.5, 1.5, 0.05, 0.8)
        + slider("numbers", "Numbers in a picture", 0, 4, 1, 3)
        + "</div>"
        + READING
        + charts("crowds")
        + '<div class="world-sliders">'
        + slider("spread-2", "Spread of each hill", 0.2, 2, 0.1, 0.7)
        + slider("apart-2", "Distance of the hills", 0, 8, 0.5, 0)
        + "</div>"
        + '<p class="world-aside">With one hill the sign is the same at every T_SEC. Move the hills apart: then it depends on whether T_SEC looks '
        "at the width of a hill or at their distance.</p>",
    )


def scales() -> str:
    """Part 3: a coarse and a fine axis, so that the sign depends on T_SEC."""
    return section(
        "scales",
        "<p>Now a picture has a <b>coarse</b> side, like its contrast, and a <b>fine</b> one, like its finest detail. An early T_SEC measures "
        "the fine one, a late T_SEC the coarse one. Generated pictures with too little contrast and too much fine detail therefore have "
        "the larger error early and the smaller one late: <b>the sign turns with T_SEC</b>.</p>",
        KEYS
        + '<div class="world-columns"><div><h4>Data, and a point to drag <small>fine upwards</small></h4>'
        + drawing("plane", 250, "The point's path in the plane of coarse and fine", "The point", "", 8)
        + "</div><div><h4>The point's t-error: <span class='world-key world-coarse'></span> coarse, <span class='world-key world-fine'></span> fine part</h4>"
        + drawing("parts", 128)
        + '<div class="world-sliders">'
        + slider("coarse", "Contrast of generated ones", 0.5, 1.5, 0.05, 0.8)
        + slider("fine", "Fine detail of generated ones", 0.5, 1.5, 0.05, 1.3)
        + slider("numbers-2", "Pairs of numbers in a picture", 0, 4, 1, 3)
        + "</div></div></div>"
        + READING
        + charts("scales")
        + '<p class="world-aside"><b>What this does not show.</b> A real network is not this formula: it learned from examples, its own mistakes '
        "are larger than the tiny errors at the last T_SEC here, and the numbers of a photograph are not independent. On photographs a trace of fine noise lowers the t-error at late T_SEC, where this world is blind "
        "to fine detail. The formula shows how a sign <i>can</i> turn, not all of why it does.</p>",
    )


READING = '<p class="world-reading">&nbsp;</p>'
KEYS = '<p class="world-keys"><span class="world-key world-real"></span> real <span class="world-key world-generated"></span> generated</p>'


def section(name: str, say: str, inside: str) -> str:
    """One of the parts; the script shows the one that is chosen."""
    hidden = "" if name == next(iter(PARTS)) else " hidden"
    return f'<section data-part="{name}" aria-label="{PARTS[name]}"{hidden}>{say}{inside}</section>'


def slider(name: str, label: str, low: float, high: float, step: float, value: float) -> str:
    """A slider and what it says."""
    return (
        f'<label class="world-slider"><span>{text(label)}</span><input type="range" name="world-{name}" min="{low}" max="{high}" '
        f'step="{step}" value="{value}"><output>{value}</output></label>'
    )


def drawing(name: str, height: int, label: str = "", handle: str = "", orientation: str = "", reach: float = 0) -> str:
    """Room for a drawing, in pixels; with a `handle`, a point of that name that can be dragged, from -reach to reach."""
    held = f'aria-orientation="{orientation}" ' if orientation else 'aria-roledescription="point in the plane" '
    inside = (
        f'<g class="world-live"></g><g class="world-handle" role="slider" tabindex="0" aria-label="{handle}" {held}aria-valuemin="-{reach}" '
        f'aria-valuemax="{reach}" aria-valuenow="0"><circle r="22"/><circle r="9"/></g>'
        if handle
        else ""
    )
    role = f'role="group" aria-label="{label}"' if handle else f'role="img" aria-label="{label}"'
    canvas = "<canvas></canvas>" if handle else ""
    return f'<div class="world-drawing" data-world="{name}" style="height:{height}px">{canvas}<svg {role}>{inside}</svg></div>'


def charts(name: str) -> str:
    """The errors of both crowds at T_SEC, and the AUC along T_SEC."""
    return (
        '<div class="world-columns"><div><h4>t-errors at this T_SEC</h4>'
        f"{drawing(f'{name}-histogram', 170, 't-errors of real and generated pictures')}</div>"
        f"<div><h4>AUC by T_SEC <small>0.5 is guessing</small></h4>{drawing(f'{name}-auc', 170)}</div></div>"
    )


def sources() -> list[tuple[str, str]]:
    """(name, lines) of the functions that compute the world, from the script itself."""
    script = (STATIC / "world.js").read_text(encoding="utf-8")
    found = []
    for name in SHOWN:
        lines = re.search(rf"^(?:export )?(function {name}\(.*?^\}})", script, re.DOTALL | re.MULTILINE)
        assert lines is not None
        found.append((f"world.js: {name}", lines[1]))
    return found


def code() -> str:
    """They as HTML."""
    blocks = "".join(
        f'<details class="learn-code"{"" if place else " open"}><summary><code>{name}</code></summary>'
        f'<pre tabindex="0" aria-label="Source of {name}"><code>{text(lines)}</code></pre></details>'
        for place, (name, lines) in enumerate(sources())
    )
    return f"<h3>The code that computes it, in your browser</h3>{blocks}"
