"""Templates escape what they are given, and miss nothing silently."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from sedid.paths import ROOT
from sedid.report.html import render, renderer


def test_values_are_escaped_but_for_html_and_nothing_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text('<b title="{{ words }}">{{ words }}</b>{{ html }}')
    drawn = renderer(tmp_path)
    said = drawn("x.html", words='<i>"&', html=Markup("<hr>"))
    assert said == '<b title="&lt;i&gt;&#34;&amp;">&lt;i&gt;&#34;&amp;</b><hr>'
    assert isinstance(said, Markup)
    with pytest.raises(UndefinedError, match="html"):
        drawn("x.html", words="x")


def test_a_part_is_live_on_the_page_and_still_in_a_document() -> None:
    given = {"uri": "data:x", "label": "a <b>", "alt": "a", "caption": "", "style": ""}
    live, still = (render("frame.html", **given, live=live) for live in (True, False))
    assert 'data-label="a &lt;b&gt;"' in live
    assert "<button" in live
    assert "button" not in still
    assert live.count("<img") == still.count("<img") == 1


@pytest.mark.parametrize("file", sorted(ROOT.glob("sedid/**/templates/**/*.html")), ids=lambda file: file.stem)
def test_no_template_turns_escaping_off(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    assert "|safe" not in source.replace(" ", "")
    assert "autoescape" not in source
