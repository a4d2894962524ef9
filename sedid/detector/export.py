"""Weights into a bundle: half precision (the classifier's: 8 bits), in shards small enough for a plain push."""

from __future__ import annotations

import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

from sedid.data.splits import FILE as SPLITS
from sedid.data.splits import take_splits
from sedid.detector import trained
from sedid.detector.bundle import detector_file, update_info
from sedid.detector.trained import PARTS, trained_architecture
from sedid.later import torch
from sedid.models.eight_bits import to_eight_bits
from sedid.models.schedules import make_scheduler
from sedid.storage import read_json, replacing_parts, stored_tensors, write_json

SHARD = "8MB"


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


def save_classifier(network: torch.nn.Module, folder: Path) -> None:
    """Write the classifier's weights, in 8 bits (`models.eight_bits`), sharded."""
    from huggingface_hub import save_torch_state_dict

    with replacing_parts(Path(folder) / "sedid") as written:
        (written / "classifier").mkdir()
        save_torch_state_dict(to_eight_bits(network.state_dict()), written / "classifier", max_shard_size=SHARD)
