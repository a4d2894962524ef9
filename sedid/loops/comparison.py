"""What `loops.compare` writes: one row a method, tests between methods, the scores behind them."""

import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sedid import processes
from sedid.detectors import Detector
from sedid.diffusion import EpsModel
from sedid.loops.heads import Head
from sedid.methods import THRESHOLD, Method, costs
from sedid.metrics import Metrics, measure
from sedid.statistics import ABOUT, delong, intervals
from sedid.storage import replacing, write_json

EVERY = 3.0  # seconds between two writes of the unfinished results
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


class Timed:
    """eps_theta with a clock: seconds spent in it, and images it was asked about."""

    def __init__(self, eps_model: EpsModel) -> None:
        self.eps_model, self.seconds, self.images = eps_model, 0.0, 0

    def __call__(self, x: Tensor, t: int) -> Tensor:
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
        about: what compare.json says beside rows and tests.

    Attributes:
        heads: of the methods, as they are fitted.
        clock: the network; the test pass evaluates it through this.
        seconds, network: spent on each method by this process in the test pass: in all, and in the network.
        timed: test images behind those seconds.
    """

    def __init__(self, methods: list[Method], detector: Detector, folder: Path, about: dict[str, Any]) -> None:
        self.methods, self.folder, self.about = methods, folder, about
        self.alone = [method.cost(detector.schedule) for method in methods]
        self.added = costs(methods, detector.schedule)
        self.heads: list[Head] = []
        self.clock = Timed(detector.eps_model)
        self.seconds, self.network = [0.0] * len(methods), [0.0] * len(methods)
        self.timed = 0
        self._wrote = 0.0

    def row(self, number: int, real: np.ndarray, generated: np.ndarray, done: bool) -> dict[str, Any]:
        """One method's line; `real` and `generated` are its oriented scores so far, perhaps none."""
        method, head = self.methods[number], self.heads[number]
        metrics: dict[str, Any] = dict.fromkeys(part.name for part in fields(Metrics))
        metrics |= {"real": len(real), "generated": len(generated)}
        paper = None
        if len(real) and len(generated):
            metrics = asdict(measure(real, generated, head.threshold))
            if head.kind == THRESHOLD:  # every source of a statistic expects generated images to have the smaller one
                paper = metrics["auc"] if head.polarity == "smaller" else 1 - metrics["auc"]
        found = intervals(real, generated, head.threshold) if done else {}
        seconds, rest = self.seconds[number], self.seconds[number] - self.network[number]
        alone = rest + self.alone[number] * self.timed * self.clock.seconds / max(self.clock.images, 1)
        return {
            "method": method.name,
            "title": method.title,
            "source": method.source,
            "head": method.head,
            "parameters": {name: list(v) if isinstance(v, tuple) else v for name, v in method.parameters.items()},
            "parameters_from": {name: method.origins.get(name, "default") for name in method.parameters},
            "polarity": head.polarity,
            "threshold": head.sign * head.threshold,
            "threshold_from": head.threshold_from,
            "auc_calibration": head.auc,
            "auc_calibration_from": head.auc_from,
            "details": head.details,
            "auc_paper_polarity": paper,
            **metrics,
            "intervals": {name: None if ends is None else list(ends) for name, ends in found.items()},
            "evaluations_alone": self.alone[number],
            "evaluations_added": self.added[number],
            "images_per_second": self.timed / seconds if seconds else None,
            "images_per_second_alone": self.timed / alone if seconds else None,
        }

    def results(self, scores: dict[str, np.ndarray], done: bool) -> dict[str, Any]:
        """The content of the results file; `scores` (methods, images) by set, oriented."""
        generated = scores["generated"]
        reals = [name for name in scores if name != "generated"]
        rows = {
            name: [self.row(i, scores[name][i], generated[i], done) for i in range(len(self.heads))] for name in reals
        }
        tests = {name: delong_tests(rows[name], scores[name], generated) if done else [] for name in reals}
        scored = {name: values.shape[1] for name, values in scores.items()}
        return {"done": done, **self.about, "scored": scored, "rows": rows, "tests": tests, "meaning": MEANING}

    def write(self, scores: dict[str, np.ndarray], at_once: bool = False) -> None:
        """Write what there is, from the main process alone; unless `at_once`, not more often than EVERY seconds."""
        if processes.is_main() and (at_once or time.monotonic() - self._wrote >= EVERY):
            self.keep(scores, done=False)
            self._wrote = time.monotonic()

    def keep(self, scores: dict[str, np.ndarray], done: bool) -> dict[str, Any]:
        """Write the results, with intervals and tests once they are `done`, and the scores behind them."""
        arrays = {name: values.astype(np.float32) for name, values in scores.items()}
        names = np.array([method.name for method in self.methods])
        with replacing(self.folder / "compare-scores.npz") as temporary:
            np.savez_compressed(temporary, methods=names, **arrays)  # type: ignore[arg-type]
        results = self.results(scores, done)
        write_json(self.folder / "compare.json", results)
        return results


def delong_tests(rows: list[dict[str, Any]], real: np.ndarray, generated: np.ndarray) -> list[dict[str, Any]]:
    """Every method against SeDID_Stat (the first there is) and against the best one.

    Args:
        real, generated: oriented scores, (methods, images), in the order of the rows.
    """
    best = max(range(len(rows)), key=lambda i: rows[i]["auc"])
    stats = [i for i, row in enumerate(rows) if row["method"].split()[0] == "sedid-stat"]
    return [
        {
            "a": rows[a]["method"],
            "b": rows[b]["method"],
            "test": "DeLong",
            "b_is_best": b == best,
            **asdict(delong(real[a], generated[a], real[b], generated[b])),
        }
        for b in dict.fromkeys([*stats[:1], best])
        for a in range(len(rows))
        if a != b
    ]
