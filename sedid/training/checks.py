"""What the loops find out about the images they are given, as lines in what they write.

That is the leak audit, which is never a reason to stop, and whether sets that must be disjoint are.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from sedid.data.audit import VERSION, Probe, audit
from sedid.data.datasets import fingerprint
from sedid.data.sources import FileFacts
from sedid.data.splits import (
    PLACES,
    SECTIONS,
    TRAINING,
    VALIDATION,
    Overlap,
    Prints,
    overlap,
    prints_of,
    read_splits,
    splits_file,
    stated,
)

log = logging.getLogger(__name__)

SHARED = 0.01
"""Share of a test set that may also be in a set that chose something: data sets hold chance duplicates. They are named."""
NAMED = 5  # places in a sentence


@dataclass(frozen=True)
class LeakCheck:
    """What `audit` found about two sets of images, or why it did not look.

    Attributes:
        warning: what tells the classes apart, in words; "" if nothing was found.
        skipped: why it was not run; "" if it was.
        groups, overall: the AUC of each group of features, and of all of them; none if it was not run.
        real, generated: images looked at.
        version: of the audit.
    """

    warning: str
    skipped: str = ""
    groups: tuple[Probe, ...] = ()
    overall: Probe | None = None
    real: int = 0
    generated: int = 0
    version: int = VERSION


def audited(
    real: np.ndarray,
    generated: np.ndarray,
    files: tuple[Sequence[FileFacts] | None, Sequence[FileFacts] | None] = (None, None),
) -> LeakCheck:
    """What `audit` found about two sets of images.

    Args:
        real, generated: uint8 (N, H, W, 3).
        files: facts about the files of both, None where the images are no files; used if both have them.

    Returns:
        The finding; `skipped` says why where the sets are too small to tell.
    """
    both = (files[0], files[1]) if files[0] is not None and files[1] is not None else None
    try:
        found = audit(real, generated, files=both)
    except ValueError as error:
        return LeakCheck("", str(error))
    if found.warning:  # on the console, too: results and report are read later, if at all
        log.warning("warning: %s", found.warning)
    return LeakCheck(found.warning, "", found.groups, found.overall, found.real, found.generated, found.version)


@dataclass(frozen=True)
class SplitCheck:
    """What sets of images share, picture by picture.

    Attributes:
        against: what they were compared with, beside each other -> pictures in it.
        by_set: sets of which the detector keeps no prints (an older bundle): a set that equals one is found, a part is not.
        overlaps: where two sets share something.
        warning: all of it in words; "" if there is nothing to say.
    """

    against: dict[str, int]
    by_set: tuple[str, ...]
    overlaps: tuple[Overlap, ...]
    warning: str

    def of_classifier(self) -> str:
        """What a classifier was trained on of these images, in words; "" if no more than chance duplicates."""
        found = [
            one for one in self.overlaps if one.others in (spoken("classifier_real"), spoken("classifier_generated"))
        ]
        return "; ".join(in_words(one) for one in found if one.same + one.near > SHARED * one.count)


def check_unused(
    folder: Path,
    info: Mapping[str, Any],
    test: Mapping[str, np.ndarray],
    calibration: Mapping[str, np.ndarray] | None = None,
    judged: bool = True,
    members: str = "members",
) -> SplitCheck:
    """Refuse test images that gave a detector its thresholds or its classifier; find what else the sets share.

    Args:
        folder: the bundle.
        info: its detector.json.
        test: uint8 (N, H, W, 3) by name.
        calibration: images by name that the caller itself calibrates on.
        judged: the detector's own choices are measured, so that the images behind them are refused; else they are named.
        members: name of the set that holds training images of the network; no other one should.

    Raises:
        ValueError: more than SHARED of a test set are such images; the text says which and how many.
    """
    seen = read_splits(splits_file(folder), info)
    known = {spoken(name): prints for name, prints in seen.items()}
    given = {f"calibration ({name})": prints_of(images) for name, images in (calibration or {}).items()}
    prints = {name: prints_of(images) for name, images in test.items()}
    by_set = _by_set(info, seen)
    found = [*_between(prints, known | given), *_whole_sets(info, by_set, test)]
    chose = {*given, *(map(spoken, SECTIONS) if judged else ())}
    refused = [in_words(one) for one in found if one.others in chose and one.same > SHARED * one.count]
    if refused:
        raise ValueError(f"{'; '.join(refused)}: figures of images that chose something come out too good; give others")
    return _checked([*found, *_each_two(prints)], known | given, by_set, members)


def check_calibration(folder: Path, info: Mapping[str, Any], part: str, images: Mapping[str, np.ndarray]) -> SplitCheck:
    """What the images that a detector is about to be calibrated on share with each other and with those it has seen.

    Args:
        folder: the bundle.
        info: its detector.json.
        part: what they calibrate: "calibration" (STAT), "classifier" or "choice". Earlier images of this name are left
            out, since these take their place.
        images: uint8 (N, H, W, 3) by class.
    """
    seen = read_splits(splits_file(folder), info)
    known = {spoken(name): prints for name, prints in seen.items() if not name.startswith(part)}
    # a run that was killed just before its end has stated its images, and kept no prints of them
    by_set = tuple(name for name in _by_set(info, seen) if not name.startswith(part))
    prints = {name: prints_of(values) for name, values in images.items()}
    found = [*_between(prints, known), *_whole_sets(info, by_set, images), *_each_two(prints)]
    return _checked(found, known, by_set)


def spoken(name: str) -> str:
    """What a set that a detector has seen is called."""
    if name in (TRAINING, VALIDATION):
        return f"the network's {name}"
    part, _, kind = name.partition("_")
    return f"the detector's {part} ({kind})"


def in_words(shared: Overlap) -> str:
    """An overlap as half a sentence."""
    parts = [
        f"{count:,} of {shared.count:,} {shared.images} images are {how} {shared.others} images"
        for count, how in ((shared.same, "also"), (shared.near, "near copies (saved again or resized) of"))
        if count
    ]
    more = shared.same + shared.near - NAMED
    places = ", ".join(map(str, shared.places[:NAMED])) + (f" and {more:,} more" if more > 0 else "")
    return f"{' and '.join(parts)} (at {places})"


def _between(prints: Mapping[str, Prints], known: Mapping[str, Prints]) -> Iterator[Overlap]:
    """What each of some sets shares with each of those that are known."""
    for name, mine in prints.items():
        for other, others in known.items():
            yield overlap(mine, others, (name, other))


def _each_two(prints: Mapping[str, Prints]) -> Iterator[Overlap]:
    """What each two of some sets share."""
    for (name, mine), (other, others) in combinations(prints.items(), 2):
        yield overlap(mine, others, (name, other))


def _by_set(info: Mapping[str, Any], seen: Mapping[str, Prints]) -> tuple[str, ...]:
    """The sets that chose something and have no prints."""
    return tuple(name for name in SECTIONS if name not in seen and stated(info, name))


def _whole_sets(info: Mapping[str, Any], by_set: Iterable[str], images: Mapping[str, np.ndarray]) -> Iterator[Overlap]:
    """The sets that are, as a whole, one of those without prints."""
    for name, values in images.items():
        for other in by_set:
            if fingerprint(values) == stated(info, other):
                yield Overlap(name, spoken(other), len(values), len(values), 0, tuple(range(min(len(values), PLACES))))


def _checked(
    found: Iterable[Overlap],
    known: Mapping[str, Prints],
    by_set: Iterable[str],
    members: str = "",
) -> SplitCheck:
    """The check, with what is as it should be left out: members are training images."""
    overlaps, warnings = [], []
    for one in found:
        if (one.images, one.others) == (members, spoken(TRAINING)):
            if others := one.count - one.same - one.near:
                warnings.append(f"{others:,} of {one.count:,} {members} are none of the network's training images")
        elif one.same or one.near:
            overlaps.append(one)
            warnings.append(in_words(one))
    warning = f"Sets that should be disjoint share pictures: {'; '.join(warnings)}." if warnings else ""
    if warning:  # as above
        log.warning("warning: %s", warning)
    counts = {name: len(prints) for name, prints in known.items()}
    return SplitCheck(counts, tuple(map(spoken, by_set)), tuple(overlaps), warning)
