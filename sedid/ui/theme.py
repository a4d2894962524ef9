"""The look as Gradio knows it: fonts, hues and roles of colours. The palette is `sedid/report/static/tokens.css`."""

from typing import Any

from gradio.themes import Base, colors, sizes

from sedid.report.style import palette


class SedidTheme(Base):
    """Calm slate grays, one violet for what can be pressed, the fonts of the visitor's system: none is fetched.

    Text colours are chosen for WCAG AA contrast in light and dark.
    """

    def __init__(self) -> None:
        super().__init__(
            primary_hue=colors.violet,
            secondary_hue=colors.slate,
            neutral_hue=colors.slate,
            font=["system-ui", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
            radius_size=sizes.radius_md,
        )
        self.name = "sedid"
        self.set(**HUES, **roles())


def roles() -> dict[str, str]:
    """Part of the page -> its colour of the palette; of a part's two colours the second is for dark."""
    light, dark = palette(), palette(dark=True)
    pairs = {part: (name, name) if isinstance(name, str) else name for part, name in ROLES.items()}
    on_light = {part: light[name] for part, (name, _) in pairs.items()}
    return on_light | {f"{part}_dark": dark[name] for part, (_, name) in pairs.items()}


ROLES: dict[str, str | tuple[str, str]] = {
    "body_background_fill": "sed-ground",
    "background_fill_primary": "sed-plane",
    "background_fill_secondary": ("sed-soft", "sed-ground"),
    "block_background_fill": "sed-plane",
    "border_color_primary": "sed-rule",
    "body_text_color": "sed-ink",
    "body_text_color_subdued": "sed-quiet",
    "block_info_text_color": "sed-quiet",
    "input_background_fill": "sed-soft",
    "checkbox_border_color": "sed-quiet",
    "checkbox_border_color_hover": "sed-accent",
    "button_primary_background_fill": "sed-press",
    "button_primary_text_color": "sed-on-press",
    "button_secondary_background_fill": ("sed-plane", "sed-soft"),
    "button_secondary_background_fill_hover": ("sed-soft", "sed-rule"),
    "button_secondary_border_color": "sed-edge",
}
"""Part of the page -> its colour in the palette, or one for light and one for dark."""

HUES: dict[str, Any] = {
    "color_accent": "var(--sed-accent)",  # Gradio knows but one for both
    "block_border_width": "1px",
    "block_label_text_color": "*neutral_700",
    "block_label_text_color_dark": "*neutral_200",
    "block_title_text_color": "*neutral_700",
    "block_title_text_color_dark": "*neutral_200",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_hover_dark": "*primary_600",
    "button_border_width": "1px",
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
"""What Gradio makes of its violet and its grays."""
