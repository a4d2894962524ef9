"""Named settings of the loops: demo (minutes on two cores), small (hours), paper (the defaults: DESIGN of the paper)."""

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from sedid.config import known, load_config

# The same training alone and as a stage of the loop.
SMALL_TRAINING: dict[str, Any] = {
    "unet": "small",
    "steps": 50_000,
    "warmup_steps": 500,
    "cooldown_steps": 10_000,
    "ema_decay": 0.9995,
    "eval_every": 1_000,
    "save_every": 500,
}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "train-ddpm": {
        "demo": {
            "unet": "demo",
            "steps": 2_000,
            "batch_size": 64,
            "warmup_steps": 100,
            "cooldown_steps": 500,
            "ema_decay": 0.995,
            "eval_every": 500,
            "save_every": 250,
        },
        "small": SMALL_TRAINING,
        "paper": {},
    },
    "generate": {
        "demo": {"count": 200, "sampler": "ddim", "steps": 20, "batch_size": 50},
        "small": {"count": 2_500, "sampler": "ddim", "steps": 50, "batch_size": 64},
        "paper": {},
    },
    "sweep": {
        "demo": {"ks": (110, 165, 245, 330, 495)},
        "small": {"ks": (55, 90, 110, 165, 200, 245, 330, 495)},
        "paper": {},
    },
    "compare": {
        "demo": {
            "real": "sample:real[0:100]",
            "generated": "sample:generated[0:100]",
            "test_real": "sample:real[100:200]",
            "test_generated": "sample:generated[100:200]",
            "methods": (
                *("sedid-stat", "sedid-nn-pair", "sedid-multi-lr ks=165", "loss", "secmi-stat"),
                *("pia", "pian", "dire-stat", "did-step"),
            ),
        },
        "paper": {},
    },
    "robustness": {
        "demo": {"count": 50, "perturbations": ("jpeg", "resize:0.5", "blur:1", "noise:5", "crop:0.8", "flip")},
        "small": {"count": 200},
        "paper": {},
    },
    "choose": {
        "demo": {
            "real": "sample:real[0:100]",
            "generated": "sample:generated[0:100]",
            "test_real": "sample:real[100:200]",
            "test_generated": "sample:generated[100:200]",
            "ks": (165, 330, 495),
            "resamples": 200,
        },
        "small": {"ks": (110, 165, 245, 330, 495)},
        "paper": {},
    },
    "polarity": {
        "demo": {"real": "sample:real[0:100]", "generated": "sample:generated[0:100]", "noise_images": 2},
        "paper": {},
    },
    "loop": {
        "demo": {
            "unet": "demo",
            "steps": 400,
            "batch_size": 32,
            "warmup_steps": 50,
            "cooldown_steps": 150,
            "ema_decay": 0.99,
            "eval_every": 100,
            "save_every": 50,
            "log_every": 5,
            "validation": 40,
            "calibration": 60,
            "classifier": 80,
            "test": 60,
            "sampler": "ddim",
            "sampler_steps": 20,
            "sampler_batch": 50,
            "epochs": 4,
            "classifier_rate": 0.01,
        },
        "small": {
            "data": "cifar10",
            **SMALL_TRAINING,
            "validation": 500,
            "calibration": 500,
            "classifier": 1_000,
            "test": 1_000,
            "sampler": "ddim",
            "sampler_steps": 50,
            "epochs": 10,
            "classifier_rate": 0.01,
        },
        "paper": {"data": "cifar10"},
    },
}
"""Command -> preset -> settings that differ from the dataclass's defaults."""


def resolve_loop(
    name: str, preset: str = "", file: Path | None = None, settings: Iterable[str] = ()
) -> tuple[Callable[[Any], Any], Any]:
    """The loop of a command and its resolved settings.

    Args:
        name: "train-ddpm" for instance; the loop is the function `train_ddpm` of `sedid.loops.train_ddpm`.
        preset, file, settings: as `load_config`.

    Raises:
        ValueError, FileNotFoundError: as `load_config`, or there is no such preset.
    """
    offered = PRESETS.get(name, {})
    if preset and not offered:
        raise ValueError(f"{name} has no presets")
    chosen = offered[known(preset, offered, "--preset")] if preset else {}
    stem = name.replace("-", "_")
    loop = getattr(import_module(f"sedid.loops.{stem}"), stem)
    return loop, load_config(get_type_hints(loop)["config"], chosen, file, settings)
