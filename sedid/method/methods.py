"""Every step-error detector behind one protocol, sharing network evaluations through a `Ledger`.

A method is a function of the ledger of a batch and its parameters. It gives a statistic (B,), a feature vector (B, D)
or a classifier's input (B, C, H, W); its *head* makes an oriented score of that (see `studies.heads`): a threshold, a
distance from the middle of the reals, a logistic regression, gradient boosting, or a ResNet-18.

Notation as in `diffusion`; R_{k,T}(x) is the image reconstructed by the deterministic path 0, k, ..., T, ..., k, 0.
Images are on the [-1, 1] scale unless a docstring says otherwise. For every statistic the source expects generated
images (or, where it is about membership, members) to have the smaller values; a comparison fits the polarity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import pi, sqrt
from typing import TYPE_CHECKING, Any

from sedid.config import known
from sedid.later import torch
from sedid.method.diffusion import (
    Path,
    Schedule,
    Steps,
    ddim_step,
    nn_input,
    read_steps,
    reverse_path,
    t_error,
    whole_path,
)
from sedid.method.ledger import Ledger, reconstruction_path, rehearsal

if TYPE_CHECKING:
    from torch import Tensor

SEDID = "Ma et al. 2023, arXiv 2307.06272"
MATSUMOTO = "Matsumoto et al. 2023, arXiv 2302.03262"
SECMI = "Duan et al. 2023, arXiv 2302.01316"
PIA = "Kong et al. 2023, arXiv 2305.18355"
DIRE = "Wang et al. 2023, arXiv 2303.09295"
AEROBLADE = "after AEROBLADE (Ricker et al. 2024, arXiv 2401.17879)"
DID = "Qi et al. 2026, arXiv 2602.23732"

THRESHOLD, LOGISTIC, BOOSTING, RESNET = "threshold", "logistic regression", "gradient boosting", "ResNet-18"
TWO_SIDED = "both sides of the reals"
HEADS = (THRESHOLD, TWO_SIDED, LOGISTIC, BOOSTING, RESNET)


def stat(ledger: Ledger, k: Steps, t_sec: int) -> Tensor:
    """E_{T_SEC,k} (B,), the t-error of `diffusion.t_error`: SeDID_Stat, and SecMI_Stat at its own parameters."""
    return t_error(ledger.schedule, *ledger.step(k, t_sec)).score


def intermediates(ledger: Ledger, k: Steps, t_sec: int, mode: str) -> Tensor:
    """The classifier's input of SeDID_NNs, (B, 3, 6 or 9, H, W): `diffusion.nn_input`."""
    return nn_input(ledger.schedule, *ledger.step(k, t_sec), mode)


def absolute_step_error(ledger: Ledger, k: Steps, t_sec: int) -> Tensor:
    """|psi(x~_{T_SEC}) - x~_{T_SEC-k}|, (B, 3, H, W): the classifier's input of SecMI_NNs (Duan et al. 2023)."""
    near, far = ledger.step(k, t_sec)
    return (ddim_step(ledger.schedule, far.x, far.eps, far.t, near.t) - near.x).abs()


def pixels(ledger: Ledger) -> Tensor:
    """The plain image, (B, 3, H, W): a classifier on it shows what the step error adds, for no network evaluation."""
    return ledger.x_0


def training_loss(ledger: Ledger, t: int, noises: int) -> Tensor:
    """The mean over `noises` draws of `diffusion.training_loss`, || eps - eps_theta(q(x_0, t, eps), t) ||^2, (B,).

    Raises:
        ValueError: t outside the schedule, or no noise.
    """
    if noises < 1:
        raise ValueError(f"the training loss needs at least 1 noise an image, not {noises}")
    total = torch.zeros(len(ledger.x_0), dtype=ledger.x_0.dtype, device=ledger.x_0.device)
    for draw in range(noises):
        eps = ledger.noise(draw)
        target = ledger.schedule.target(ledger.x_0, eps)
        total += (ledger.noised(t, eps, ("draw", draw)).eps - target).square().sum(dim=(1, 2, 3))
    return total / noises


def estimate_size(ledger: Ledger) -> Tensor:
    """How much noise the network finds in the image itself, sqrt(mean(eps_theta(x_0, 0)^2)), (B,); 1 is that of standard normal noise.

    Every walk begins with this estimate, and a longer first step carries more of it on.
    """
    first = ledger.point((0,))
    size: Tensor = ledger.schedule.noise_of(first.eps, first.x, 0).square().mean(dim=(1, 2, 3)).sqrt()
    return size


def proximal(ledger: Ledger, t: int, p: int, normalised: bool) -> Tensor:
    r"""PIA and PIAN (Kong et al. 2023), (B,): how far the network stays from its own word about the image.

        e   = eps_theta(x_0, 0)
        R   = || e - eps_theta(sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) e, t) ||_p

    PIAN puts in place of e the vector in its direction whose L1 norm is what standard normal noise has on average:

        e^  = N e / ||e||_1 * sqrt(2 / pi),     N = C H W,     E|z| = sqrt(2 / pi) for z ~ N(0, 1)

    (Transcriptions of the paper have sqrt(pi / 2) there, which is the mean of no normal noise; this follows the mean.)

    Raises:
        ValueError: t outside the schedule, or p below 1.
    """
    if p < 1:
        raise ValueError(f"p must be at least 1, not {p}")
    first = ledger.point((0,))
    eps = ledger.schedule.noise_of(first.eps, first.x, 0)
    if normalised:
        # where the network predicts no noise at all there is no direction to keep
        mean = eps.abs().mean(dim=(1, 2, 3), keepdim=True).clamp(min=torch.finfo(eps.dtype).tiny)
        eps = eps / mean * sqrt(2 / pi)
    point = ledger.noised(t, eps, ("proximal", normalised))
    said = ledger.schedule.noise_of(point.eps, point.x, t)
    apart: Tensor = torch.linalg.vector_norm(eps - said, ord=p, dim=(1, 2, 3))
    return apart


def round_trip(ledger: Ledger, k: Steps) -> Path:
    """The whole trajectory at this k, and back to the image."""
    return reconstruction_path(ledger.schedule, k, whole_path(ledger.schedule, k)[-1])


def reconstruction_map(ledger: Ledger, k: Steps) -> Tensor:
    """DIRE (Wang et al. 2023): |x_0 - R_{k,T}(x_0)| over the whole trajectory, (B, 3, H, W).

    What is not as in the published code is in DIRE_DIFFERS.
    """
    return (ledger.x_0 - ledger.image(round_trip(ledger, k))).abs()


def second_order_map(ledger: Ledger, k: Steps) -> Tensor:
    """Difference in difference (Qi et al. 2026), (B, 3, H, W): reconstruct twice, compare the two errors.

        | |x_0 - R(x_0)| - |R(x_0) - R(R(x_0))| |

    with R over the whole trajectory. What the reconstruction costs any image cancels; what sets x_0 apart from images
    the model makes stays.
    """
    path = round_trip(ledger, k)
    once, twice = ledger.image(path), ledger.image((*path, *path[1:]))
    return ((ledger.x_0 - once).abs() - (once - twice).abs()).abs()


def second_order_step_map(ledger: Ledger, k: Steps, t_sec: int) -> Tensor:
    """The same difference for one step of the trajectory instead of the whole of it, (B, 3, H, W). Our own variant.

        | |x~_t - r| - |r - r'| |,   t = T_SEC - k,   r = psi(phi(x~_t)),   r' = psi(phi(r))

    |x~_t - r| is SeDID's error; its second order costs two more network evaluations.
    """
    path = reverse_path(ledger.schedule, k, t_sec)
    t = path[-2]
    x, once, twice = ledger.image(path[:-1]), ledger.image((*path, t)), ledger.image((*path, t, t_sec, t))
    return ((x - once).abs() - (once - twice).abs()).abs()


def vae_distance(ledger: Ledger) -> Tensor:
    """How far a picture lies from what a latent model's VAE can draw, (B,): mean |x - D(E(x))| on the [0, 1] scale.

    E is the mean of the posterior. After AEROBLADE (Ricker et al. 2024); what differs is in AEROBLADE_DIFFERS.
    """
    pictures, again = ledger.reconstructed()
    return (pictures - again).abs().mean(dim=(1, 2, 3)) / 2


def turned_and_blurred(x: Tensor) -> Tensor:
    """A copy of images (B, C, H, W) by a quarter turn and the binomial low-pass (1, 2, 1) / 4 along rows and columns.

    Edges are repeated, so that every channel keeps its mean. What the pictures show stays as hard for the network as it was,
    but for the direction it lies in; their finest detail, where traces of how they were made are, is gone.
    """
    taps = torch.tensor((0.25, 0.5, 0.25), dtype=x.dtype, device=x.device)
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3)
    padded = torch.nn.functional.pad(x.rot90(dims=(2, 3)), (1, 1, 1, 1), mode="replicate")
    return torch.nn.functional.conv2d(padded, kernel, groups=x.shape[1])


def debiased(ledger: Ledger, k: Steps, t_sec: int) -> Tensor:
    """The t-error divided by that of the turned and blurred copy of the same image, (B,): 2 (N + 1) evaluations.

        E_{T_SEC,k}(x_0) / E_{T_SEC,k}(B R x_0),    R a quarter turn, B a low-pass (`turned_and_blurred`)

    How hard a picture's content is for the model is in both and cancels. The idea is that of RDD (CVPR 2026), which does so
    with the error of a whole reconstruction; formula, turn and low-pass are our own.
    """
    own, copy = stat(ledger, k, t_sec), stat(ledger.of(turned_and_blurred), k, t_sec)
    return own / copy.clamp(min=torch.finfo(copy.dtype).tiny)


def mean_of(a_map: Callable[..., Tensor], ledger: Ledger, **parameters: Any) -> Tensor:
    """A map of differences as a statistic, (B,): its mean over channels and pixels, on the [0, 1] image scale."""
    return a_map(ledger, **parameters).mean(dim=(1, 2, 3)) / 2


def log_errors(ledger: Ledger, ks: Sequence[int]) -> Tensor:
    """The logarithm of E_{T_SEC,k} at every T_SEC of every k, (B, D): k by k, T_SEC ascending.

    As many network evaluations as the last T_SEC of each k alone, and the first is common to all.

    Raises:
        ValueError: no k, or one outside the schedule.
    """
    if not ks:
        raise ValueError("ks must name at least one step size")
    paths = {k: whole_path(ledger.schedule, k) for k in ks}
    errors = [stat(ledger, k, t_sec) for k in ks for t_sec in paths[k][1:]]
    stacked = torch.stack(errors, dim=1)
    return stacked.clamp(min=torch.finfo(stacked.dtype).tiny).log()


@dataclass(frozen=True)
class Method:
    """One detector, before anything about it was fitted.

    Attributes:
        name: what it is asked for by; with changed parameters, they are part of it ("pia t=300").
        title: what a table calls it.
        source: where it comes from.
        head: one of HEADS.
        measurement: (ledger, **parameters) -> what the head turns into a score.
        parameters: of the measurement; ints, a tuple of ints where `ks` lists step sizes, and `k` may be a path.
        origins: where parameters come from: "name", or what `defaulting` says; all others are the method's own.
        differs: what is not as in the published code, as a sentence; "" where nothing is.
    """

    name: str
    title: str
    source: str
    head: str
    measurement: Callable[..., Tensor]
    parameters: Mapping[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict)
    differs: str = ""

    def measure(self, ledger: Ledger) -> Tensor:
        """(B,) for a threshold or a distance, (B, D) for a regression or trees, (B, C, H, W) for the ResNet."""
        return self.measurement(ledger, **self.parameters)

    def cost(self, schedule: Schedule) -> int:
        """Network evaluations an image when it runs alone.

        Raises:
            ValueError: a parameter does not fit the schedule.
        """
        return costs([self], schedule)[0]

    def defaulting(self, origin: str, **defaults: Any) -> Method:
        """The method with other defaults, which come from `origin`, for its parameters that the name does not set."""
        changed = {name: value for name, value in defaults.items() if name in self.parameters}
        changed = {name: value for name, value in changed.items() if self.origins.get(name) != "name"}
        origins = {**self.origins, **dict.fromkeys(changed, origin)}
        return replace(self, parameters={**self.parameters, **changed}, origins=origins)


def costs(methods: Sequence[Method], schedule: Schedule) -> list[int]:
    """Network evaluations an image that each method adds to those of the methods before it; their sum is the union's.

    Raises:
        ValueError: a parameter does not fit the schedule; the text names the method.
    """
    ledger, found = rehearsal(schedule), []
    for method in methods:
        before = ledger.evaluations
        try:
            method.measure(ledger)
        except ValueError as error:
            raise ValueError(f"{method.name}: {error}") from error
        found.append(ledger.evaluations - before)
    return found


def _sedid_nn(mode: str) -> Method:
    measurement = partial(intermediates, mode=mode)
    return Method(f"sedid-nn-{mode}", f"SeDID_NNs, {mode}", SEDID, RESNET, measurement, STEP)


def _dire(name: str, title: str, head: str, measurement: Callable[..., Tensor]) -> Method:
    return Method(name, title, DIRE, head, measurement, {"k": 165}, differs=DIRE_DIFFERS)


DIRE_DIFFERS = (
    "DIRE is not as published: it takes the steps of k (6 at k = 165), not 20; it goes from alpha_bar at t = 0 to the last "
    "multiple of k (990), not from alpha_bar 1 to 0; nothing is clipped on the way; the map is not rounded to 8 bits; and "
    "its classifier is a ResNet-18 at the images' own size, not a ResNet-50 at 256 pixels."
)
AEROBLADE_DIFFERS = (
    "The distance to the VAE's reconstruction is not AEROBLADE's: it is the mean absolute difference of pixels, not LPIPS, "
    "whose weights are another network's; and of one VAE, the detector's own, not the smallest over several."
)
STEP = {"k": 165, "t_sec": 495}
SECMI_STEP = {"k": 10, "t_sec": 100}
PROXIMAL = {"t": 200, "p": 4}
KS = {"ks": (110, 165, 330)}

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("sedid-stat", "SeDID_Stat", SEDID, THRESHOLD, stat, STEP),
        _sedid_nn("pair"),
        _sedid_nn("error"),
        _sedid_nn("both"),
        Method("pixels-nn", "ResNet on the pixels", "own baseline", RESNET, pixels, {}),
        Method("sedid-multi-lr", "SeDID-Multi, logistic regression", "own extension", LOGISTIC, log_errors, KS),
        Method("sedid-multi-gb", "SeDID-Multi, gradient boosting", "own extension", BOOSTING, log_errors, KS),
        Method("loss", "Training loss", MATSUMOTO, THRESHOLD, training_loss, {"t": 100, "noises": 1}),
        Method("noise-size", "Size of the first noise estimate", "own baseline", THRESHOLD, estimate_size, {}),
        Method("secmi-stat", "SecMI_Stat", SECMI, THRESHOLD, stat, SECMI_STEP),
        Method("secmi-nn", "SecMI_NNs", SECMI, RESNET, absolute_step_error, SECMI_STEP),
        Method("pia", "PIA", PIA, THRESHOLD, partial(proximal, normalised=False), PROXIMAL),
        Method("pian", "PIAN", PIA, THRESHOLD, partial(proximal, normalised=True), PROXIMAL),
        _dire("dire-stat", "DIRE, mean of the map", THRESHOLD, partial(mean_of, reconstruction_map)),
        _dire("dire-nn", "DIRE, ResNet on the map", RESNET, reconstruction_map),
        Method("did", "DID, mean of the map", DID, THRESHOLD, partial(mean_of, second_order_map), {"k": 165}),
        Method("did-nn", "DID, ResNet on the map", DID, RESNET, second_order_map, {"k": 165}),
        Method("debiased", "Debiased t-error", "own variant, after RDD (CVPR 2026)", THRESHOLD, debiased, STEP),
        Method("sedid-odd", "SeDID_Stat, too small or too large", "own extension", TWO_SIDED, stat, STEP),
        Method("did-step", "DID of one step", "own variant", THRESHOLD, partial(mean_of, second_order_step_map), STEP),
    )
}
"""The methods by name, with their defaults: SecMI's step and PIA's norm are their papers', the rest this project's."""
OF_LATENTS: dict[str, Method] = {
    "vae-distance": Method(
        *("vae-distance", "VAE reconstruction distance", AEROBLADE, THRESHOLD, vae_distance, {}),
        differs=AEROBLADE_DIFFERS,
    )
}
"""Methods that ask for a VAE, so only a latent detector has them."""


def differences(names: Iterable[str]) -> str:
    """What is not as in the published code of the methods with these names, in sentences, each once."""
    every = METHODS | OF_LATENTS
    known = (every[name.split()[0]] for name in names if name.split()[:1] and name.split()[0] in every)
    return " ".join(dict.fromkeys(method.differs for method in known if method.differs))


def method_of(text: str) -> Method:
    """A method by its name, with parameters after it if they are to differ: "sedid-stat k=110 t_sec=440".

    A list of step sizes is joined by "+", "sedid-multi-lr ks=110+165", and so is a path in the place of k:
    "sedid-stat k=0+495+825+990 t_sec=990".

    Raises:
        ValueError: unknown method or parameter (the text names those accepted), or a value of another type.
    """
    name, *settings = text.split() or [""]
    every = METHODS | OF_LATENTS
    if name not in every:
        raise ValueError(f"unknown method {name!r}; accepted: {', '.join(every)}")
    method, changed = every[name], {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"after the name of a method come parameters key=value, not {setting!r}")
        known(key, method.parameters, name)
        default = method.parameters[key]
        several = isinstance(default, tuple) and key != "k"
        try:
            if key == "k" and "+" in value:
                changed[key] = read_steps(value)
            else:
                changed[key] = tuple(map(int, value.split("+"))) if several else int(value)
        except ValueError:
            wanted = "whole numbers joined by +" if several else "a whole number"
            raise ValueError(f"{key} of {name} must be {wanted}, not {value!r}") from None
    return replace(
        method,
        name=" ".join([name, *settings]),
        parameters={**method.parameters, **changed},
        origins=dict.fromkeys(changed, "name"),
    )
