"""Results as documents, for page, report and case alike: HTML parts, charts, Markdown. Knows no Gradio."""
