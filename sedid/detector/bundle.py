"""The detector bundle: a diffusers pipeline plus what was calibrated for it.

    model_index.json, scheduler/, unet/     `DDPMPipeline.from_pretrained` opens the folder as it is
    sedid/detector.json                     calibrations, splits, seeds, measurements, versions, commands
    sedid/classifier/                       the ResNet-18, sharded safetensors
    sedid/splits.npz                        prints of the pictures it has seen (`sedid.data.splits`)
    README.md                               the model card

Weights are half-precision safetensors in shards under 9 MB, so that a plain `git push` to a Space works. Any
diffusers DDPM pipeline without the `sedid/` part opens too, as an uncalibrated detector, also one of the oldest layout
(everything at the root of its folder). So does a latent one, as StableDiffusionPipeline and StableDiffusionXLPipeline save
them; its VAE and text encoders lie beside unet/.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Collection
from copy import deepcopy
from dataclasses import MISSING, asdict, dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from sedid.data.image_statistics import PLAIN
from sedid.data.images import check_crop
from sedid.data.splits import FILE as SPLITS
from sedid.data.splits import take_splits
from sedid.detector import hub, trained
from sedid.detector.detector import Calibration, Detector, NNCalibration, Pair
from sedid.detector.identity import Identity, changed
from sedid.detector.identity import checkpoint_hash as checkpoint_hash  # also known by the name of this module
from sedid.later import torch
from sedid.method.diffusion import INPUT_IMAGES, NoiseSchedule, Steps, check_step, steps_in_words, whole_path
from sedid.models.folders import (
    TEXT_PARTS,
    WEIGHTS,
    check_pipeline,
    check_shards,
    is_latent,
    pipeline_part,
    unet_weights,
)
from sedid.models.networks import Runtime, all_finite, make_resnet18
from sedid.models.opening import Condition, open_model, picture_size
from sedid.models.schedules import load_schedule, make_scheduler
from sedid.paths import CHECKPOINTS, only_in_a_checkout
from sedid.stats.ranges import Cloud, Range
from sedid.storage import read_json, read_object, replacing_parts, stored_tensors, write_json

FORMAT = 2
CALIBRATED = ("stat", "existing", "nn", "metrics")
"""The sections of detector.json that hold for one model, preprocessing and classifier only."""
SHARD = "8MB"
PARTS = "pipeline"
"""In the run folder of `train-latent`: the pipeline whose U-Net is trained."""
SHIPPED = CHECKPOINTS / "cifar10"


def called(folder: Path, shipped: Path = SHIPPED) -> str:
    """A detector's folder as lists name it, the one that comes with the app marked as such."""
    return f"{folder.name} (shipped)" if folder.resolve() == shipped.resolve() else folder.name


def pipelines(folder: Path = SHIPPED.parent) -> list[Path]:
    """The folders in a folder that hold a diffusers pipeline, by name."""
    return sorted(found for found in folder.glob("*") if is_pipeline(found))


def is_pipeline(folder: Path) -> bool:
    """Whether a folder holds a diffusers pipeline."""
    return (folder / "model_index.json").is_file()


def detector_file(folder: Path) -> Path:
    """Where a bundle keeps its calibration."""
    return Path(folder) / "sedid" / "detector.json"


def save_pipeline(unet: Any, folder: Path) -> None:
    """Write the diffusers part of a bundle, half precision, sharded; earlier weights there stay until all is written.

    Args:
        unet: a `UNet2DModel` trained on `schedules.make_scheduler`'s schedule.
    """
    from diffusers import DDPMPipeline

    pipeline: Any = DDPMPipeline(deepcopy(unet).half(), make_scheduler())
    with replacing_parts(folder) as written:
        pipeline.save_pretrained(written, max_shard_size=SHARD)
        _forget_origin(written)


def save_latent_pipeline(unet: Any, parts: Path, folder: Path) -> None:
    """Write the diffusers part of a latent bundle, as `save_pipeline`.

    Args:
        unet: a `UNet2DConditionModel`.
        parts: a pipeline folder with all its other parts.
    """
    with replacing_parts(folder) as written:
        shutil.copytree(parts, written, ignore=shutil.ignore_patterns("unet", "sedid"), dirs_exist_ok=True)
        deepcopy(unet).half().save_pretrained(written / "unet", max_shard_size=SHARD)
        _forget_origin(written)


def _forget_origin(written: Path) -> None:
    """Take from the configurations of a pipeline where on this machine its networks came from."""
    for config in written.glob("*/config.json"):
        write_json(config, {name: value for name, value in read_json(config).items() if name != "_name_or_path"})


def export_run(run: Path, folder: Path, data: str = "", center_crop: float | None = None) -> dict[str, Any]:
    """Turn the best EMA weights of a `train-ddpm` or `train-latent` run into a (not yet calibrated) bundle.

    Args:
        run: the run folder.
        folder: the bundle's.
        data: what its images are called; "": as the file the run read them from.
        center_crop: how they were cropped before the run read them; None: as the run cropped them.

    Returns:
        detector.json.

    Raises:
        FileNotFoundError: the folder is no training run, or one that was not evaluated yet.
        ValueError: the file is damaged, or does not say of which architecture its weights are.
    """
    from diffusers.models import UNet2DConditionModel, UNet2DModel

    settings, best = Path(run) / "config.json", Path(run) / "best.safetensors"
    if not settings.is_file():
        raise FileNotFoundError(f"{run} is no training run of `train-ddpm`: it has no config.json")
    if not best.is_file():
        raise FileNotFoundError(f"{run} has no weights to export yet: its first evaluation writes best.safetensors")
    config, parts = read_json(settings), Path(run) / PARTS
    made_of = trained_architecture(best)
    unet: Any = UNet2DConditionModel(**made_of) if parts.is_dir() else UNet2DModel(**made_of)
    with stored_tensors(best) as stored:
        metadata = stored.metadata()
        unet.load_state_dict({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118
    if parts.is_dir():
        save_latent_pipeline(unet, parts, folder)
    else:
        save_pipeline(unet, folder)
    detector_file(folder).unlink(missing_ok=True)
    take_splits(Path(run) / SPLITS, folder)
    named = ("data", "heldout", "start", "vae")  # paths of one machine: only their last part belongs in a bundle
    training = {name: Path(value).name if name in named else value for name, value in config.items() if name != "out"}
    measured = {name: metadata.get(name, "None") for name in ("heldout_loss", "heldout_plain")}
    training |= {"step": int(metadata["step"])} | ({"data": data} if data else {})
    training |= {name: None if loss == "None" else float(loss) for name, loss in measured.items()}
    training = trained.named(training, made_of, Path(folder).resolve().name)
    return update_info(folder, training=training, center_crop=center_crop or config.get("center_crop") or None)


def versions() -> dict[str, str]:
    """Versions of what results depend on."""
    found = {"python": platform.python_version()}
    for package in ("sedid", "torch", "torchvision", "diffusers", "numpy", "scikit-learn", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # sedid itself, when run from a checkout
            continue
    return found


def trained_architecture(best: Path) -> dict[str, Any]:
    """The U-Net's configuration of a run's weights, as their file states it.

    Not the preset that the run's settings name: a run that started from other weights has their architecture, and one that
    differs in attention heads alone would load without an error.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or does not state it.
    """
    with stored_tensors(best) as stored:
        metadata = stored.metadata() or {}
    if "vae" in metadata:
        raise ValueError(
            f"{best.parent} is a run of train-vae, half of a latent model: `train-latent --set vae={best.parent}` trains the "
            "other half"
        )
    if "unet" not in metadata:
        raise ValueError(f"{best} does not say of which architecture its weights are: train it with this version")
    return dict(json.loads(metadata["unet"]))


def read_info(folder: Path) -> dict[str, Any]:
    """detector.json of a bundle; {} of a pipeline that has none.

    Raises:
        ValueError: it is no JSON object, or of a format this version does not know.
    """
    file = detector_file(folder)
    if not file.is_file():
        return {}
    info = read_object(file)
    if info.get("format") not in (1, FORMAT):
        raise ValueError(f"{file} has format {info.get('format')!r:.60}; this version reads {FORMAT}")
    return info


def current_info(folder: Path) -> dict[str, Any]:
    """`read_info` of a bundle that need not be upgraded.

    Raises:
        ValueError: as `read_info`, or it is of format 1.
    """
    info = read_info(folder)
    if info.get("format") == 1:
        command = "upgrade USER/REPO --out FOLDER" if hub.in_cache(folder) else f"upgrade {folder}"
        raise ValueError(
            f"{detector_file(folder)} was written by an earlier version, which did not record all that a calibration "
            f"depends on: `python -m sedid {command}` brings it up to date"
        )
    return info


def update_info(folder: Path, **sections: Any) -> dict[str, Any]:
    """Merge sections into detector.json, creating it if need be, and record what the folder holds (`Identity`).

    What was calibrated or measured for a model, a preprocessing or a classifier that is no longer there goes.

    Returns:
        The whole.

    Raises:
        ValueError: as `current_info`.
    """
    before = current_info(folder)
    info = before | sections
    found = Identity.of(folder, info.get("center_crop"), "nn" in info, condition_of(info))
    differing = set(Identity.recorded(before).differing(found)) if before else set()
    stale = () if not differing else ("nn",) if differing == {"classifier_sha256"} else CALIBRATED
    for name in stale:
        if name not in sections:
            info.pop(name, None)
    if "nn" not in info:
        found = replace(found, classifier_sha256=None)
    info |= {"format": FORMAT} | asdict(found) | {"versions": versions()}
    write_json(detector_file(folder), info)
    return info


def condition_of(info: dict[str, Any], prompt: str | None = None, guidance: float | None = None) -> Condition:
    """What a detector's model is told: as detector.json records it, or what is given in place of that.

    Raises:
        ValueError: the record is damaged.
    """
    prompt = _check(info.get("prompt", ""), str, "prompt") if prompt is None else prompt
    return Condition(prompt, _number("guidance", info.get("guidance", 1.0)) if guidance is None else guidance)


def frame(folder: Path) -> tuple[int, float | None]:
    """How a detector, or the run of one, sees pictures: the side in pixels, and the centre crop (`images.crop_side`).

    Args:
        folder: a bundle, another diffusers pipeline, or a run folder of `train-ddpm` or `train-latent`.

    Raises:
        FileNotFoundError, ValueError: there is none, it cannot be read, or the crop is none.
    """
    best = Path(folder) / "best.safetensors"
    if best.is_file():
        parts = best.with_name(PARTS)
        size = picture_size(parts) if parts.is_dir() else trained_architecture(best)["sample_size"]
        crop = read_object(best.with_name("config.json")).get("center_crop") or None
    else:
        size, crop = picture_size(folder), read_info(folder).get("center_crop")
    check_crop(crop)
    return size, crop


def save_classifier(network: torch.nn.Module, folder: Path) -> None:
    """Write the classifier's weights, half precision, sharded."""
    from huggingface_hub import save_torch_model

    with replacing_parts(Path(folder) / "sedid") as written:
        (written / "classifier").mkdir()
        save_torch_model(deepcopy(network).half(), written / "classifier", max_shard_size=SHARD)


def load_classifier(folder: Path, input: str, channels: int = 3) -> torch.nn.Module:
    """The classifier of a bundle, float32, eval mode.

    Args:
        channels: of what the model walks on.

    Raises:
        ValueError: its weights do not fit a ResNet-18 with this input, or are not finite numbers.
    """
    from huggingface_hub import load_torch_model
    from safetensors import SafetensorError

    network, place = make_resnet18(channels * INPUT_IMAGES[input]), Path(folder) / "sedid" / "classifier"
    check_shards(place / "model.safetensors.index.json")
    try:
        load_torch_model(network, place, strict=True, safe=True)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        said = " ".join(str(error).split())[:300]  # torch names the tensors that do not fit, in many lines
        raise ValueError(f"the classifier in {folder} cannot be loaded: {said}") from error
    if not all_finite(network.float()):
        raise ValueError(
            f"the classifier in {folder} has weights that are not finite numbers (NaN or infinity): restore its files, "
            "or run `python -m sedid train-nn` again"
        )
    return network.eval()


def _calibration(kind: type[Calibration], values: Any, schedule: NoiseSchedule) -> Any:
    """Build a calibration from JSON.

    Raises:
        ValueError: it does not fit.
    """
    _check(values, dict, "a calibration")
    known = {field.name: field for field in fields(kind)}
    if unknown := [name for name in values if name not in known]:
        raise ValueError(f"a calibration has no entry {unknown[0]!r:.60}; its entries are {', '.join(known)}")
    if lacking := [name for name, field in known.items() if field.default is MISSING and name not in values]:
        raise ValueError(f"a calibration lacks {', '.join(lacking)}")
    numbers = {name: _number(name, values[name]) for name in ("threshold", "auc")}
    lists = {
        name: tuple(_number(name, value) for value in _check(values[name], list, name))
        for name in ("band", "real", "generated")
    }
    made = kind(**values | numbers | lists | {"k": steps_of(values["k"])})
    if type(made.t_sec) is not int:
        raise ValueError("t_sec must be a whole number")
    check_step(schedule, made.k, made.t_sec)
    if made.polarity not in ("smaller", "larger"):
        raise ValueError(f'polarity must be "smaller" or "larger", not {made.polarity!r:.60}')
    if not 0 <= made.auc <= 1:
        raise ValueError(f"auc must lie between 0 and 1, not be {made.auc:g}")
    for name, values in lists.items():
        if len(values) < 2 or list(values) != sorted(values):
            raise ValueError(f"{name} must be at least two ascending numbers")
    if len(made.band) != 2 or not made.band[0] <= made.threshold <= made.band[1]:
        raise ValueError("band must be two numbers with the threshold between them")
    if isinstance(made, NNCalibration):
        if not isinstance(made.input, str) or made.input not in INPUT_IMAGES:
            raise ValueError(f"unknown classifier input {made.input!r:.60}; accepted: {', '.join(INPUT_IMAGES)}")
        if _number("temperature", made.temperature) <= 0:
            raise ValueError("temperature must be above 0")
    return made


def _range(values: Any, schedule: NoiseSchedule, stat: Collection[Pair]) -> tuple[Steps, Range]:
    """Where calibration images lie along one walk, from JSON: (k, range).

    Raises:
        ValueError: it is none of a walk that is calibrated.
    """
    k = steps_of(_check(values, dict, "an entry of ranges").get("k"))
    steps = len(whole_path(schedule, k)) - 1
    if any((k, t_sec) not in stat for t_sec in whole_path(schedule, k)[1:]):
        raise ValueError(f"there is a range along {steps_in_words(k)}, which is not calibrated at every T_SEC")
    return k, Range(*(_cloud(values.get(name), steps) for name in ("real", "generated")))


def _cloud(values: Any, steps: int) -> Cloud:
    found = _check(values, dict, "a class of a range")
    mean, limits = (
        tuple(_number(name, one) for one in _check(found.get(name), list, name)) for name in ("mean", "limits")
    )
    rows = tuple(
        tuple(_number("covariance", one) for one in _check(row, list, "a row of covariance"))
        for row in _check(found.get("covariance"), list, "covariance")
    )
    size = steps + PLAIN
    if len(limits) != steps or len(mean) != size or [len(row) for row in rows] != [size] * size or min(limits) <= 0:
        raise ValueError(
            f"a range of {steps} steps has {size} means, as many rows of covariance, and {steps} limits above 0"
        )
    spread = np.array(rows)
    if not np.allclose(spread, spread.T) or np.linalg.eigvalsh(spread)[0] <= 0:
        raise ValueError("the covariance of a range must be symmetric and positive definite")
    return Cloud(mean, rows, limits)


def steps_of(value: Any) -> Steps:
    """`k` as JSON has it: a step size, or the list of a path's timesteps.

    Raises:
        ValueError: it is something else.
    """
    found = tuple(value) if isinstance(value, list) else value
    if any(type(one) is not int for one in (found if isinstance(found, tuple) else (found,))):
        raise ValueError(f"k must be a whole number, or a list of whole numbers for a path, not {value!r:.60}")
    return found


def _number(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{name} must be a finite number, not {value!r:.60}")
    return float(value)


def _check(value: Any, kind: type, name: str) -> Any:
    """The value, if it is of the kind that JSON should hold there.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, kind):
        words = {"dict": "an object (names and values in braces)", "list": "a list", "str": "a text"}
        raise ValueError(f"{name} must be {words[kind.__name__]}, not {value!r:.60}")
    return value


def resolve(source: str | Path) -> Path:
    """A local bundle or pipeline folder, or a Hub id ("user/repo" or "user/repo@revision") fetched to the Hub's cache.

    Raises:
        FileNotFoundError: neither; the text says what is accepted.
        PermissionError, ConnectionError, ValueError: as `hub.fetch`.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    named = hub.split_id(str(source))
    if named is None and folder == SHIPPED:
        instead = "name another detector (--detector on the command line): a bundle folder, a diffusers DDPM folder or a Hub id 'user/repo[@revision]'"
        raise FileNotFoundError(only_in_a_checkout("the shipped detector", instead))
    if named is None:
        raise FileNotFoundError(
            f"no detector at {source}: give a bundle folder, a diffusers DDPM folder or a Hub id 'user/repo[@revision]'"
        )
    try:
        return hub.fetch(*named)
    except OSError as error:  # the same kind of error
        raise type(error)(f"{source} is no folder here, and as a Hub id: {error}") from error


def own_folder(source: str | Path, copy: str | Path = "") -> Path:
    """The bundle folder that results for a detector are written into: its own, or a copy of it.

    Args:
        source: as `resolve`.
        copy: where to copy it first; a copy already there is used again. "" takes the detector's own folder.

    Raises:
        ValueError: its own folder lies in the Hub's cache, or the copy's is taken by something else.
        FileNotFoundError, PermissionError, ConnectionError: as `resolve`.
    """
    folder = resolve(source)
    if copy:
        return adopt(folder, Path(copy))
    if not Path(source).is_dir() or hub.in_cache(folder):
        raise ValueError(
            f"{source} lies in the Hub's cache, which is left as it is: name a folder for the results with --set out=..., "
            "or first copy the detector with `calibrate` and its out"
        )
    return folder


def adopt(source: Path, folder: Path) -> Path:
    """Copy a pipeline of any layout, with its calibration, into a bundle folder, weights unchanged; returns the folder.

    Raises:
        FileNotFoundError, ValueError: there is no pixel-space DDPM pipeline in `source`.
        ValueError: `folder` is not empty and not a copy of it.
    """
    check_pipeline(source)
    if folder.is_dir() and any(folder.iterdir()):
        try:
            model = [Identity.of(one, None, classifier=False) for one in (folder, source)]
        except (FileNotFoundError, ValueError):
            model = []
        if not model or model[0] != model[1]:
            raise ValueError(f"{folder} holds something other than a copy of {source}; choose another folder")
        return folder
    unet, scheduler = pipeline_part(source, "unet"), pipeline_part(source, "scheduler")
    files = {f"unet/{file.name}": file for file in unet_weights(source)}
    files |= {f"unet/{file.name}": file for file in unet.glob(f"{WEIGHTS}.safetensors.index.json")}
    files |= {"unet/config.json": unet / "config.json"}
    files |= {"scheduler/scheduler_config.json": scheduler / "scheduler_config.json"}
    if is_latent(source):
        copied = tuple(f"{part}/" for part in ("vae", *TEXT_PARTS))
        files |= {name: source / name for name in hub.bundle_files(source) if name.startswith((*copied, "model_index"))}
    kept = (
        "sedid/detector.json",
        "sedid/classifier/",
        f"sedid/{SPLITS}",
    )  # not its measurements, which may soon be of another calibration
    files |= {name: source / name for name in hub.bundle_files(source) if name.startswith(kept)}
    load_schedule(source)  # refuses before anything is written
    with replacing_parts(folder) as written:
        for name, file in files.items():
            (written / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, written / name)
        if is_latent(source):
            return folder
        kind = read_json(scheduler / "scheduler_config.json").get("_class_name", "DDPMScheduler")
        parts = {"unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", kind]}
        write_json(written / "model_index.json", {"_class_name": "DDPMPipeline"} | parts)
    return folder


def load_detector(
    source: str | Path = SHIPPED,
    device: str = "auto",
    precision: str = "fp32",
    compile: bool = False,
    parts: Collection[str] = ("stat", "nn"),
    prompt: str | None = None,
    guidance: float | None = None,
) -> Detector:
    """Open a detector bundle, or any diffusers DDPM pipeline as an uncalibrated detector.

    Args:
        source: a folder, or a Hub id "user/repo" or "user/repo@revision"; default: the detector shipped with the
            project. Pipelines of the oldest layout, with everything at the root, open too.
        device: auto, cuda, mps or cpu.
        precision: fp32 or bf16 (the network alone).
        parts: the calibrations to open it with: of STAT ("stat") and of the classifier ("nn"). What is about to be made
            anew is left out, so that nothing of it is read or compared.
        prompt: what a conditional model is told of every picture, of a class-conditional one the number of a class;
            default: what the detector was calibrated with, or nothing.
        guidance: w of classifier-free guidance (`networks.Told`), likewise; 1 is none.

    Raises:
        FileNotFoundError: there is nothing there, or nothing in safetensors.
        PermissionError, ConnectionError: the Hub could not give it.
        ValueError: the pipeline or its calibration cannot be read, something the calibration depends on (`Identity`)
            changed since, or it is a training run.
    """
    folder = resolve(source)
    if (folder / "best.safetensors").is_file():
        raise ValueError(
            f"{source} is a training run, not a detector: `python -m sedid export {source} BUNDLE` makes one"
        )
    runtime = Runtime.choose(device, precision, compile)
    size, crop = frame(folder)
    info = current_info(folder)
    model = open_model(folder, runtime)
    try:
        condition = condition_of(info, prompt, guidance)
        calibrated = read_calibrations(info, model.schedule, parts)
    except ValueError as error:
        raise ValueError(f"{detector_file(folder)} holds a calibration that cannot be read: {error}") from error
    eps = model.eps(condition)
    network = load_classifier(folder, calibrated.nn.input, model.space.channels) if calibrated.nn else None
    found = Identity.of(folder, crop, network is not None, condition)
    if info and parts:
        recorded = Identity.recorded(info)
        if network is None:
            recorded = replace(recorded, classifier_sha256=None)
        if said := changed(recorded, found):
            raise ValueError(f"{detector_file(folder)}: {said}")
    return Detector(
        eps_model=eps,
        schedule=model.schedule,
        runtime=runtime,
        name=Path(source).resolve().name,
        size=size,
        center_crop=crop,
        space=model.space,
        stat=calibrated.stat,
        chosen=calibrated.chosen,
        ranges=calibrated.ranges,
        network=network and runtime.place(network),
        nn=calibrated.nn,
        info=info
        | asdict(found)
        | ({"prompt": condition.prompt, "guidance": condition.guidance} if model.prompted else {}),
        folder=folder,
    )


@dataclass(frozen=True)
class Calibrated:
    """What detector.json adds to a detector, checked."""

    stat: dict[Pair, Calibration]
    ranges: dict[Steps, Range]
    chosen: Pair | None
    nn: NNCalibration | None


def read_calibrations(
    info: dict[str, Any], schedule: NoiseSchedule, parts: Collection[str] = ("stat", "nn")
) -> Calibrated:
    """The calibrations of a detector.json.

    Args:
        parts: those that are asked for, "stat" and "nn".

    Raises:
        ValueError: they, or the sections beside them, are not what detector.json holds.
    """
    for name in (*CALIBRATED, "training", "preprocessing", "versions"):
        _check(info.get(name, {}), dict, name)
    for section in (info.get("stat", {}), info.get("nn", {})):
        _number("error_rate", section.get("error_rate", 0))
        for made in _check(section.get("data", {}), dict, "data").values():
            _check(_check(made, dict, "an entry of data").get("sha256"), str, "sha256 of data")
    for part, kind in (("stat", list), ("nn", dict), ("existing", dict)):
        for measured in _check(info.get("metrics", {}).get(part, {}), dict, f"metrics of {part}").values():
            _check(measured, kind, f"metrics of {part}")
    section = info.get("stat", {}) if "stat" in parts else {}
    _check(section.get("generated_by", {}), dict, "generated_by")
    listed = _check(section.get("calibrations", []), list, "calibrations")
    made = [_calibration(Calibration, values, schedule) for values in listed]
    stat: dict[Pair, Calibration] = {(calibration.k, calibration.t_sec): calibration for calibration in made}
    if len(stat) < len(made):
        raise ValueError("two calibrations are of the same k and T_SEC")
    ranges = dict(_range(values, schedule, stat) for values in _check(section.get("ranges", []), list, "ranges"))
    chosen = None
    if "chosen" in section:
        asked = _check(section["chosen"], list, "chosen")
        chosen = next((pair for pair in stat if [steps_of(k) for k in asked] == [*pair]), None)
        if chosen is None:
            raise ValueError(f"the chosen pair ({', '.join(map(str, asked)):.60}) is not among the calibrated ones")
    if "nn" not in info or "nn" not in parts:
        return Calibrated(stat, ranges, chosen, None)
    if "calibration" not in info["nn"]:
        raise ValueError("nn lacks its calibration")
    return Calibrated(stat, ranges, chosen, _calibration(NNCalibration, info["nn"]["calibration"], schedule))
