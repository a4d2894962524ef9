"""The shipped network as PyTorch runs it, compiled by `torch.compile`, and converted to OpenVINO: evaluations a second. In a checkout

    pip install openvino
    python -m tests.helpers.runtimes --out tests/runtimes.json

Every way is asked in turn, round by round, and its fastest round counts, so that other work on the machine disturbs all alike. A
way that cannot be measured here, such as OpenVINO where it is not installed, says why. Nothing of the app uses this.
"""

import argparse
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sedid.detector.bundle import SHIPPED
from sedid.models.networks import Runtime, eps_model, load_unet
from sedid.storage import write_json

T = 495
ROUNDS = 7
Way = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """One way at one number of pictures.

    Attributes:
        way: what ran the network, and in which precision.
        pictures: at once.
        per_second: evaluations of one picture a second; None where it could not be measured.
        ratio: of the same to PyTorch's in float32.
        differs: root mean square of the difference from it, of predictions whose own is about 1.
        note: why it could not be measured.
    """

    way: str
    pictures: int
    per_second: float | None
    ratio: float | None
    differs: float | None
    note: str = ""


class AtT(nn.Module):
    """The network at one timestep, which is all a converter has to see."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor) -> Tensor:
        """The prediction (B, 3, H, W)."""
        said: Tensor = self.unet(x, torch.tensor(T)).sample
        return said


def of_torch(compiled: bool, bf16: bool) -> Callable[[Tensor], Way]:
    """The engine's own way."""
    runtime = Runtime.choose("cpu", "bf16" if bf16 else "fp32", compiled)
    asked = eps_model(runtime.place(load_unet(SHIPPED).eval()), runtime)
    return lambda x: lambda x: asked(x, T)


def of_openvino(bf16: bool) -> Callable[[Tensor], Way]:
    """Converted for a number of pictures."""
    openvino = import_module("openvino")  # asked for in no list of packages: this file alone can do with it

    def made(x: Tensor) -> Way:
        with torch.inference_mode():
            model = openvino.convert_model(AtT(load_unet(SHIPPED).eval()), example_input=x, input=[tuple(x.shape)])
        hints = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        ready = openvino.Core().compile_model(model, "CPU", hints)
        return lambda x: torch.from_numpy(ready(x.numpy())[0])

    return made


WAYS: dict[str, Callable[[], Callable[[Tensor], Way]]] = {
    "PyTorch, fp32": lambda: of_torch(False, False),
    "PyTorch, bf16": lambda: of_torch(False, True),
    "torch.compile, fp32": lambda: of_torch(True, False),
    "torch.compile, bf16": lambda: of_torch(True, True),
    "OpenVINO, fp32": lambda: of_openvino(False),
    "OpenVINO, bf16": lambda: of_openvino(True),
}


def seconds(way: Way, x: Tensor) -> float:
    """Of one evaluation."""
    began = time.perf_counter()
    way(x)
    return time.perf_counter() - began


def rows(made: dict[str, Callable[[Tensor], Way]], missing: dict[str, str], pictures: int) -> list[Row]:
    """All ways at a number of pictures."""
    x = torch.randn(pictures, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ways: dict[str, Way] = {}
    missing = dict(missing)
    for name, make in made.items():
        try:
            ways[name] = make(x)
            ways[name](x)
        except Exception as error:  # a converter raises whatever it likes
            ways.pop(name, None)
            missing[name] = str(error).partition("\n")[0][:200]
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            best[name] = min(best[name], seconds(way, x))
    plain = next(iter(WAYS))
    right = ways[plain](x)
    found = []
    for name in WAYS:
        if name in missing:
            found.append(Row(name, pictures, None, None, None, missing[name]))
            continue
        differs = float((ways[name](x) - right).square().mean().sqrt())
        found.append(
            Row(name, pictures, round(pictures / best[name], 2), round(best[plain] / best[name], 3), round(differs, 6))
        )
    return found


def measure(sizes: tuple[int, ...]) -> dict[str, Any]:
    """What is committed of it."""
    made: dict[str, Callable[[Tensor], Way]] = {}
    missing: dict[str, str] = {}
    for name, make in WAYS.items():
        try:
            made[name] = make()
        except ImportError as error:
            missing[name] = str(error)
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    machine |= {"torch": version("torch")} | ({} if missing else {"openvino": version("openvino")})
    return {"machine": machine, "rows": [asdict(row) for size in sizes for row in rows(made, missing, size)]}


def main() -> None:
    """Measure, and write what was found."""
    asked = argparse.ArgumentParser(prog="python -m tests.helpers.runtimes", description=main.__doc__)
    asked.add_argument("--out", type=Path, required=True)
    asked.add_argument("--pictures", type=int, nargs="+", default=(1, 8, 32), help="at once")
    given = asked.parse_args()
    warnings.simplefilter("ignore")  # of what a converter makes of Python's values
    write_json(given.out, measure(tuple(given.pictures)))


if __name__ == "__main__":
    main()
