"""A detector bundle with random weights, complete in every part: for tests of everything around the numbers."""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from sedid import load_detector
from sedid.detector.detector import Detector

K = 165
CHOSEN = (K, 495)
TYPICAL = (15, 40, 130, 340, 1200, 2300)  # t-errors
_keep = []  # the shared folder lives as long as the test session


def tiny_bundle(folder: Path, seed: int = 0, calibrated: bool = True) -> Path:
    """Write a bundle around the demo U-Net (0.6 M parameters): STAT at every T_SEC of k = 165, NN at 495."""
    from sedid.detector.bundle import update_info
    from sedid.detector.detector import NNCalibration
    from sedid.detector.export import save_classifier, save_pipeline
    from sedid.models.networks import make_resnet18, make_unet
    from sedid.training.calibrate import calibrate_all

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        save_pipeline(make_unet("demo"), folder)
        network = make_resnet18(6)
    if not calibrated:
        return folder
    rng = np.random.default_rng(seed)
    # about what these weights score, the generated half as much
    real = {(K, K * (n + 1)): rng.lognormal(np.log(typical), 0.5, 300) for n, typical in enumerate(TYPICAL)}
    generated = {pair: scores[::-1] / 2 for pair, scores in real.items()}
    calibrations, _ = calibrate_all(real, generated, 0.1)
    nn = NNCalibration(
        *CHOSEN, "larger", 0.5, (0.4, 0.6), tuple(np.linspace(0, 0.9, 201)), tuple(np.linspace(0.1, 1, 201)), 0.7
    )
    stat = {"chosen": CHOSEN, "calibrations": [asdict(calibration) for calibration in calibrations]}
    save_classifier(network.eval(), folder)
    update_info(folder, name="tiny", stat=stat, nn={"calibration": asdict(nn)})
    return folder


@cache
def shared_bundle() -> Path:
    """One such bundle for the whole test session; read it only."""
    _keep.append(TemporaryDirectory())
    return tiny_bundle(Path(_keep[-1].name) / "tiny")


@cache
def shared_detector() -> Detector:
    """`shared_bundle` loaded."""
    return load_detector(shared_bundle(), device="cpu")


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random images, uint8 (count, 32, 32, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def edit(path: Path, **changes: Any) -> None:
    """Change values of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
