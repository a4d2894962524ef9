"""The page's own templates, `templates/*.html`, beside those it shares with reports (`sedid.report.html`)."""

from pathlib import Path

from sedid.report.html import TEMPLATES, renderer

render = renderer(Path(__file__).parent / "templates", TEMPLATES)
"""As `sedid.report.html.render`, of both."""
