"""Many files at once: the second part of the Gallery tab. Layout, wiring and what the events do."""

import html
from typing import Any

import gradio as gr

from sedid.ui import kit
from sedid.ui.context import Context
from sedid.ui.frame import Head
from sedid.ui.gallery.many import Batch
from sedid.ui.gallery.many_view import EMPTY, GONE, batch_html
from sedid.ui.inspect.events import NO_DETECTOR, asked, whole
from sedid.ui.kit import LIGHT, NETWORK, this_tab
from sedid.ui.upload import file_of, refusal

KEPT = 3600  # seconds a batch lives after its page was closed


def build(context: Context, head: Head) -> None:
    """Lay out the part and wire it. Call inside a `gr.Tab`."""
    panel, tab = Panel(context), this_tab()
    batch = gr.State(None, time_to_live=KEPT)
    files = gr.File(file_count="multiple", label="Images, or .zip files of images", height=150, elem_id="batch-files")
    with gr.Row():
        judge = gr.Button("Judge", variant="primary", elem_id="batch-judge", scale=0, min_width=150)
        stop = gr.Button("Stop", variant="stop", visible=False, elem_id="batch-stop", scale=0, min_width=100)
    shown = kit.html(EMPTY, "batch", "gallery")
    timer = gr.Timer(0.2, active=False)

    outputs = [shown, stop, timer]
    view = [head.source, batch]
    judge.click(panel.start, [head.source, files], [batch, *outputs], preprocess=False, **LIGHT)
    timer.tick(panel.work, view, outputs, **LIGHT, **NETWORK)
    stop.click(panel.stop, view, outputs, queue=False, **LIGHT)
    shown.select(panel.sent, view, shown, **LIGHT)
    tab.select(panel.follow, view, shown, **LIGHT)
    head.follow("gallery", panel.follow, view, [shown], show_progress="hidden")


class Panel:
    """What the events do; what is known of a visitor's files is in the session's `Batch`.

    `source` is the key of the detector in use. A batch keeps the one that judged it.
    """

    def __init__(self, context: Context) -> None:
        self.context = context

    def start(self, source: str, files: list[dict[str, Any]] | None) -> list[Any]:
        """Open the files, as Gradio hands over unprocessed ones; they are read and judged by `work`.

        Returns:
            The batch, then as `view`.
        """
        if not files:
            raise refusal(ValueError("Choose or drop some images or .zip files first."))
        try:
            paths, names = zip(*map(file_of, files), strict=True)
        except ValueError as error:
            raise refusal(error) from error
        try:
            batch = Batch(self.context.detectors.get(source), paths, names)
        except (OSError, ValueError) as error:
            raise refusal(ValueError(NO_DETECTOR)) from error
        return [batch, *self.view(source, batch)]

    def work(self, source: str, batch: Batch | None) -> list[Any]:
        """A second's work."""
        if batch is not None and not batch.done:
            try:
                batch.advance(self.context.traces.judge)
            except (gr.Error, OSError, ValueError) as error:  # the visitor has had their share, or the detector is gone
                batch.stopped = True
                gr.Warning(html.escape(str(getattr(error, "message", error))))
        return self.view(source, batch)

    def stop(self, source: str, batch: Batch | None) -> list[Any]:
        """End it where it is; the rows stay."""
        if batch is not None and not batch.done:
            batch.stopped = True
        return self.view(source, batch)

    def sent(self, source: str, batch: Batch | None, event: gr.EventData) -> Any:
        """A heading or a page was chosen."""
        if batch is None:
            return GONE
        if asked(event, "sort") is not None:
            batch.sort(str(asked(event, "sort")))
        elif asked(event, "page") is not None:
            batch.page = whole(asked(event, "page"), 0)
        return self.drawn(source, batch)

    def follow(self, source: str, batch: Batch | None) -> Any:
        """Another detector may be in use: the table stays that of the one that judged it, and says so."""
        return gr.skip() if batch is None else self.drawn(source, batch)

    def drawn(self, source: str, batch: Batch) -> str:
        """The table."""
        now = self.context.detectors.get(source)
        return batch_html(batch, "" if now is batch.detector else now.name)

    def view(self, source: str, batch: Batch | None) -> list[Any]:
        """Table, Stop and timer."""
        going = batch is not None and not batch.done
        return [GONE if batch is None else self.drawn(source, batch), gr.Button(visible=going), gr.Timer(active=going)]
