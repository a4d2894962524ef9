"""What `studies.compare` writes: one row a method, tests between methods, the scores behind them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sedid import processes
from sedid.detector.detector import Detector
from sedid.later import torch
from sedid.method.diffusion import EpsModel
from sedid.method.methods import THRESHOLD, Method, costs
from sedid.results import Interval, Results
from sedid.stats.intervals import ABOUT, Difference, delong, intervals
from sedid.stats.metrics import Metrics, measure
from sedid.storage import replacing
from sedid.studies.heads import Details, Head
from sedid.studies.study import MadeBy, Protocol, migrated_audit, migrated_maker, migrated_protocol
from sedid.training.checks import LeakCheck
from sedid.training.resnet import Recipe

if TYPE_CHECKING:
    from torch import Tensor

EVERY = 3.0  # seconds between two writes of the unfinished results
CALIBRATION = ("real", "generated")
TEST = {"heldout": "test_real", "generated": "test_generated", "members": "members"}
"""Name in the results -> setting."""
MEANING = {
    "evaluations_alone": "network evaluations an image when the method runs alone",
    "evaluations_added": "those it asked for in this run that no method before it had",
    "images_per_second": "test images over the seconds this run spent on the method: the evaluations it added, its own "
    "arithmetic and its head; of one process",
    "images_per_second_alone": "the same with all its own evaluations, at this run's mean time of one",
    "intervals": ABOUT,
    "tests": "DeLong, paired; of a - b; the best method is the one of the highest AUC on these very images; the p-values "
    "are not corrected for their number",
}
Parameter = int | float | str | tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """One method against one set of reals.

    Attributes:
        method, title, source, head: of the method.
        parameters, parameters_from: with which it ran, and where each came from.
        polarity: "smaller" if a smaller raw score means generated; of classifiers always "larger".
        threshold: raw.
        auc_calibration: what the calibration split said of it, in this polarity.
        auc_paper_polarity: the raw AUC, a smaller statistic counting as generated; None of classifiers.
        auc, best_acc, acc, tpr_at_1, tpr_at_01: as `Metrics`; None while nothing is scored.
        real, generated: images scored so far.
        intervals: by metric; None where the images do not bound it, empty until the comparison is done.
        evaluations_alone, evaluations_added: of the network an image (`MEANING`).
        images_per_second, images_per_second_alone: `MEANING`; None until the method has run.
    """

    method: str
    title: str
    source: str
    head: str
    parameters: dict[str, Parameter]
    parameters_from: dict[str, str]
    polarity: str
    threshold: float
    threshold_from: str
    auc_calibration: float
    auc_calibration_from: str
    details: Details
    auc_paper_polarity: float | None
    auc: float | None
    best_acc: float | None
    acc: float | None
    tpr_at_1: float | None
    tpr_at_01: float | None
    real: int
    generated: int
    intervals: dict[str, Interval | None]
    evaluations_alone: int
    evaluations_added: int
    images_per_second: float | None
    images_per_second_alone: float | None


@dataclass(frozen=True, kw_only=True)
class Test(Difference):
    """The difference between two methods' AUCs on the same images: of a - b."""

    a: str
    b: str
    test: str
    b_is_best: bool


@dataclass(frozen=True, kw_only=True)
class ComparisonResults(Results):
    """What stands in compare.json.

    Attributes:
        done: false while the loop works: then the rows are about the images scored so far.
        recipe: how ResNets were trained; None in older results.
        noise_seeds: of every set.
        audit: of the generated images against held-out reals; None in older results.
        calibration_leak_warning: the audit's warning about the calibration images; "" if there is none.
        scored: images of every test set so far.
        rows: a row a method against each set of reals; empty while none is fitted.
        tests: between methods; empty until the comparison is done.
        meaning: what figures are, in words.
    """

    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "compare"

    done: bool
    protocol: Protocol
    scores: str = "oriented: higher means generated"
    thresholds_from: str = "calibration split"
    recipe: Recipe | None
    noise_seeds: dict[str, int]
    calibration_generated_by: MadeBy | None
    audit: LeakCheck | None
    calibration_leak_warning: str
    scored: dict[str, int]
    rows: dict[str, tuple[MethodRow, ...]]
    tests: dict[str, tuple[Test, ...]]
    meaning: dict[str, str]

    def __post_init__(self) -> None:
        if not self.scored.keys() <= self.protocol.images.keys():
            raise ValueError("scored names a set that is none of the images")
        for reals, tests in self.tests.items():
            known = {row.method for row in self.rows.get(reals, ())}
            if not {name for test in tests for name in (test.a, test.b)} <= known:
                raise ValueError(f"tests.{reals} names a method that has no row")

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """See `Results`."""
        old = found["protocol"]
        sets = {f"calibration_{name}": name for name in CALIBRATION} | TEST
        made = migrated_protocol(found, sets, ("scores", "thresholds_from", "recipe", "noise_seeds"))
        since: dict[str, Any] = {
            "recipe": None,
            "noise_seeds": {},
            "calibration_leak_warning": "",
            "scored": {},
            "meaning": {},
        }
        return (
            since
            | made
            | {
                "calibration_generated_by": migrated_maker(old.get("calibration_generated_by")),
                "audit": migrated_audit(found.get("audit")),
            }
        )


class Timed:
    """eps_theta with a clock: seconds spent in it, and images it was asked about."""

    def __init__(self, eps_model: EpsModel) -> None:
        self.eps_model, self.seconds, self.images = eps_model, 0.0, 0

    def __call__(self, x: Tensor, t: int) -> Tensor:
        """What the network says, as `eps_model` would."""
        began = time.perf_counter()
        said = self.eps_model(x, t)
        if x.device.type == "cuda":  # which answers before it has finished
            torch.cuda.synchronize(x.device)
        self.seconds += time.perf_counter() - began
        self.images += len(x)
        return said


class Comparison:
    """The results while they come in.

    Args:
        folder: receives compare.json and compare-scores.npz.
        about: what compare.json says beside rows and tests; those it has are none yet.

    Attributes:
        heads: of the methods, as they are fitted.
        clock: the network; the test pass evaluates it through this.
        seconds, network: spent on each method by this process in the test pass: in all, and in the network.
        timed: test images behind those seconds.
    """

    def __init__(self, methods: list[Method], detector: Detector, folder: Path, about: ComparisonResults) -> None:
        self.methods, self.detector, self.folder, self.about = methods, detector, folder, about
        self.alone = [method.cost(detector.schedule) for method in methods]
        self.added = costs(methods, detector.schedule)
        self.heads: list[Head] = []
        self.clock = Timed(detector.eps_model)
        self.seconds, self.network = [0.0] * len(methods), [0.0] * len(methods)
        self.timed = 0
        self._wrote = 0.0

    def row(self, number: int, real: np.ndarray, generated: np.ndarray, done: bool) -> MethodRow:
        """One method's line; `real` and `generated` are its oriented scores so far, perhaps none."""
        method, head = self.methods[number], self.heads[number]
        metrics: dict[str, Any] = dict.fromkeys(part.name for part in fields(Metrics))
        metrics |= {"real": len(real), "generated": len(generated)}
        paper = None
        if len(real) and len(generated):
            metrics = asdict(measure(real, generated, head.threshold))
            if head.kind == THRESHOLD:  # every source of a statistic expects generated images to have the smaller one
                paper = metrics["auc"] if head.sign < 0 else 1 - metrics["auc"]
        seconds, rest = self.seconds[number], self.seconds[number] - self.network[number]
        alone = rest + self.alone[number] * self.timed * self.clock.seconds / max(self.clock.images, 1)
        return MethodRow(
            method=method.name,
            title=method.title,
            source=method.source,
            head=method.head,
            parameters=dict(method.parameters),
            parameters_from={name: method.origins.get(name, "default") for name in method.parameters},
            polarity=head.polarity,
            threshold=head.sign * head.threshold,
            threshold_from=head.threshold_from,
            auc_calibration=head.auc,
            auc_calibration_from=head.auc_from,
            details=head.details,
            auc_paper_polarity=paper,
            **metrics,
            intervals=intervals(real, generated, head.threshold) if done else {},
            evaluations_alone=self.alone[number],
            evaluations_added=self.added[number],
            images_per_second=self.timed / seconds if seconds else None,
            images_per_second_alone=self.timed / alone if seconds else None,
        )

    def results(self, scores: dict[str, np.ndarray], done: bool) -> ComparisonResults:
        """The content of the results file; `scores` (methods, images) by set, oriented."""
        generated = scores["generated"]
        reals = [name for name in scores if name != "generated"]
        rows = {
            name: tuple(self.row(i, scores[name][i], generated[i], done) for i in range(len(self.heads)))
            for name in reals
        }
        names = [method.name for method in self.methods]
        tests = {name: tuple(delong_tests(names, scores[name], generated)) if done else () for name in reals}
        scored = {name: values.shape[1] for name, values in scores.items()}
        return replace(self.about, done=done, scored=scored, rows=rows, tests=tests)

    def write(self, scores: dict[str, np.ndarray], at_once: bool = False) -> None:
        """Write what there is, from the main process alone; unless `at_once`, not more often than EVERY seconds."""
        if processes.is_main() and (at_once or time.monotonic() - self._wrote >= EVERY):
            self.keep(scores, done=False)
            self._wrote = time.monotonic()

    def keep(self, scores: dict[str, np.ndarray], done: bool) -> ComparisonResults:
        """Write the results, with intervals and tests once they are `done`, and the scores behind them."""
        arrays = {name: values.astype(np.float32) for name, values in scores.items()}
        names = np.array([method.name for method in self.methods])
        with replacing(self.folder / "compare-scores.npz") as temporary:
            np.savez_compressed(temporary, methods=names, **arrays)  # type: ignore[arg-type]
        results = self.results(scores, done)
        results.write(self.folder / "compare.json")
        return results


def delong_tests(methods: Sequence[str], real: np.ndarray, generated: np.ndarray) -> list[Test]:
    """Every method against SeDID_Stat (the first there is) and against the one of the highest AUC.

    Args:
        methods: their names.
        real, generated: oriented scores, (methods, images), in this order.
    """
    aucs = [measure(*both).auc for both in zip(real, generated, strict=True)]
    best = max(range(len(methods)), key=aucs.__getitem__)
    stats = [i for i, name in enumerate(methods) if name.split()[0] == "sedid-stat"]
    return [
        Test(
            a=methods[a],
            b=methods[b],
            test="DeLong",
            b_is_best=b == best,
            **asdict(delong(real[a], generated[a], real[b], generated[b])),
        )
        for b in dict.fromkeys([*stats[:1], best])
        for a in range(len(methods))
        if a != b
    ]
