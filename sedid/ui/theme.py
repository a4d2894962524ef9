"""The look as Gradio knows it: fonts, hues and roles of colours. The style sheet of the page's own parts is
`sedid.report.style`; the colours of real, generated and undecided stand there and in `sedid.report.figures`."""

from typing import Any

from gradio.themes import Base, colors, sizes
from gradio.themes.utils.fonts import LocalFont

WEIGHTS = (400, 700)  # Gradio's semi-bold files lack digits and some letters


class SedidTheme(Base):
    """Calm slate grays, one violet for what can be pressed, IBM Plex from Gradio's own files (nothing is requested
    from elsewhere); text colours chosen for WCAG AA contrast in light and dark."""

    def __init__(self) -> None:
        super().__init__(
            primary_hue=colors.violet,
            secondary_hue=colors.slate,
            neutral_hue=colors.slate,
            font=[LocalFont("IBM Plex Sans", WEIGHTS), "system-ui", "sans-serif"],
            font_mono=[LocalFont("IBM Plex Mono", WEIGHTS), "ui-monospace", "monospace"],
            radius_size=sizes.radius_md,
        )
        self.name = "sedid"
        self.set(**ROLES)


ROLES: dict[str, Any] = {
    "body_background_fill": "*neutral_50",
    "body_background_fill_dark": "#0f1520",
    "background_fill_primary": "white",
    "background_fill_primary_dark": "#18202d",
    "background_fill_secondary": "*neutral_100",
    "background_fill_secondary_dark": "#131a26",
    "block_background_fill_dark": "#18202d",
    "block_border_width": "1px",
    "border_color_primary": "#dfe4ea",
    "border_color_primary_dark": "#35425a",
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_400",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_400",
    "block_label_text_color": "*neutral_700",
    "block_label_text_color_dark": "*neutral_200",
    "block_title_text_color": "*neutral_700",
    "block_title_text_color_dark": "*neutral_200",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_hover_dark": "*primary_600",
    "button_primary_text_color": "white",
    "button_secondary_background_fill": "white",
    "button_secondary_background_fill_dark": "#222c3b",
    "button_secondary_background_fill_hover": "*neutral_100",
    "button_secondary_background_fill_hover_dark": "#2c3850",
    "button_secondary_border_color": "#c9d1db",
    "button_secondary_border_color_dark": "#465572",
    "button_border_width": "1px",
    "color_accent": "*primary_600",
    "input_background_fill_dark": "#222c3b",
    "link_text_color": "*primary_700",
    "link_text_color_dark": "*primary_300",
    "link_text_color_hover": "*primary_800",
    "link_text_color_hover_dark": "*primary_200",
    "link_text_color_visited": "*primary_700",
    "link_text_color_visited_dark": "*primary_300",
    "link_text_color_active": "*primary_800",
    "link_text_color_active_dark": "*primary_200",
    "slider_color": "*primary_600",
    "slider_color_dark": "*primary_400",
}
"""Part of the page -> its colour."""
