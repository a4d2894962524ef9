"""What a study measured on what, in the words that all studies share, as HTML parts."""

from collections.abc import Iterable

from sedid.report.markdown import leak_line, sampler_words, splits_line
from sedid.studies.study import ImageSet, MadeBy, Protocol
from sedid.training.checks import LeakCheck, SplitCheck


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values on a card, both HTML."""
    return (
        f'<dl class="res-facts">{"".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs)}</dl>'
    )


def made_by(made: MadeBy | None) -> str:
    """How a generated set was made, in words."""
    if made is None:
        return "no manifest: sampler and checkpoint unknown"
    crossed = ", by ANOTHER checkpoint (cross-checkpoint)" if made.cross_checkpoint else ""
    return f"{sampler_words(made)}, seed {made.seed}{crossed}"


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


def crossed(made: MadeBy | None) -> str:
    """The warning that another checkpoint made the images than the one that scores them; empty where none is due."""
    if made is None or not made.cross_checkpoint:
        return ""
    return (
        f'<p class="res-warning" role="alert"><b>Cross-checkpoint.</b> The generated images were made by checkpoint '
        f"{made.checkpoint_sha256[:12]}, not by the one that scores them. The method asks whether THIS model made an image, so these "
        "figures answer another question than the paper's.</p>"
    )


def leaks(audit: LeakCheck | None) -> str:
    """The leak audit as a line, a warning set off."""
    said = leak_line(audit)
    if audit and audit.warning:
        return f'<p class="res-warning" role="alert"><b>The data gives the classes away.</b> {said}</p>'
    return f'<p class="res-note">{said or "These results are older than the leak audit; evaluate again for it."}</p>'


def splits(found: SplitCheck | None) -> str:
    """What the sets share, as a line, a warning set off."""
    style = 'class="res-warning" role="alert"' if found and found.warning else 'class="res-note"'
    return f"<p {style}>{splits_line(found)}</p>"
