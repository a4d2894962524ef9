"""Bring a bundle of an earlier version up to date.

detector.json of format 1 said of which weights its calibration is, and nothing of the noise schedule, the preprocessing
and the classifier it depends on as well; its results files counted verdicts without the range check (`studies.renew`), took all intervals from the bootstrap
(`studies.renew_intervals`), and did not say with which variance the ancestral sampler had drawn; its training named a preset
that was never used (`trained`). And a bundle could hold photographs that may not be passed on (`licences`).
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sedid.data.images import check_crop, preprocessing
from sedid.data.licences import closed
from sedid.detector import hub
from sedid.detector.bundle import FORMAT, checkpoint_hash, detector_file, load_classifier, own_folder, resolve
from sedid.detector.calibrations import read_calibrations
from sedid.detector.identity import Identity
from sedid.detector.sample import write_photographs
from sedid.detector.trained import correct_training
from sedid.models.networks import load_unet
from sedid.models.schedules import load_schedule
from sedid.storage import read_arrays, read_json, read_object, replacing, write_json
from sedid.studies.evaluate import scores_file
from sedid.studies.kinds import rewrite
from sedid.studies.renew import renew_verdicts
from sedid.studies.renew_intervals import renew_intervals
from sedid.studies.results import REALS
from sedid.training.generate import in_full


def upgrade(source: str | Path, copy: str | Path = "") -> Path:
    """Record in a bundle's detector.json all that its calibration depends on, as the bundle stands now.

    Its results files get the verdicts and intervals of today's rules (`renew_verdicts`, `renew_intervals`) and today's
    shape (`rewrite`).

    What can be checked is checked first: that the weights are those of the calibration, that the preprocessing is this
    version's, that network, calibrations and classifier are whole. Whether the noise schedule or the classifier was
    exchanged before cannot be; from now on it is noticed. Photographs of a data set whose licence closes it (`licences`)
    are taken out.

    Args:
        source, copy: as `bundle.own_folder`.

    Returns:
        The folder. A bundle that is up to date is left as it is.

    Raises:
        FileNotFoundError: it is no bundle.
        ValueError: it does not hold what it was calibrated for, something in it is damaged, or it lies in the Hub's cache
            and is not to be copied.
    """
    if not copy and hub.in_cache(resolve(source)):
        raise ValueError(
            f"{source} lies in the Hub's cache, which is left as it is: name a folder for a copy with --out"
        )
    folder = own_folder(source, copy)
    file = detector_file(folder)
    if not file.is_file():
        raise FileNotFoundError(f"{folder} has no sedid/detector.json, so there is nothing to bring up to date")
    info = read_object(file)
    if info.get("format") == 1:
        write_json(file, _checked(folder, info))
    elif info.get("format") != FORMAT:
        raise ValueError(f"{file} has format {info.get('format')!r:.60}; this version knows 1 to {FORMAT}")
    correct_training(folder)
    _name_variances(folder)
    renew_verdicts(folder)
    renew_intervals(folder)
    rewrite(folder)
    if closed(folder.resolve().name, str(info.get("training"))):
        _withhold(folder)
    return folder


def _name_variances(folder: Path) -> None:
    """Say in every results file of which variance the sampler of this model's images was (`generate.in_full`)."""
    checkpoint = checkpoint_hash(folder)

    def full(value: Any) -> Any:
        if isinstance(value, list):
            return [full(one) for one in value]
        if not isinstance(value, dict):
            return value
        of_ours = value.get("checkpoint_sha256") == checkpoint and value.get("sampler") == "ddpm"
        return in_full(value, folder) if of_ours else {name: full(one) for name, one in value.items()}

    for file in sorted((folder / "sedid").glob("*.json")):
        found = read_json(file)
        if (right := full(found)) != found:
            write_json(file, right)


def _withhold(folder: Path) -> None:
    """Take the real photographs out of a bundle.

    The mistaken ones leave their places behind, free ones stand in for the examples.
    """
    scores = scores_file(folder / "sedid" / "results.json")
    arrays = read_arrays(scores)
    kept = {name: values for name, values in arrays.items() if name.removeprefix("mistakes_") not in REALS}
    if len(kept) < len(arrays):
        with replacing(scores) as temporary:
            np.savez_compressed(temporary, **kept)
    examples = folder / "sedid" / "examples"
    if real := [*examples.glob("real-*.png")]:
        for file in real:
            file.unlink()
        write_photographs(folder, examples)


def _checked(folder: Path, info: dict[str, Any]) -> dict[str, Any]:
    """A detector.json of format 1 as one of today's."""
    file, crop = detector_file(folder), info.get("center_crop")
    anew = "move this file away and run `python -m sedid calibrate`"
    check_crop(crop)
    network = load_unet(folder)
    try:
        calibrated = read_calibrations(info, load_schedule(folder))
    except ValueError as error:
        raise ValueError(f"{file} holds a calibration that cannot be read: {error}") from error
    if calibrated.nn:
        load_classifier(folder, calibrated.nn.input)
    found = Identity.of(folder, crop, classifier=calibrated.nn is not None)
    if info.get("checkpoint_sha256") != found.checkpoint_sha256:
        raise ValueError(f"{file} was made for other weights than those in unet/: restore them, or {anew}")
    now = preprocessing(network.config["sample_size"], None)
    then = info.get("preprocessing", now)  # a pipeline of diffusers had none recorded
    if other := [f"{name} {now[name]}, was {then.get(name)}" for name in now if then.get(name) != now[name]]:
        raise ValueError(f"{file} was calibrated with another preprocessing ({'; '.join(other)}): {anew}")
    return info | {"format": FORMAT} | asdict(found)
