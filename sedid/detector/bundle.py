"""The detector bundle: a diffusers pipeline plus what was calibrated for it.

    model_index.json, scheduler/, unet/     `DDPMPipeline.from_pretrained` opens the folder as it is
    sedid/detector.json                     calibrations, splits, seeds, measurements, versions, commands
    sedid/classifier/                       the ResNet-18, sharded safetensors
    sedid/splits.npz                        prints of the pictures it has seen (`sedid.data.splits`)
    README.md                               the model card

Weights are half-precision safetensors in shards under 9 MB, so that a plain `git push` to a Space works. Any
diffusers DDPM pipeline without the `sedid/` part opens too, as an uncalibrated detector, also one of the oldest layout
(everything at the root of its folder). So does a latent one, as StableDiffusionPipeline, StableDiffusionXLPipeline and
StableDiffusion3Pipeline save them; its VAE and text encoders lie beside unet/ or transformer/.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Collection
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sedid.data.images import check_crop
from sedid.data.splits import FILE as SPLITS
from sedid.detector import hub
from sedid.detector.calibrations import CALIBRATED, number, of_kind, read_calibrations
from sedid.detector.detector import Detector
from sedid.detector.identity import Identity, changed
from sedid.detector.identity import checkpoint_hash as checkpoint_hash  # also known by the name of this module
from sedid.detector.trained import PARTS, trained_architecture
from sedid.later import torch
from sedid.method.diffusion import INPUT_IMAGES
from sedid.models.eight_bits import from_eight_bits
from sedid.models.folders import (
    TEXT_PARTS,
    WEIGHTS,
    check_pipeline,
    check_shards,
    is_latent,
    network_part,
    network_weights,
    pipeline_part,
)
from sedid.models.networks import Runtime, all_finite, make_resnet18
from sedid.models.opening import Condition, open_model, picture_size
from sedid.models.schedules import load_schedule
from sedid.paths import CHECKPOINTS, commit, only_in_a_checkout
from sedid.storage import read_json, read_object, replacing_parts, stored_tensors, write_json

FORMAT = 2
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


def versions() -> dict[str, str]:
    """Versions of what results depend on."""
    found = {"python": platform.python_version()}
    for package in ("sedid", "torch", "torchvision", "diffusers", "numpy", "scikit-learn", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # sedid itself, when run from a checkout
            continue
    return found


def made_with() -> dict[str, str]:
    """What a results file says of the code behind it: `versions`, and the commit where it ran in a checkout."""
    return versions() | ({"commit": found} if (found := commit()) else {})


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


def forget_calibration(folder: Path) -> None:
    """Take what was calibrated, trained and measured out of detector.json; the weights and what is said of them stay.

    The next calibration is then held against no picture that only an earlier one has seen.

    Raises:
        ValueError: as `current_info`.
    """
    info = current_info(folder)
    if any(name in info for name in CALIBRATED):
        left = {name: kept for name, kept in info.items() if name not in CALIBRATED}
        write_json(detector_file(folder), left | {"classifier_sha256": None})


def condition_of(info: dict[str, Any], prompt: str | None = None, guidance: float | None = None) -> Condition:
    """What a detector's model is told: as detector.json records it, or what is given in place of that.

    Raises:
        ValueError: the record is damaged.
    """
    prompt = of_kind(info.get("prompt", ""), str, "prompt") if prompt is None else prompt
    return Condition(prompt, number("guidance", info.get("guidance", 1.0)) if guidance is None else guidance)


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


def load_classifier(folder: Path, input: str, channels: int = 3) -> torch.nn.Module:
    """The classifier of a bundle, float32, eval mode.

    Args:
        channels: of what the model walks on.

    Raises:
        ValueError: its weights do not fit a ResNet-18 with this input, or are not finite numbers.
    """
    network, place = make_resnet18(channels * INPUT_IMAGES[input]), Path(folder) / "sedid" / "classifier"
    kept: dict[str, torch.Tensor] = {}
    shards = check_shards(place / "model.safetensors.index.json")
    try:
        for shard in shards:
            with stored_tensors(shard) as stored:
                kept |= {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        network.load_state_dict(from_eight_bits(kept))
    except (OSError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:300]  # torch names the tensors that do not fit, in many lines
        raise ValueError(f"the classifier in {folder} cannot be loaded: {said}") from error
    if not all_finite(network):
        raise ValueError(
            f"the classifier in {folder} has weights that are not finite numbers (NaN or infinity): restore its files, "
            "or run `python -m sedid train-nn` again"
        )
    return network.eval()


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
        raise type(error)(f"{source} is no folder on this machine, and {error}") from error


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
    name = network_part(source)
    network, scheduler = pipeline_part(source, name), pipeline_part(source, "scheduler")
    files = {f"{name}/{file.name}": file for file in network_weights(source)}
    files |= {f"{name}/{file.name}": file for file in network.glob(f"{WEIGHTS}.safetensors.index.json")}
    files |= {f"{name}/config.json": network / "config.json"}
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
        if said := changed(recorded, found, folder):
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
