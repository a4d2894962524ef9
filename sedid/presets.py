"""Named settings of the loops: demo (minutes on two cores), small (hours), paper (the defaults: DESIGN of the paper)."""

from typing import Any

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
        "small": {
            "unet": "small",
            "steps": 50_000,
            "warmup_steps": 500,
            "cooldown_steps": 10_000,
            "ema_decay": 0.9995,
            "eval_every": 1_000,
            "save_every": 500,
        },
        "paper": {},
    },
    "generate": {
        "demo": {"count": 200, "sampler": "ddim", "steps": 20, "batch_size": 50},
        "small": {"count": 2_500, "sampler": "ddim", "steps": 50, "batch_size": 64},
        "paper": {},
    },
}
"""Command -> preset -> settings that differ from the dataclass's defaults."""
