"""The equations of the lesson: they are the method card's, and every command of LaTeX in them becomes MathML."""

import re
from xml.etree import ElementTree

import pytest

from sedid.paths import DOCS
from sedid.ui.learn import equations
from sedid.ui.learn.equations import Equation

ALL = {name: value for name, value in vars(equations).items() if isinstance(value, Equation)}
OWN = {"ALPHA_BAR", "FREE", "STAT", "IN_RANGE"}
"""Not in the method card, or in words."""


@pytest.mark.parametrize("name", ALL)
def test_an_equation_becomes_mathematics(name: str) -> None:
    drawn = ElementTree.fromstring(ALL[name].mathml)
    assert drawn.get("aria-label") == ALL[name].spoken
    assert "\\" not in "".join(drawn.itertext())


@pytest.mark.parametrize("name", sorted(ALL.keys() - OWN))
def test_the_method_card_has_the_same_equation(name: str) -> None:
    own = re.sub(r"^\\text\{[^}]*\} ", "", ALL[name].latex).partition(r", \quad")[0]
    assert own in (DOCS / "method.md").read_text(encoding="utf-8")
