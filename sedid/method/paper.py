"""The figures of the paper, to stand beside measured ones.

Source: Ma, Duan, Kong, Shi, Xu, "Exposing the Fake: Effective Diffusion-Generated Images Detection",
arXiv 2307.06272, Table 1 (SeDID_Stat, k = 165) and Table 2. Its accuracies are the best over thresholds on the
evaluated images, its AUC has the polarity "smaller means generated", and its reals are training images.
"""

SOURCE = "arXiv 2307.06272"
DATA_SETS = ("CIFAR-10", "Tiny-ImageNet", "CelebA")
K = 165

TABLE_1: dict[int, tuple[tuple[float, float], ...]] = {
    165: ((0.4954, 0.5089), (0.1278, 0.5000), (0.9985, 0.9843)),
    330: ((0.5415, 0.5279), (0.0606, 0.5000), (0.4213, 0.5103)),
    495: ((0.5695, 0.5579), (0.5125, 0.5240), (0.2240, 0.5001)),
    660: ((0.5667, 0.5845), (0.4971, 0.6059), (0.1866, 0.5489)),
    825: ((0.8650, 0.7992), (0.9827, 0.9615), (0.0001, 0.5000)),
    990: ((0.8875, 0.8244), (0.9998, 0.9966), (0.0000, 0.5000)),
}
"""T_SEC -> (AUC, best ACC) for each of DATA_SETS."""

TABLE_2: dict[str, tuple[tuple[float, float], ...]] = {
    "existing": ((0.5293, 0.5225), (0.5303, 0.5254), (1.0000, 1.0000)),
    "stat": ((0.8874, 0.8244), (0.9266, 0.9004), (0.9983, 0.9825)),
    "nn": ((0.8903, 0.8218), (0.9999, 0.9980), (1.0000, 1.0000)),
}
"""Method -> (AUC, best ACC) for each of DATA_SETS; "existing" is the training loss (Matsumoto et al. 2023)."""


SETUP = {"parameters": "35.7 M", "sampler": "ancestral, 1,000 steps", "images": "50,000"}
"""What the figures were measured with, in words."""
STEPS = ("800,000 of 128", "1,200,000 of 128", "1,200,000 of 128")
"""Training steps and images a step for each of DATA_SETS."""


def table_1(data_set: str, k: int | tuple[int, ...], t_sec: int) -> tuple[float, float] | None:
    """The paper's (AUC, best ACC) of STAT at a pair; None where it has none."""
    return TABLE_1[t_sec][DATA_SETS.index(data_set)] if k == K and t_sec in TABLE_1 else None


def closest(*names: str) -> str:
    """Which of DATA_SETS names of files or detectors speak of; CIFAR-10 if none."""
    words = " ".join(names).lower()
    return "CelebA" if "celeb" in words else "Tiny-ImageNet" if "imagenet" in words else "CIFAR-10"
