"""What all studies share: their common settings, the detector they open, and what they state beside their figures."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from sedid.config import Count, Precision, Settings, Text
from sedid.data.datasets import fingerprint
from sedid.data.spec import Spec
from sedid.detector.bundle import checkpoint_hash, load_detector, made_with, own_folder, resolve
from sedid.detector.detector import Detector, Pair
from sedid.detector.provenance import in_full, provenance
from sedid.method.diffusion import Steps, order
from sedid.results import Setting
from sedid.stats.intervals import ABOUT
from sedid.training.checks import SplitCheck


@dataclass(frozen=True, kw_only=True)
class StudyConfig(Settings):
    """Settings of every study.

    Attributes:
        SETS: the settings that name data sets.
    """

    SETS: ClassVar[tuple[str, ...]] = ()

    detector: Text  # bundle, any diffusers DDPM folder, or a Hub id
    out: str = ""  # folder; "" is sedid/ in the bundle
    batch_size: Count = 32
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False

    def recorded(self) -> dict[str, Setting]:
        """The settings as they stand in a results file: of paths, which are those of one machine, the last part."""
        short: dict[str, Setting] = {name: Path(getattr(self, name)).name for name in ("detector", "out")}
        for name in self.SETS:
            specs = getattr(self, name)
            short[name] = tuple(map(short_name, specs)) if isinstance(specs, tuple) else short_name(specs)
        return asdict(self) | short


@dataclass(frozen=True)
class ImageSet:
    """A set of images that was measured.

    Attributes:
        count: images in it.
        sha256: fingerprint of their pixels (`datasets.fingerprint`).
        data_set: how it was named, without folders; "" in older results that do not say.
    """

    count: int
    sha256: str
    data_set: str = ""


@dataclass(frozen=True)
class MadeBy:
    """How a set of generated images was made, by the manifest beside it.

    Attributes:
        variance: of the ancestral sampler; "" for the others, and in older manifests.
        prompts: how many different ones a conditional model was given in turn; 0 of the empty one alone.
        guidance: w of classifier-free guidance; 1 is none.
        count: images of the whole set.
        precisions, batch_sizes: that were used on the way.
        cross_checkpoint: other weights made the images than those of the detector that scores them.
        calibrated_on: the sampler of the detector's calibration images, in words, where it is another one; else "".
    """

    checkpoint_sha256: str
    sampler: str
    steps: int
    seed: int
    variance: str = ""
    prompts: int = 0
    guidance: float = 1.0
    timestep_spacing: str = ""
    count: int | None = None
    precisions: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = ()
    cross_checkpoint: bool = False
    calibrated_on: str = ""

    @property
    def sampled(self) -> str:
        """The sampler in words: "ddpm, 1000 steps, variance fixed_large", "ddim, 50 steps, 10 prompts in turn"."""
        told = f", {self.prompts} prompt{'s in turn' if self.prompts > 1 else ''}" if self.prompts else ""
        guided = f", guidance {self.guidance:g}" if self.guidance != 1 else ""
        variance = f", variance {self.variance}" if self.variance else ""
        return f"{self.sampler}, {self.steps} steps{variance}{told}{guided}"

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "MadeBy | None":
        """A manifest of this version or an earlier one; None where there is none, or it is another program's."""
        found = {field.name: manifest[field.name] for field in fields(cls) if field.name in manifest}
        for old, name in (("precision", "precisions"), ("batch_size", "batch_sizes")):
            if old in manifest and name not in found:
                found[name] = (manifest[old],)
        if isinstance(prompts := found.get("prompts"), list):  # a manifest has their texts
            found["prompts"] = len(set(prompts))
        try:
            return TypeAdapter(cls).validate_python(found)
        except ValidationError:
            return None


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What was measured on what.

    Attributes:
        detector: its name, without folders.
        checkpoint_sha256: of its network.
        trained_on: the data of its training, in words; "" if unknown.
        precision: in which its network ran.
        images: every set by name.
        splits: what the sets share with each other and with those that chose something; None in results that are older
            than this comparison.
        generated_by: how the generated images were made; None where no manifest says, and where there are several sets.
        evaluations_per_image: of the network; None where images differ in it.
        positive: what is counted as a hit.
        intervals: how they were made.
        versions: of Python and the libraries, and the commit of a checkout.
        config: the settings of the command, of paths the last part.
    """

    detector: str
    checkpoint_sha256: str
    trained_on: str
    precision: str
    images: dict[str, ImageSet]
    splits: SplitCheck | None
    generated_by: MadeBy | None
    evaluations_per_image: int | None
    positive: str = "generated"
    intervals: str
    versions: dict[str, str]
    config: dict[str, Setting]

    @property
    def names(self) -> list[str]:
        """What the detector, its training data and the sets are called: by these a data set of the paper is found."""
        return [self.trained_on, self.detector, *(of_set.data_set for of_set in self.images.values())]


@dataclass(frozen=True)
class JudgedAt:
    """Where a verdict is read, as calibrated.

    Attributes:
        threshold: raw; on the side that `polarity` names a score means generated.
    """

    k: Steps
    t_sec: int
    polarity: str
    threshold: float


Config = TypeVar("Config", bound=StudyConfig)


@dataclass(frozen=True)
class Study(Generic[Config]):
    """A study that has begun.

    Attributes:
        folder: of the detector.
        out: the folder for what is written.
    """

    config: Config
    folder: Path
    detector: Detector
    out: Path

    @property
    def chosen(self) -> Pair:
        """The pair of a detector that is calibrated."""
        assert self.detector.chosen is not None
        return self.detector.chosen

    @property
    def stat(self) -> JudgedAt:
        """Where STAT of a calibrated detector is read."""
        own = self.detector.stat[self.chosen]
        return JudgedAt(own.k, own.t_sec, own.polarity, own.threshold)

    @property
    def nn(self) -> JudgedAt | None:
        """Where NN is read; None without a classifier."""
        own = self.detector.nn
        return None if own is None else JudgedAt(own.k, own.t_sec, own.polarity, own.threshold)

    def ks(self, *others: Steps) -> list[Steps]:
        """The walks to the classifier's T_SEC and others, in `order`, each once."""
        return order({*others} | ({self.detector.nn.k} if self.detector.nn else set()))

    def evaluations(self, ks: Collection[Steps]) -> int:
        """Network evaluations an image for these walks, whole."""
        return sum(map(self.detector.evaluations, ks))

    def made_by(self, spec: str) -> MadeBy | None:
        """How a generated set was made, and whether by another sampler than the calibration images."""
        made, own = MadeBy.of(provenance(spec, self.folder)), self.calibrated_on
        if made is None or own is None or own.cross_checkpoint or made.sampled == own.sampled:
            return made
        return replace(made, calibrated_on=own.sampled)

    @property
    def calibrated_on(self) -> MadeBy | None:
        """How the calibration images were made; None where no manifest says."""
        return MadeBy.of(in_full(self.detector.info.get("stat", {}).get("generated_by", {}), self.folder))

    def protocol(
        self, images: dict[str, ImageSet], splits: SplitCheck | None, generated: str | None, evaluations: int | None
    ) -> Protocol:
        """What stands in the results file beside the figures.

        Args:
            images: every set by name (`described`).
            splits: what they share.
            generated: the data set of the generated images; None where there are several.
            evaluations: of the network, an image; None where images differ in it.
        """
        return Protocol(
            detector=Path(self.config.detector).name,
            checkpoint_sha256=checkpoint_hash(self.folder),
            trained_on=str(self.detector.info.get("training", {}).get("data", "")),
            precision=self.config.precision,
            images=images,
            splits=splits,
            generated_by=None if generated is None else self.made_by(generated),
            evaluations_per_image=evaluations,
            intervals=ABOUT,
            versions=made_with(),
            config=self.config.recorded(),
        )


def open_study(config: Config, folder: Path | None = None, calibrated: bool = False) -> Study[Config]:
    """Load the detector of a study, and find where its results belong.

    Args:
        folder: of the detector, where the study has made it its own already.
        calibrated: whether it has to be.

    Raises:
        ValueError, OSError: as `bundle.resolve`, `bundle.own_folder` and `load_detector`; or it is not calibrated.
    """
    if folder is None:
        folder = resolve(config.detector) if config.out else own_folder(config.detector)
    detector = load_detector(folder, config.device, config.precision, config.compile)
    if calibrated and detector.chosen is None:
        raise ValueError(f"{config.detector} is not calibrated; run `calibrate` first")
    return Study(config, folder, detector, Path(config.out) if config.out else folder / "sedid")


def described(specs: Mapping[str, str], images: Mapping[str, np.ndarray]) -> dict[str, ImageSet]:
    """Sets of images, uint8 (N, H, W, 3), as a protocol states them; `specs` are the data sets they were read from."""
    return {name: ImageSet(len(one), fingerprint(one), short_name(specs[name])) for name, one in images.items()}


def short_name(spec: str) -> str:
    """A data set as it is written, without the folders above it: photos[0:700] of /data/photos/[0:700]."""
    return Spec.parse(spec).short if spec else ""


def migrated_protocol(found: dict[str, Any], sets: Mapping[str, str], moved: Collection[str] = ()) -> dict[str, Any]:
    """A protocol of the first versions, one shape a study, in the one shape; `found` loses what is moved.

    Args:
        found: the content of the results file.
        sets: name of a set -> the setting that named its data.
        moved: fields that stand beside the protocol now; they are put there.
    """
    old = found["protocol"]
    config = old.get("config", {})
    made = {
        "detector": config.get("detector", ""),
        "checkpoint_sha256": old["checkpoint_sha256"],
        "trained_on": old.get("trained_on", ""),
        "precision": config.get("precision", ""),
        "images": {
            name: of_set
            | {"data_set": data_set if isinstance(data_set := config.get(sets.get(name, name), ""), str) else ""}
            for name, of_set in old["images"].items()
        },
        "splits": old.get("splits"),
        "generated_by": migrated_maker(old.get("generated_by")),
        "evaluations_per_image": old.get("evaluations_per_image"),
        "positive": old.get("positive", "generated"),
        "intervals": old.get("intervals", ""),
        "versions": old.get("versions", {}),
        "config": config,
    }
    found["protocol"] = made
    found |= {name: old[name] for name in moved if name in old}
    return found


def migrated_maker(manifest: dict[str, Any] | None) -> dict[str, Any] | None:
    """A manifest as the first versions stated it, in the shape of `MadeBy`."""
    made = MadeBy.of(manifest or {})
    return None if made is None else asdict(made)


def migrated_audit(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """A leak audit of a file whose versions stated none at first."""
    return None if found is None else {"version": 1} | found
