"""A case: all that was found about one image as one HTML file that needs nothing else and prints well.

It holds what is needed to find every number again: the exact pixels the detector saw (as a lossless PNG), their hash and
the file's, the checkpoint's hash, every parameter and where it came from. No script, no font, no request.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sedid import __version__
from sedid.data.file_facts import NOTE, FileFacts, file_facts
from sedid.data.images import preprocessing, read_image
from sedid.detector.batches import METHODS
from sedid.detector.bundle import versions
from sedid.detector.detector import Calibration, Detector, Inspection, Judgement, NNCalibration
from sedid.detector.stability import Stability, check, in_words
from sedid.detector.tiles import CAVEAT, PatchMap, score_patches
from sedid.detector.words import as_dict, own_t_sec, pair_dict, plain, where, why
from sedid.method.diffusion import Steps, write_steps
from sedid.report import evidence, filmstrip
from sedid.report.curve import along
from sedid.report.html import render
from sedid.report.page import page
from sedid.report.pictures import preview
from sedid.report.style import css
from sedid.report.verdict import factors, verdict_cards
from sedid.storage import replacing

LIMITS = (
    "A verdict is about a score and a threshold, not about truth, intent or origin. It is no proof that an image is authentic "
    "or made by a machine, and it must not be the only ground for a decision about a person.",
    "The detector judges the pixels shown here, made small from the picture where the notes say so. What was lost on the way "
    "it cannot know.",
    "How well it separates the two classes at all stands below each verdict (AUC). Other images than its references, other "
    "generators and edited pictures may do worse.",
    f"{NOTE} {CAVEAT}",
)


@dataclass(frozen=True)
class Extras:
    """What a case may hold beside the inspection; None where it was not run.

    Attributes:
        facts: of the file the image came from.
        stability, patches: their results at any k and T_SEC; each part says its own.
        picture: data URI of the picture under the tiles (`evidence.preview`).
    """

    facts: FileFacts | None = None
    stability: Stability | None = None
    patches: PatchMap | None = None
    picture: str = ""


def examine(
    detector: Detector, inspection: Inspection, file: Path, stability: bool = False, tiles: bool = False
) -> Extras:
    """The file's facts and, if they are asked for, the stability check and the tiles of an inspected image file.

    Raises:
        ImageError: the file cannot be read.
        ValueError: it is too small for tiles.
    """
    k, t_sec, image = inspection.judgement.k, inspection.judgement.t_sec, inspection.trace.image
    found, uri = None, ""
    if tiles:
        picture = read_image(file).image
        found, uri = score_patches(detector, picture, k, t_sec), preview(picture)
    return Extras(file_facts(file), check(detector, image, k, t_sec) if stability else None, found, uri)


def as_lines(extras: Extras) -> list[str]:
    """What the stability check and the tiles came to, for people, one line each."""
    lines = []
    if extras.stability is not None:
        outcomes = [(method, extras.stability.outcome(method)) for method in METHODS]
        lines += [in_words(outcome, method) for method, outcome in outcomes if outcome is not None]
        low, high = extras.stability.spread
        lines.append(f"t-errors of {len(extras.stability.versions)} mild re-encodings: {low:.4g} to {high:.4g}")
    if extras.patches is not None:
        found, spread = extras.patches, extras.patches.spread()
        shares = [
            f"{method} calls {found.share_generated(method):.0%} generated" for method in METHODS if found.has(method)
        ]
        lines += [
            found.grid.words,
            f"t-error of a tile: median {spread.median:.4g}, quartiles {spread.low:.4g} and {spread.high:.4g}",
        ]
        lines += [*(["; ".join(shares)] if shares else []), CAVEAT]
    return lines


def case_report(
    detector: Detector, inspection: Inspection, name: str, extras: Extras | None = None, now: datetime | None = None
) -> str:
    """The case as a whole HTML page.

    Args:
        name: what the image is called.
        now: time of the report; default: the present one.
    """
    extras = extras or Extras()
    trace, found = inspection.trace, inspection.judgement
    made = (now or datetime.now(UTC)).astimezone(UTC)
    height, width = trace.image.shape[:2]
    body = render(
        "case.html",
        name=name,
        made=made,
        version=__version__,
        detector=detector,
        at=where(found),
        verdicts=verdict_cards(detector, found, live=False),
        stability=extras.stability and evidence.stability_part(extras.stability),
        image=trace.image,
        width=width,
        height=height,
        exact=[
            ("What was done to the picture", "; ".join(inspection.notes) or "nothing: used as it is"),
            ("Size", f"{width}x{height} pixels, 8-bit RGB"),
            ("SHA-256 of the pixels", pixel_hash(trace.image)),
        ],
        facts=extras.facts and evidence.facts_table(extras.facts),
        factors=factors(detector.schedule.words, found, live=False),
        heat=filmstrip.heatmap(trace, found.t_sec, weight_free=False, locked=True, live=False),
        along=along(detector, [trace], found.t_sec),
        compared=filmstrip.compared(trace, found.t_sec, live=False),
        filmstrip=filmstrip.filmstrip(trace, found.t_sec, live=False),
        tiles=extras.patches and evidence.patch_part(extras.patches, extras.picture, live=False),
        parameters=parameters(detector, inspection),
        scores=scores(inspection),
        command=f"python -m sedid inspect seen.png --detector {detector.name} {walk_option(found.k)} "
        f"--t-sec {found.t_sec} --precision {detector.runtime.precision} --json",
        limits=LIMITS,
        json=json.dumps(as_json(detector, inspection, name, extras, made), indent=1),
    )
    return page(f"Case report: {name}", body, css("tokens", "parts", "charts", "document", "case"))


def write_case(file: Path, report: str) -> None:
    """Write a case, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(file) as temporary:
        temporary.write_text(report, encoding="utf-8")


def pixel_hash(image: np.ndarray) -> str:
    """SHA-256 of an image's levels, uint8 (H, W, 3), row by row, red green blue; hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def parameters(detector: Detector, inspection: Inspection) -> list[tuple[str, str]]:
    """Everything that decides a score or a verdict, and where it came from."""
    found, stated = inspection.judgement, detector.info.get("stat") or {}
    own = detector.chosen == (found.k, found.t_sec)
    origin = (
        f"the detector's own pair: {stated.get('chosen_by', 'calibrated')}" if own else "set by hand for this report"
    )
    seen = detector.info.get("preprocessing") or preprocessing(detector.size, detector.center_crop)
    rows = [
        ("Detector", detector.name),
        ("Checkpoint, SHA-256", detector.info.get("checkpoint_sha256", "not stated by this detector")),
        ("k, T_SEC", f"{write_steps(found.k)}, {found.t_sec}; {origin}"),
        ("Schedule", f"{len(detector.schedule)} timesteps, the checkpoint's own"),
        ("Preprocessing", ", ".join(f"{name} {value}" for name, value in seen.items())),
        ("Precision, device", f"{detector.runtime.precision}, {detector.runtime.device.type}"),
    ]
    for method, verdict, part in zip(METHODS, (found.stat, found.nn), ("stat", "nn"), strict=True):
        if verdict is None:
            rows.append((method, "not calibrated at this k and T_SEC"))
        else:
            if verdict.calibration.t_sec != found.t_sec:
                rows.append((f"{method}: T_SEC", f"{verdict.calibration.t_sec}, its own"))
            rows += _calibration(method, verdict.calibration, detector.info.get(part) or {})
    here = versions() | {"sedid": __version__}
    rows.append(("Versions", ", ".join(f"{name} {number}" for name, number in here.items())))
    calibrated = detector.info.get("versions") or {}
    rows.append(("Versions at calibration", ", ".join(f"{name} {number}" for name, number in calibrated.items())))
    return [(name, str(value)) for name, value in rows]


def walk_option(k: Steps) -> str:
    """The option of the command line that asks for this walk."""
    return f"--{'path' if isinstance(k, tuple) else 'k'} {write_steps(k)}"


def _calibration(method: str, used: Calibration, stated: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (f"{method}: threshold", f"{used.threshold!r}; {used.polarity} means generated"),
        (f"{method}: cannot tell", f"between {used.band[0]!r} and {used.band[1]!r}"),
    ]
    if isinstance(used, NNCalibration):
        rows.append((f"{method}: input", f"{used.input}, temperature {used.temperature!r}"))
    data = stated.get("data") or {}
    images = ", ".join(
        f"{part.get('count')} {kind} (SHA-256 {str(part.get('sha256'))[:12]}…)"
        for kind, part in data.items()
        if isinstance(part, dict)
    )
    rate = f"; band set at an error rate of {stated['error_rate']:.0%}" if "error_rate" in stated else ""
    rows.append(
        (f"{method}: came from", f"calibration images {images or 'not stated'}{rate}; AUC there {used.auc:.4f}")
    )
    rows.append((f"{method}: leak audit", str(stated.get("leak_warning") or "")))
    shared = stated.get("splits")
    rows.append((f"{method}: splits", str(shared.get("warning") or "") if isinstance(shared, dict) else ""))
    return rows


def scores(inspection: Inspection) -> list[tuple[str, str]]:
    """Scores as they were computed, unrounded."""
    found = inspection.judgement
    rows = [
        ("t-error E", repr(found.t_error)),
        ("fixed weight c²", repr(found.weight)),
        (f"change of {inspection.trace.schedule.words.said}", repr(found.change)),
    ]
    for method, verdict in zip(METHODS, (found.stat, found.nn), strict=True):
        if verdict is not None:
            low, high = verdict.percentile_real, verdict.percentile_generated
            at, reason = own_t_sec(found) if method == "NN" else "", why(verdict)
            rows.append((f"{method} score", f"{verdict.score!r}, {verdict.call}{at}{reason and f': {reason}'}"))
            rows.append((f"{method} side", f"the score alone, whatever may be said: {verdict.side}"))
            rows.append((f"{method} percentiles", f"{low:.1f} % of the real, {high:.1f} % of the generated references"))
    pairs = zip(inspection.trace.t_secs, inspection.trace.curve, strict=True)
    rows.append(("t-error along T_SEC", ", ".join(f"{t}: {error:.6g}" for t, error in pairs)))
    return rows


def as_json(detector: Detector, inspection: Inspection, name: str, extras: Extras, made: datetime) -> dict[str, Any]:
    """The case in machine form."""
    found: dict[str, Any] = {
        "made": made.isoformat(timespec="seconds"),
        "pixels_sha256": pixel_hash(inspection.trace.image),
        "file_sha256": extras.facts.sha256 if extras.facts else None,
        "checkpoint_sha256": detector.info.get("checkpoint_sha256"),
        "versions": versions() | {"sedid": __version__},
        **as_dict(name, inspection, detector),
    }
    return found | extras_dict(extras)


def extras_dict(extras: Extras) -> dict[str, Any]:
    """Stability check and tiles in machine form, those that were run."""
    found = {}
    if extras.stability is not None:
        found["stability"] = stability_dict(extras.stability)
    if extras.patches is not None:
        found["tiles"] = patches_dict(extras.patches)
    return found


def stability_dict(found: Stability) -> dict[str, Any]:
    """A stability check in machine form."""
    outcomes = {method: found.outcome(method) for method in METHODS}
    return {
        **pair_dict((found.k, found.t_sec)),
        "versions": [
            {
                "version": version.label,
                "pixels_sha256": pixel_hash(version.image),
                **_judged(judgement),
            }
            for version, judgement in zip(found.versions, found.judgements, strict=True)
        ],
        "results": {
            method: {"result": outcome.result, "agree": outcome.agree, "of": outcome.of}
            for method, outcome in outcomes.items()
            if outcome is not None
        },
    }


def _judged(one: Judgement) -> dict[str, Any]:
    return {
        "t_error": plain(one.t_error),
        "stat_verdict": one.stat and one.stat.call,
        "nn_probability": one.nn and plain(one.nn.score),
        "nn_verdict": one.nn and one.nn.call,
    }


def patches_dict(found: PatchMap) -> dict[str, Any]:
    """A map of tiles in machine form."""
    spread = found.spread()
    return {
        **pair_dict((found.k, found.t_sec)),
        "grid": found.grid.words,
        "median_t_error": plain(spread.median),
        "quartiles": [plain(spread.low), plain(spread.high)],
        "share_generated": {method: found.share_generated(method) for method in METHODS if found.has(method)},
        "tiles": [
            {"column": left, "row": top, **_judged(one)}
            for (left, top), one in zip(found.grid.corners, found.judgements, strict=True)
        ],
    }
