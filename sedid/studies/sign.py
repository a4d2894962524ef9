"""Why the sign turns: t-errors along T_SEC under every sampler and variance, and after small changes of real pictures.

One network and one set of real pictures. Every set of generated images gives an AUC at each T_SEC, a smaller t-error counting
as generated, and its finest noise (`finest_noise`); the AUC is measured again on images paired by that noise. The same real
pictures are then changed a little, and each change is followed along T_SEC. The output folder:

    sign.json           all of it
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from sedid import processes
from sedid.config import Count, Seed, Text
from sedid.data.datasets import load_images
from sedid.data.image_statistics import finest_noise
from sedid.data.perturb import named, perturb_all
from sedid.method.diffusion import check_step
from sedid.progress import Progress
from sedid.results import Results, Rows
from sedid.stats.confounds import Estimate, auc_of_smaller, matched, mean_ratio, spearman
from sedid.stats.intervals import ABOUT
from sedid.studies.generalise import labelled
from sedid.studies.study import MadeBy, Protocol, StudyConfig, described, open_study, short_name
from sedid.training.checks import check_unused
from sedid.training.scoring import score

REAL = "real"


@dataclass(frozen=True, kw_only=True)
class SignConfig(StudyConfig):
    """Settings of one study."""

    SETS: ClassVar[tuple[str, ...]] = (REAL, "generated")

    real: Text = "sample:real"
    generated: tuple[str, ...] = ("sample:generated",)  # sets, each "label=data set" or a data set
    k: Count = 165
    changed: Count = 96  # real images that are changed: the first ones
    changes: tuple[str, ...] = (
        *("noise:0.25", "noise:0.5", "noise:1", "noise:2", "noise:4", "blur:0.4", "blur:0.6"),
        *("quantise:128", "quantise:64", "contrast:0.9", "jpeg:95", "jpeg:75"),
    )
    seed: Seed = 0


@dataclass(frozen=True)
class TurnAt:
    """What one T_SEC says of one set against the real images.

    Attributes:
        auc: a smaller t-error counting as generated.
        matched: the AUC of the pairs alone whose finest noise is the same; None where there are too few.
    """

    t_sec: int
    auc: Estimate
    matched: Estimate | None


@dataclass(frozen=True, kw_only=True)
class TurnRow:
    """One set of generated images.

    Attributes:
        made: how; None where no manifest says.
        noise: median over the images of the finest noise, grey levels.
        noise_auc: of the finest noise by itself, less of it counting as generated.
        pairs: of a real and a generated image with the same finest noise.
    """

    set: str
    made: MadeBy | None
    count: int
    noise: float
    noise_auc: Estimate
    pairs: int
    at: Rows[TurnAt]


@dataclass(frozen=True, kw_only=True)
class DoseRow:
    """One change of real pictures.

    Attributes:
        key, label: the change, as a setting and in words.
        noise: median of the finest noise after it, grey levels.
        ratios: t-error after over before, geometric mean, by T_SEC.
    """

    key: str
    label: str
    noise: float
    ratios: tuple[Estimate, ...]


@dataclass(frozen=True, kw_only=True)
class SignResults(Results):
    """What stands in sign.json.

    Attributes:
        t_secs: of every row, ascending.
        noise: median of the real images' finest noise, grey levels.
        correlations: rank correlation of the real images' t-error with their finest noise, by T_SEC.
        rows: the sets of generated images.
        changed, changed_noise: real pictures behind the doses, and the median of their finest noise before any change.
        doses: the changes.
    """

    VERSION: ClassVar[int] = 1
    COMMAND: ClassVar[str] = "sign"

    protocol: Protocol
    k: int
    t_secs: tuple[int, ...]
    noise: float
    correlations: tuple[Estimate | None, ...]
    rows: Rows[TurnRow]
    changed: int
    changed_noise: float
    doses: Rows[DoseRow]

    def __post_init__(self) -> None:
        wanted = len(self.t_secs)
        lengths = {
            len(self.correlations),
            *(len(one.at) for one in self.rows),
            *(len(one.ratios) for one in self.doses),
        }
        if lengths != {wanted}:
            raise ValueError(f"correlations, rows and doses must have {wanted} values each, one a T_SEC")

    @property
    def seeds(self) -> set[int]:
        """The seeds of the sets whose origin is known."""
        return {row.made.seed for row in self.rows if row.made}


def sign(config: SignConfig) -> Generator[Progress, None, SignResults]:
    """Score, measure and write sign.json; returns what is in it.

    Works with any detector, calibrated or not: the AUC of a smaller t-error needs no threshold.

    Raises:
        ValueError: no set, two of one name, a change that does not exist, or images the detector was calibrated on.
    """
    changes = [one for setting in config.changes for one in named(setting)]
    if not changes or not config.generated:
        raise ValueError("changes and generated must name at least one each")
    study = open_study(config)
    detector, k = study.detector, config.k
    check_step(detector.schedule, k, k)
    specs, made = {REAL: config.real}, {}
    for text in config.generated:
        label, spec = labelled(text)
        maker = study.made_by(spec)
        name = label or (maker.sampled if maker else short_name(spec))
        if name in specs:
            raise ValueError(f"two sets are called {name!r}: give each a label, as label=data set")
        specs[name], made[name] = spec, maker
    images = {name: load_images(spec, detector.size, detector.center_crop) for name, spec in specs.items()}
    # generated sets of one seed resemble each other, as they should
    splits = check_unused(study.folder, detector.info, {REAL: images[REAL]}, judged=False)

    errors, noise = {}, {name: finest_noise(values) for name, values in images.items()}
    for name, values in images.items():
        scores, _ = yield from score(detector, values, [k], config.batch_size, f"scoring {name}")
        errors[name] = np.stack(list(scores.values()))
    few = images[REAL][: config.changed]
    doses = []
    for one in changes:
        after = perturb_all(few, one, config.seed)
        scores, _ = yield from score(detector, after, [k], config.batch_size, f"real pictures, {one.label}")
        logs = np.log(np.stack(list(scores.values()))) - np.log(errors[REAL][:, : len(few)])
        ratios = tuple(mean_ratio(values) for values in logs)
        doses.append(DoseRow(key=one.key, label=one.label, noise=float(np.median(finest_noise(after))), ratios=ratios))

    t_secs, rows = detector.t_secs(k), []
    for name in made:
        alike = matched(noise[REAL], noise[name])
        at = []
        for place, t_sec in enumerate(t_secs):
            real, generated = errors[REAL][place], errors[name][place]
            equal = auc_of_smaller(real[alike[0]], generated[alike[1]]) if len(alike[0]) else None
            at.append(TurnAt(t_sec, auc_of_smaller(real, generated), equal))
        rows.append(
            TurnRow(
                set=name,
                made=made[name],
                count=len(images[name]),
                noise=float(np.median(noise[name])),
                noise_auc=auc_of_smaller(noise[REAL], noise[name]),
                pairs=len(alike[0]),
                at=tuple(at),
            )
        )
    protocol = study.protocol(described(specs, images), splits, None, detector.evaluations(k))
    results = SignResults(
        protocol=replace(
            protocol,
            intervals=f"{ABOUT}. Rank correlations: Bonett & Wright 2000. Ratios: Student's t of the logarithms",
        ),
        k=k,
        t_secs=t_secs,
        noise=float(np.median(noise[REAL])),
        correlations=tuple(spearman(values, noise[REAL]) for values in errors[REAL]),
        rows=tuple(rows),
        changed=len(few),
        changed_noise=float(np.median(noise[REAL][: len(few)])),
        doses=tuple(doses),
    )
    processes.on_main(results.write, study.out / "sign.json")
    return results
