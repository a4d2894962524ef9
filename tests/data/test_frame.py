"""Every loop reads pictures at the detector's own size and crop, so that what is calibrated is what is inspected."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_tiny_unet
from helpers.image_files import encoded
from PIL import Image

from sedid import load_detector
from sedid.data import datasets
from sedid.data.datasets import fingerprint, load_images
from sedid.data.images import prepare
from sedid.detector.bundle import detector_file, frame, update_info
from sedid.detector.detector import Call
from sedid.detector.export import export_run, save_pipeline
from sedid.detector.sample import write_examples, write_sample
from sedid.jobs.commands import resolve_loop
from sedid.models.schedules import make_scheduler
from sedid.progress import finish
from sedid.studies.evaluate import EvaluateConfig, evaluate
from sedid.training.calibrate import CalibrateConfig, calibrate, calibrate_all
from sedid.training.generate import GenerateConfig, generate
from sedid.training.train_ddpm import TrainDDPMConfig, train_ddpm
from sedid.training.train_nn import TrainNNConfig, train_nn

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE, CROP = 64, 100
CPU: dict[str, Any] = {"device": "cpu"}


def photographs(folder: Path, count: int, width: int, height: int, seed: int = 0) -> Path:
    """Smooth random pictures as files."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)
    folder.mkdir(parents=True)
    for number, levels in enumerate(coarse):
        picture = Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)
        (folder / f"{number:02d}.png").write_bytes(encoded(np.array(picture)))
    return folder


def pipeline(folder: Path, size: int) -> Path:
    """A plain diffusers pipeline around a tiny U-Net for images of this size, its output small as a trained one's."""
    unet = make_tiny_unet(sample_size=size)
    unet.save_pretrained(folder / "unet")
    make_scheduler().save_pretrained(folder / "scheduler")
    return folder


def made_by(model: Path, out: Path, count: int) -> Path:
    """Images this model generates."""
    return finish(generate(GenerateConfig(str(model), str(out), count, sampler="ddim", steps=2, batch_size=12, **CPU)))


def test_a_model_of_64_pixels_from_generation_to_inspection(tmp_path: Path) -> None:
    model = pipeline(tmp_path / "model", SIZE)
    images = made_by(model, tmp_path / "made", 26)
    with np.load(images) as stored:
        assert stored["images"].shape == (26, SIZE, SIZE, 3)
    folder = photographs(tmp_path / "photographs", 26, 100, 80)
    bundle = str(tmp_path / "bundle")
    split = {"real": f"{folder}[0:12]", "generated": f"{images}[0:12]"}
    finish(calibrate(CalibrateConfig(str(model), **split, out=bundle, ks=(330,), loss_ts=(20,), **CPU)))
    others = {"real": f"{folder}[12:22]", "generated": f"{images}[12:22]"}
    finish(train_nn(TrainNNConfig(bundle, **others, epochs=1, batch_size=8, **CPU)))
    sets = {"generated": f"{images}[22:26]", "heldout": f"{folder}[22:26]"}
    results = finish(evaluate(EvaluateConfig(detector=bundle, **sets, **CPU)))
    assert results.verdicts.keys() == {"generated", "heldout"}

    detector = load_detector(bundle, **CPU)
    assert (detector.size, detector.info["preprocessing"]["size"]) == (SIZE, SIZE)
    seen = []
    for file in sorted(folder.iterdir())[:12]:  # the very pictures it was calibrated on
        found = detector.inspect(file)
        seen.append(found.trace.image)
        for verdict in (found.judgement.stat, found.judgement.nn):
            assert verdict is not None
            assert verdict.call != Call.OUTSIDE
        assert found.trace.image.shape == (SIZE, SIZE, 3)
    assert fingerprint(np.stack(seen)) == detector.info["stat"]["data"]["real"]["sha256"]


def test_photographs_are_calibrated_and_inspected_at_one_crop(tmp_path: Path) -> None:
    model, folder = pipeline(tmp_path / "model", 32), photographs(tmp_path / "faces", 12, 178, 218)
    images = made_by(model, tmp_path / "made", 12)
    config = CalibrateConfig(
        str(model), str(folder), str(images), str(tmp_path / "bundle"), center_crop=140, ks=(330,), loss_ts=(), **CPU
    )
    finish(calibrate(config))
    detector = load_detector(tmp_path / "bundle", **CPU)
    assert detector.center_crop == 140
    assert detector.info["preprocessing"]["crop"] == "centre square, 140 pixels"
    files = sorted(folder.iterdir())
    found = [detector.inspect(file) for file in files]
    assert (found[0].trace.image == prepare(Image.open(files[0]), 32, 140)).all()
    seen = np.stack([one.trace.image for one in found])
    assert fingerprint(seen) == detector.info["stat"]["data"]["real"]["sha256"]
    assert all(one.judgement.stat and one.judgement.stat.call != Call.OUTSIDE for one in found)

    again = CalibrateConfig(str(tmp_path / "bundle"), str(folder), str(images), ks=(330,), loss_ts=(), **CPU)
    finish(calibrate(again))  # the detector's own crop, without asking for it
    assert load_detector(tmp_path / "bundle", **CPU).info["stat"]["data"] == detector.info["stat"]["data"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated detector of 64 pixels that crops photographs to 100."""
    folder = tmp_path_factory.mktemp("frame") / "bundle"
    save_pipeline(make_tiny_unet(sample_size=SIZE), folder)
    rng = np.random.default_rng(0)
    scores = [{(330, t_sec): rng.lognormal(4, 1, 50) for t_sec in (330, 660, 990)} for _ in range(2)]
    calibrations, chosen = calibrate_all(*scores, 0.1)
    stat = {"chosen": chosen, "calibrations": [asdict(calibration) for calibration in calibrations]}
    update_info(folder, stat=stat, center_crop=CROP)
    return folder


class Stop(Exception):
    """Enough was seen of a loop."""


PAIR = ("real", "generated")
FOUR = (*PAIR, "test_real", "test_generated")
LOOPS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    # its data sets, and what else it is given
    "calibrate": (PAIR, {}),
    "train-nn": (PAIR, {}),
    "evaluate": (("generated", "heldout", "members"), {}),
    "sweep": (FOUR, {}),
    "choose": (FOUR, {"ks": 330}),
    "compare": (FOUR, {}),
    "robustness": (PAIR, {}),
    "polarity": (PAIR, {}),
    "generalise": (("generated", "heldout"), {}),
    "gallery": (PAIR, {}),
    "train-ddpm": (("data", "heldout"), {"start": "bundle", "out": "out"}),
    "trials": (("data", "heldout"), {"start": "bundle", "out": "out"}),
    "loop": (("data", "heldout"), {"start": "bundle", "out": "out"}),
    "ship": (("data", "heldout"), {"out": "out"}),
}


@pytest.mark.parametrize("name", LOOPS)
def test_each_loop_reads_as_the_detector_sees(
    name: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets, more = LOOPS[name]
    given = {"device": "cpu"} | more
    given |= {
        key: {"bundle": bundle, "out": tmp_path / "out"}[str(given[key])] for key in ("start", "out") & given.keys()
    }
    if "start" not in given:
        given["detector"] = bundle
    for number, key in enumerate(sets):
        pixels = np.random.default_rng(number).integers(0, 256, (12, 150, 130, 3), dtype=np.uint8)
        np.savez(tmp_path / f"{key}.npz", images=pixels)
        given[key] = tmp_path / f"{key}.npz"
    seen, opened = {}, datasets.open_data

    def open_data(spec: Any, size: int, center_crop: float | None) -> Any:
        seen[Path(spec).stem] = (size, center_crop)
        if len(seen) == len(sets):
            raise Stop
        return opened(spec, size, center_crop)

    monkeypatch.setattr(datasets, "open_data", open_data)
    loop, config = resolve_loop(name, "", None, [f"{key}={value}" for key, value in given.items()])
    with pytest.raises(Stop):
        finish(loop(config))
    assert seen == dict.fromkeys(sets, (SIZE, CROP))


def test_samples_and_examples_are_read_so_too(bundle: Path, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photographs", 8, 150, 130)
    np.savez(tmp_path / "made.npz", images=np.zeros((8, SIZE, SIZE, 3), np.uint8))
    expected = load_images(folder, SIZE, CROP)
    write_sample(str(folder), str(tmp_path / "made.npz"), bundle, tmp_path / "assets")
    with np.load(tmp_path / "assets" / "sample.npz") as stored:
        assert (stored["real"] == expected).all()
    write_examples(str(folder), str(tmp_path / "made.npz"), bundle, tmp_path / "examples")
    assert (np.array(Image.open(tmp_path / "examples" / "real-1.png")) == expected[0]).all()


def test_a_network_is_trained_at_its_own_size_and_the_detector_knows_the_crop(bundle: Path, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photographs", 4, 178, 218)
    training: dict[str, Any] = {"batch_size": 2, "samples": 0, "warmup_steps": 0, **CPU}
    runs = {name: tmp_path / name for name in ("asked", "started")}
    asked = TrainDDPMConfig(str(folder), str(runs["asked"]), unet="demo", steps=1, center_crop=0.5, **training)
    finish(train_ddpm(asked))
    finish(train_ddpm(TrainDDPMConfig(str(folder), str(runs["started"]), start=str(bundle), steps=1, **training)))
    expected = {"asked": (32, 0.5), "started": (SIZE, CROP)}
    for name, run in runs.items():
        assert frame(run) == expected[name]
        export_run(run, tmp_path / "made" / name)
        assert frame(tmp_path / "made" / name) == expected[name]
        detector = load_detector(tmp_path / "made" / name, **CPU)
        assert (detector.size, detector.center_crop) == expected[name]

    settings = json.loads((runs["asked"] / "config.json").read_text())
    del settings["center_crop"]  # a run of an earlier version goes on
    (runs["asked"] / "config.json").write_text(json.dumps(settings))
    finish(train_ddpm(TrainDDPMConfig(str(folder), str(runs["asked"]), unet="demo", steps=2, **training)))
    other = TrainDDPMConfig(str(folder), str(runs["started"]), start=str(bundle), center_crop=90, steps=2, **training)
    with pytest.raises(ValueError, match=r"holds a run with other settings \(center_crop\)"):
        finish(train_ddpm(other))


def test_celeba_by_name_is_cropped_where_nobody_said_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_DATA", str(tmp_path / "cache"))
    folder = photographs(tmp_path / "cache" / "celeba" / "img_align_celeba", 12, 178, 218)
    for number, file in enumerate(sorted(folder.iterdir()), 1):
        file.rename(folder / f"{number:06d}.png")
    made = photographs(tmp_path / "made", 12, 32, 32)
    crops = []
    for unsaid in (True, False):  # a plain pipeline, and one whose makers said that nothing is cropped
        model = pipeline(tmp_path / f"model-{unsaid}", 32)
        if not unsaid:
            update_info(model, center_crop=None)
        finish(calibrate(CalibrateConfig(str(model), "celeba", str(made), ks=(990,), loss_ts=(), **CPU)))
        found = json.loads(detector_file(model).read_text())
        crops.append(found["center_crop"])
        assert found["stat"]["data"]["real"]["sha256"] == fingerprint(load_images("celeba", 32, crops[-1]))
    assert crops == [140, None]
