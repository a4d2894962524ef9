"""What the tabs of one app share: its detectors, the traces its visitors walked, the examples, and its jobs."""

import threading
from collections.abc import Callable
from pathlib import Path

from sedid.detector.detector import Detector, as_seen
from sedid.jobs.store import JobStore
from sedid.ui.detectors import Detectors
from sedid.ui.examples import Example, bundle_examples
from sedid.ui.menu import DEFAULT, Menu
from sedid.ui.server import access
from sedid.ui.traces import Traces

START = (165, 495)  # the (k, T_SEC) an uncalibrated detector is shown at


class Context:
    """One app.

    Attributes:
        menu: which detectors there are.
        detectors: the opened ones.
        traces: the walks, charged to the visitor for whom they are made.
        examples: images for a first look with a detector that brings none.

    Args:
        load: opens the app's own detector.
    """

    def __init__(
        self, load: Callable[[], Detector], examples: tuple[Example, ...] = (), menu: Menu | None = None
    ) -> None:
        self.menu = menu or Menu()
        self.detectors = Detectors(load, self.menu)
        self.traces = Traces(access.charge)
        self.examples = examples

    @property
    def jobs(self) -> JobStore:
        """The jobs that this app starts and shows."""
        return self.menu.jobs

    def own_examples(self, key: str = DEFAULT) -> tuple[Example, ...]:
        """The images that the bundle of a detector of the menu brings; empty where it brings none.

        Raises:
            ValueError: this app may not open it.
        """
        return bundle_examples(Path(self.menu.own if key == DEFAULT else self.menu.place(key)[1]))

    def examples_of(self, key: str = DEFAULT) -> tuple[Example, ...]:
        """The images to look at with a detector of the menu: those of its bundle, the app's where it has none.

        Raises:
            ValueError: this app may not open it.
        """
        return self.own_examples(key) or self.examples

    def opens_with(self, detector: Detector, key: str = DEFAULT) -> dict[str, Example]:
        """By origin the example that the page opens with: what `first_right` found when the detector was shipped.

        Else, and in a bundle that says nothing of use, the first one of its origin.

        Raises:
            ValueError: this app may not open it.
        """
        told = detector.info.get("opens_with")
        chosen = set(told.values()) if isinstance(told, dict) and all(isinstance(x, str) for x in told.values()) else ()
        found: dict[str, Example] = {}
        for example in self.examples_of(key):
            if example.origin not in found or example.path.stem in chosen:
                found[example.origin] = example
        return found

    def warm_up(self) -> None:
        """Load the detector in the background, so that the page is served at once."""

        def load() -> None:
            try:
                detector = self.detectors.get()
                k, t_sec = detector.chosen or START
                for example in list(self.opens_with(detector).values())[:1]:
                    detector.judge(self.traces.walk(detector, as_seen(detector, example.path)[0], k), t_sec)
            except (OSError, ValueError):
                pass  # the page says so when it asks

        threading.Thread(target=load, name="warm-up", daemon=True).start()
