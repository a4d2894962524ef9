"""A detector without a network, for tests of the page: arithmetic in place of the U-Net and the classifier."""

import threading
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from sedid.detector.detector import GENERATED, REAL, Calibration, Call, Detector, NNCalibration, Verdict
from sedid.method.diffusion import NoiseSchedule
from sedid.models.networks import Runtime


class CountingModel:
    """eps_theta by arithmetic; counts its evaluations, and waits while its gate is closed."""

    def __init__(self) -> None:
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, x: Tensor, t: int | Tensor) -> Tensor:
        self.gate.wait(30)
        self.calls += 1
        if isinstance(t, Tensor):  # one of each row
            t = t.reshape(-1, 1, 1, 1)
        return 0.6 * torch.sin(2 * x.roll(1, -1) + t / 250)


class FakeClassifier(nn.Module):
    """One logit: the mean of the first image of the pair."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :3].mean(dim=(1, 2, 3))[:, None]


def ramp(low: float, high: float) -> tuple[float, ...]:
    """Quantiles of a uniform distribution."""
    return tuple(np.linspace(low, high, 201).tolist())


def make_detector(calibrated: bool = True, classifier: bool = True) -> Detector:
    """A detector on the arithmetic model; calibrated at k = 165, T_SEC = 330 and 495, its own pair is the first."""
    stat = {
        (165, t_sec): Calibration(165, t_sec, "smaller", 50.0, (40.0, 60.0), ramp(20, 200), ramp(0, 100), 0.8)
        for t_sec in (330, 495)
    }
    nn_calibration = NNCalibration(165, 330, "larger", 0.5, (0.4, 0.6), ramp(0, 0.7), ramp(0.3, 1), 0.9)
    return Detector(
        eps_model=CountingModel(),
        schedule=NoiseSchedule.linear(),
        runtime=Runtime(torch.device("cpu")),
        name="fake",
        stat=stat if calibrated else {},
        chosen=(165, 330) if calibrated else None,
        network=FakeClassifier() if classifier and calibrated else None,
        nn=nn_calibration if classifier and calibrated else None,
        info={"stat": {"error_rate": 0.1}} if calibrated else {},
    )


def make_apart() -> Detector:
    """`make_detector`, the classifier at the other pair, further out: k = 165, T_SEC = 495."""
    detector = make_detector()
    assert detector.nn is not None
    return replace(detector, nn=replace(detector.nn, t_sec=495))


def make_image(seed: int = 0, side: int = 32) -> np.ndarray:
    """A smooth colour picture, uint8 (side, side, 3)."""
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    y, x = np.mgrid[0:side, 0:side] / side
    return np.stack([127 + 120 * np.sin(5 * x + 3 * y + p) for p in phase], -1).astype(np.uint8)


def calling(call: str, verdict: Verdict | None) -> Verdict:
    """A verdict by the same calibration that says this."""
    assert verdict is not None
    made = verdict.calibration
    ends = made.band if made.polarity == "smaller" else made.band[::-1]
    score = {GENERATED: ends[0], REAL: ends[1]}.get(call, made.threshold)
    found = Verdict(score, call != Call.OUTSIDE, made)
    assert found.call == call
    return found
