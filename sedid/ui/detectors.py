"""The detectors of an app, each loaded once when it is first needed, with one line in front of all their networks."""

import threading
import traceback
from collections.abc import Callable

from sedid.detector.company import share
from sedid.detector.detector import Detector
from sedid.models.sharing import Sharing
from sedid.ui.menu import DEFAULT, Menu
from sedid.ui.recent import Recent

KEPT = 3  # detectors beside the app's own that stay loaded


class Detectors:
    """The app's own detector, and the last few others.

    A failure is not remembered: a detector made meanwhile is found by the next request.

    Args:
        load: opens the app's own detector; called at most once with success.
        menu: opens the others.
    """

    def __init__(self, load: Callable[[], Detector], menu: Menu) -> None:
        self._load, self._menu = load, menu
        self._own: Detector | None = None
        self._others: Recent[tuple[str, int], Detector] = Recent(KEPT)
        self._sharing = Sharing()
        self._loading, self._opening = threading.Lock(), threading.Lock()

    def get(self, key: str = DEFAULT) -> Detector:
        """A detector, whose network visitors share.

        Resolve a visitor's key once and pass the detector on: at the next look it may have been calibrated anew.

        Args:
            key: of the menu.

        Raises:
            OSError, ValueError: as `load_detector`, or this app may not open it.
        """
        if key == DEFAULT:
            with self._loading:
                if self._own is None:
                    self._own = share(self._load(), self._sharing)
                return self._own
        stamp = self._menu.stamp(key)
        found = self._others.get(stamp)
        if found is None:
            with self._opening:  # another visitor may have waited for it, too
                found = self._others.get(stamp) or share(self._open(key), self._sharing)
                self._others.put(stamp, found)
        return found

    def is_open(self, key: str = DEFAULT) -> bool:
        """Whether `get` would not have to wait.

        Raises:
            ValueError: this app may not open it.
        """
        return (self._own if key == DEFAULT else self._others.get(self._menu.stamp(key))) is not None

    def _open(self, key: str) -> Detector:
        try:
            return self._menu.open(key)
        except (OSError, ValueError) as error:
            # An error is kept by whoever tells of it, its frames with it, and they hold half a detector's networks.
            behind: BaseException | None = error
            while behind is not None:
                traceback.clear_frames(behind.__traceback__)
                behind = behind.__cause__ or behind.__context__
            raise
