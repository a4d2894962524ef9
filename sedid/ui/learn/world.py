"""Step 0 of the lesson: a world in closed form, computed and drawn in the browser (`static/world.js`, `static/world_view.js`)."""

import re

from markupsafe import Markup

from sedid.ui.html import render
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
FUNCTIONS = re.compile(r"^(?:export )?(function (noised|eps|step|errors)\(.*?^\})", re.DOTALL | re.MULTILINE)
"""Those of world.js that the step quotes."""
PARTS = {"point": "One point", "crowds": "Two crowds", "scales": "Two scales"}


def picture() -> Markup:
    """The interactive picture; the script fills it, and the texts are there before."""
    return render("world.html", parts=PARTS)


def sources() -> list[tuple[str, str]]:
    """(name, lines) of the functions that compute the world, from the script itself."""
    script = (STATIC / "world.js").read_text(encoding="utf-8")
    return [(f"world.js: {name}", lines) for lines, name in FUNCTIONS.findall(script)]
