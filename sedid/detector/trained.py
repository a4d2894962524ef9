"""What a detector says of its network's training: which network it is, and whose the steps and hours are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sedid.models.folders import pipeline_part
from sedid.models.networks import about_unet
from sedid.storage import read_object, stored_tensors, write_json

RUN = {"steps": "steps of this run", "step": "weights of its step", "hours": "hours of this run"}
"""Entries that are of the last run alone -> what a card calls them."""

PLAIN = "held-out loss, plain"

PARTS = "pipeline"
"""In the run folder of `train-latent`: the pipeline whose U-Net is trained."""


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


def named(training: Mapping[str, Any], unet: Mapping[str, Any], detector: str) -> dict[str, Any]:
    """Settings of a training with the network named that was trained (`networks.about_unet`).

    A run that starts from other weights has their architecture, whatever preset its settings name. And weights that the
    detector's own name stands for are an earlier state of it.

    Args:
        training: the settings.
        unet: the network's configuration.
        detector: the name of the bundle's folder.
    """
    found = dict(training) | about_unet(unet)
    return found | {"start": f"an earlier {detector}"} if found.get("start") == detector else found


def correct_training(folder: Path) -> None:
    """Write `named` into the detector.json and training.json of a bundle of an earlier version.

    Raises:
        FileNotFoundError, ValueError: there are none, or they cannot be read.
    """
    unet = read_object(pipeline_part(folder, "unet") / "config.json")
    for name, section in (("detector", "training"), ("training", "settings")):
        file = folder / "sedid" / f"{name}.json"
        found = read_object(file) if file.is_file() else {}
        if found.get(section):
            right = named(found[section], unet, folder.resolve().name)
            if right != found[section]:
                write_json(file, found | {section: right})


def in_words(training: Mapping[str, Any]) -> list[str]:
    """The training of a detector.json, an entry a line; what was not used is left out."""
    words = {name: value for name, value in training.items() if value not in ("", [], 0)}
    if "parameters" in words:
        words["unet"] = (
            f"{words.get('unet', '?')}, {words.pop('parameters'):,} parameters, dropout {training.get('dropout', 0):g}"
        )
        words.pop("dropout", None)
    if "start" in words:
        hash = f", sha256 {str(words.pop('start_sha256'))[:12]}" if "start_sha256" in words else ""
        words["started from"] = f"{words.pop('start')}{hash}"
        words["trained before this run"] = words.pop("before", "not recorded")
    if not training.get("min_snr_gamma"):
        words.pop("heldout_plain", None)  # the same figure once more
    said = RUN | {"heldout_loss": loss_name(training), "heldout_plain": PLAIN}
    return [f"{said.get(name, name)}: {value}" for name, value in words.items()]


def loss_name(training: Mapping[str, Any]) -> str:
    """What the held-out loss of a training is: that which chose its weights is weighted as the training was."""
    gamma = training.get("min_snr_gamma")
    return f"held-out loss, min-SNR weighted (gamma {gamma:g})" if gamma else PLAIN


def after(training: Mapping[str, Any]) -> str:
    """What came before the run that a training's steps and hours are of; "" if nothing did."""
    return str(training.get("before") or (f"the training of {training['start']}" if training.get("start") else ""))
