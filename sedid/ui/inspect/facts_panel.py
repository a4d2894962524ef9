"""The panel "About the file" of the Inspect tab: what the file says of itself, apart from the verdict."""

from markupsafe import Markup

from sedid.data.file_facts import FileFacts, file_facts
from sedid.report import evidence
from sedid.ui.inspect.events import Inspector, Visit
from sedid.ui.inspect.folded import Folded
from sedid.ui.inspect.view import Shown
from sedid.ui.upload import rewritten

NO_FILE = '<p class="sed-fine">This image did not come from a file.</p>'


def facts_of(shown: Shown) -> FileFacts | None:
    """The facts of the file an image came from; None if it came from none.

    Raises:
        ImageError: the file is too large.
        ValueError: an upload that has been removed meanwhile.
    """
    content = shown.content()
    return None if content is None else file_facts(content, shown.name)


def draw(_: Inspector, visit: Visit) -> str:
    """The facts of the file whose image is shown."""
    assert visit.shown is not None
    facts = facts_of(visit.shown)
    if facts is None:
        return NO_FILE
    said = Markup("").join(Markup('<p class="sed-careful">{}.</p>').format(note) for note in rewritten(facts.name))
    return said + evidence.facts_table(facts)


PANEL = Folded("About the file", "file-facts", "facts-shown", "seen", draw)
