"""What a calibration depends on.

A threshold holds for these very weights, this noise schedule and this preprocessing, so detector.json records all of
it, and a detector is opened only where nothing has changed since.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sedid.data.images import preprocessing
from sedid.models.folders import check_pipeline, network_name, network_part, network_weights
from sedid.models.opening import NOTHING, Condition, on_record, picture_size
from sedid.models.schedules import schedule_settings
from sedid.storage import hash_files

ENGINE = 1
"""Version of the arithmetic from a picture to its scores; raised by every change that changes numbers."""


@dataclass(frozen=True)
class Identity:
    """The parts a calibration depends on, each a top-level entry of detector.json.

    Attributes:
        checkpoint_sha256: of the U-Net's weight files, in name order.
        architecture_sha256: of the U-Net's configuration.
        schedule_sha256: of `schedules.schedule_settings`.
        preprocessing: what `images.preprocessing` says of the detector's size and crop, and `opening.on_record` of its model.
        classifier_sha256: of the classifier's weight files; None without one.
        engine: the ENGINE behind the numbers.
    """

    checkpoint_sha256: str
    architecture_sha256: str
    schedule_sha256: str
    preprocessing: dict[str, Any]
    classifier_sha256: str | None
    engine: int

    @classmethod
    def of(
        cls, folder: Path, center_crop: float | None, classifier: bool, condition: Condition = NOTHING
    ) -> "Identity":
        """That of a bundle folder as it stands.

        Args:
            center_crop: the detector's, as `images.crop_side`.
            classifier: whether the folder's classifier is part of the detector.
            condition: what the model is told.

        Raises:
            FileNotFoundError, ValueError: as `folders.check_pipeline`, `schedules.load_scheduler` and `folders.network_weights`.
        """
        config = check_pipeline(folder)
        return cls(
            checkpoint_sha256=checkpoint_hash(folder),
            architecture_sha256=_hash_of({name: value for name, value in config.items() if name[0] != "_"}),
            schedule_sha256=_hash_of(schedule_settings(folder)),
            preprocessing=preprocessing(picture_size(folder), center_crop) | on_record(folder, condition),
            classifier_sha256=classifier_hash(folder) if classifier else None,
            engine=ENGINE,
        )

    @classmethod
    def recorded(cls, info: dict[str, Any]) -> "Identity":
        """That which a detector.json records; whatever it lacks is None."""
        values: dict[str, Any] = {field.name: info.get(field.name) for field in fields(cls)}
        return cls(**values)

    @property
    def model(self) -> str:
        """All that a t-error of given pixels depends on, as one text; kept t-errors are used again under it."""
        return _hash_of(asdict(self) | {"classifier_sha256": None})

    def differing(self, other: "Identity") -> list[str]:
        """The fields in which two differ."""
        return [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]


def changed(recorded: Identity, found: Identity, folder: Path) -> str:
    """What changed since a calibration and what to do about it, as the end of a sentence; "" where nothing did."""
    differing = recorded.differing(found)
    if not differing:
        return ""
    before, now, part = recorded.preprocessing or {}, found.preprocessing, network_part(folder)
    other = [f"{name} {now[name]}, was {before.get(name)}" for name in now if before.get(name) != now[name]]
    words = {
        "checkpoint_sha256": f"the weights of the {network_name(folder)} (in {part}/)",
        "architecture_sha256": f"the configuration of the {network_name(folder)} ({part}/config.json)",
        "schedule_sha256": "the noise schedule (scheduler/scheduler_config.json)",
        "preprocessing": f"the preprocessing ({'; '.join(other)})",
        "classifier_sha256": "the weights of the classifier (in sedid/classifier/)",
        "engine": f"the version of the engine ({found.engine}, was {recorded.engine})",
    }
    commands = ["train-nn"] if recorded.classifier_sha256 else []
    commands = commands if differing == ["classifier_sha256"] else ["calibrate", *commands]
    parts = [words[name] for name in differing]
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    run = " and ".join(f"`python -m sedid {command}`" for command in commands)
    return f"{listed} changed since it was calibrated: restore what was there, or run {run} again"


def checkpoint_hash(folder: Path) -> str:
    """sha256 over the network's weight files, in name order.

    Raises:
        FileNotFoundError: there are none.
    """
    return hash_files(network_weights(folder))


def classifier_hash(folder: Path) -> str:
    """sha256 over the classifier's weight files, in name order."""
    return hash_files(sorted((Path(folder) / "sedid" / "classifier").glob("*.safetensors")))


def _hash_of(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
