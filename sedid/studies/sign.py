"""Why the sign turns: t-errors along T_SEC under every sampler and variance, and after small changes of real pictures.

One network and one set of real pictures. Every set of generated images gives an AUC at each T_SEC, a smaller t-error counting
as generated, its finest noise (`finest_noise`) and the size of the network's first noise estimate (`methods.estimate_size`); the AUC
is measured again on images paired by either. Walks of other steps show the last T_SEC once more. The same real pictures are then
changed a little, and each change is followed along T_SEC. The output folder:

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
from sedid.method.methods import costs, method_of
from sedid.progress import Progress
from sedid.results import Results, Rows
from sedid.stats.confounds import Estimate, auc_of_smaller, matched, mean_ratio, spearman
from sedid.stats.intervals import ABOUT
from sedid.studies.compare import measure_set
from sedid.studies.generalise import labelled
from sedid.studies.study import MadeBy, Protocol, StudyConfig, described, open_study, short_name
from sedid.training.checks import check_unused

REAL = "real"
SAME_SIZE = 0.03
"""By which share the first noise estimates of a pair may differ in size: t-errors at late T_SEC follow that size closely."""


@dataclass(frozen=True, kw_only=True)
class SignConfig(StudyConfig):
    """Settings of one study."""

    SETS: ClassVar[tuple[str, ...]] = (REAL, "generated")

    real: Text = "sample:real"
    generated: tuple[str, ...] = ("sample:generated",)  # sets, each "label=data set" or a data set
    k: Count = 165
    others: tuple[Count, ...] = (330, 990)  # other step sizes, at the last T_SEC alone
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
        same_size: the same of pairs whose first noise estimates are of one size.
    """

    t_sec: int
    auc: Estimate
    matched: Estimate | None
    same_size: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class TurnRow:
    """One set of generated images.

    Attributes:
        made: how; None where no manifest says.
        noise: median over the images of the finest noise, grey levels.
        noise_auc: of the finest noise by itself, less of it counting as generated.
        pairs: of a real and a generated image with the same finest noise.
        size: median over the images of the size of the first noise estimate; None in older results, as all that follows.
        size_auc: of that size by itself, a smaller one counting as generated.
        size_pairs: of a real and a generated image with first noise estimates of the same size.
        ends, ends_same_size: AUC at the last T_SEC of the walks of other steps, and that of the same pairs.
    """

    set: str
    made: MadeBy | None
    count: int
    noise: float
    noise_auc: Estimate
    pairs: int
    at: Rows[TurnAt]
    size: float | None = None
    size_auc: Estimate | None = None
    size_pairs: int = 0
    ends: tuple[Estimate, ...] = ()
    ends_same_size: tuple[Estimate | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DoseRow:
    """One change of real pictures.

    Attributes:
        key, label: the change, as a setting and in words.
        noise: median of the finest noise after it, grey levels.
        ratios: t-error after over before, geometric mean, by T_SEC.
        size: median of the size of the first noise estimate after it; None in older results.
    """

    key: str
    label: str
    noise: float
    ratios: tuple[Estimate, ...]
    size: float | None = None


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
        size: median of the size of the real images' first noise estimate; None in older results, and what follows empty.
        size_correlations: rank correlation of the real images' t-error with that size, by T_SEC.
        others: the step sizes of the other walks.
        ends: the same rank correlation at the last T_SEC of each of these.
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
    size: float | None = None
    size_correlations: tuple[Estimate | None, ...] = ()
    others: tuple[int, ...] = ()
    ends: tuple[Estimate | None, ...] = ()

    def __post_init__(self) -> None:
        wanted = len(self.t_secs)
        lengths = {
            len(self.correlations),
            *(len(one.at) for one in self.rows),
            *(len(one.ratios) for one in self.doses),
            *([] if self.size is None else [len(self.size_correlations)]),
        }
        if any(
            len(ends) != len(self.others)
            for ends in (self.ends, *(end for row in self.rows for end in (row.ends, row.ends_same_size)))
        ):
            raise ValueError(f"ends must have {len(self.others)} values each, one a step size of `others`")
        if lengths != {wanted}:
            raise ValueError(f"correlations, rows and doses must have {wanted} values each, one a T_SEC")

    @property
    def seeds(self) -> set[int]:
        """The seeds of the sets whose origin is known."""
        return {row.made.seed for row in self.rows if row.made}


@dataclass(frozen=True)
class Measured:
    """What was measured of a set of N images.

    Attributes:
        errors: (T_SEC, N).
        size: of the first noise estimate, (N,).
        ends: t-errors at the last T_SEC of the other walks, (N,) each.
    """

    errors: np.ndarray
    size: np.ndarray
    ends: list[np.ndarray]


def paired(real: np.ndarray, generated: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]) -> Estimate | None:
    """The AUC of some images alone, those at these places of either class; None where there are no places."""
    return auc_of_smaller(real[pairs[0]], generated[pairs[1]]) if len(pairs[0]) else None


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
    for step in (k, *config.others):
        check_step(detector.schedule, step, step)
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

    t_secs = detector.t_secs(k)
    walks = [f"sedid-stat k={step} t_sec={detector.t_secs(step)[-1]}" for step in config.others]
    methods = [
        method_of(text) for text in (*(f"sedid-stat k={k} t_sec={t_sec}" for t_sec in t_secs), "noise-size", *walks)
    ]
    of_changes = methods[: len(t_secs) + 1]

    found, noise = {}, {name: finest_noise(values) for name, values in images.items()}
    for name, values in images.items():
        measured = yield from measure_set(detector, methods, values, config.seed, config.batch_size, f"scoring {name}")
        found[name] = Measured(np.stack(measured[: len(t_secs)]), measured[len(t_secs)], measured[len(t_secs) + 1 :])
    real, few = found[REAL], images[REAL][: config.changed]
    doses = []
    for one in changes:
        after = perturb_all(few, one, config.seed)
        *errors, size = yield from measure_set(
            detector, of_changes, after, config.seed, config.batch_size, f"real pictures, {one.label}"
        )
        ratios = tuple(
            mean_ratio(np.log(then) - np.log(now[: len(few)])) for then, now in zip(errors, real.errors, strict=True)
        )
        middle = float(np.median(finest_noise(after)))
        doses.append(DoseRow(key=one.key, label=one.label, noise=middle, ratios=ratios, size=float(np.median(size))))

    rows = []
    for name in made:
        of_set = found[name]
        alike, same_size = matched(noise[REAL], noise[name]), matched(real.size, of_set.size, SAME_SIZE)
        at = [
            TurnAt(t_sec, auc_of_smaller(ours, theirs), paired(ours, theirs, alike), paired(ours, theirs, same_size))
            for t_sec, ours, theirs in zip(t_secs, real.errors, of_set.errors, strict=True)
        ]
        rows.append(
            TurnRow(
                set=name,
                made=made[name],
                count=len(images[name]),
                noise=float(np.median(noise[name])),
                noise_auc=auc_of_smaller(noise[REAL], noise[name]),
                pairs=len(alike[0]),
                at=tuple(at),
                size=float(np.median(of_set.size)),
                size_auc=auc_of_smaller(real.size, of_set.size),
                size_pairs=len(same_size[0]),
                ends=tuple(map(auc_of_smaller, real.ends, of_set.ends)),
                ends_same_size=tuple(
                    paired(ours, theirs, same_size) for ours, theirs in zip(real.ends, of_set.ends, strict=True)
                ),
            )
        )
    evaluations = sum(costs(methods, detector.schedule))
    protocol = study.protocol(described(specs, images), splits, None, evaluations)
    results = SignResults(
        protocol=replace(
            protocol,
            intervals=f"{ABOUT}. Rank correlations: Bonett & Wright 2000. Ratios: Student's t of the logarithms",
        ),
        k=k,
        t_secs=t_secs,
        noise=float(np.median(noise[REAL])),
        correlations=tuple(spearman(values, noise[REAL]) for values in real.errors),
        rows=tuple(rows),
        changed=len(few),
        changed_noise=float(np.median(noise[REAL][: len(few)])),
        doses=tuple(doses),
        size=float(np.median(real.size)),
        size_correlations=tuple(spearman(values, real.size) for values in real.errors),
        others=config.others,
        ends=tuple(spearman(values, real.size) for values in real.ends),
    )
    processes.on_main(results.write, study.out / "sign.json")
    return results
