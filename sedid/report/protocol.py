"""What a study measured on what, in the words that all studies share, as HTML parts."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from sedid.report.html import render
from sedid.report.markdown import leak_line, sampler_words, splits_line, unlike_words
from sedid.studies.study import ImageSet, MadeBy, Protocol
from sedid.training.checks import LeakCheck, SplitCheck


def stated(
    facts: Iterable[tuple[str, str]],
    splits: SplitCheck | None,
    audits: Sequence[LeakCheck | None] = (),
    made: MadeBy | None = None,
    calibration: LeakCheck | None = None,
) -> Markup:
    """Facts on a card, and what was found about the images, warnings set off.

    Args:
        facts: names and values.
        splits: what the sets share.
        audits: leak audits; None for one that older results lack.
        made: how the generated set was made, where a set of another checkpoint calls for a warning.
        calibration: the leak audit of the images that chose something, told where it warns.
    """
    return render(
        "protocol.html",
        facts=facts,
        splits=splits,
        audits=audits,
        made=made,
        calibration=calibration,
        leak_line=leak_line,
        splits_line=splits_line,
    )


def made_by(made: MadeBy | None) -> str:
    """How a generated set was made, in words."""
    if made is None:
        return "no manifest: sampler and checkpoint unknown"
    return f"{sampler_words(made)}, seed {made.seed}{unlike_words(made)}"


def detector_words(stated: Protocol) -> str:
    """Which detector was measured."""
    return f"{stated.detector or 'unnamed'}, checkpoint {stated.checkpoint_sha256[:12]}"


def set_words(found: ImageSet) -> str:
    """A set of images: how many from where."""
    place = f" from {found.data_set}" if found.data_set else ""
    return f"{found.count:,}{place}, sha256 {found.sha256[:12]}"


def version_words(stated: Protocol) -> str:
    """The versions of Python and the libraries."""
    return ", ".join(f"{name} {number}" for name, number in stated.versions.items())
