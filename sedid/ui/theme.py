"""The look: Gradio's theme with system fonts. The style sheet is `sedid.ui.style`."""

import gradio as gr


def make_theme() -> gr.themes.Base:
    """Calm grays and one violet; text colours chosen for WCAG AA contrast in light and dark."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.violet,
        neutral_hue=gr.themes.colors.slate,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_text_color="white",
        color_accent="*primary_600",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
    )
