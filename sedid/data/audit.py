"""Leak audit: can a probe tell the classes apart without looking at what makes an image generated?

A detector trained on reals that passed through JPEG and on generated images that did not learns the file format. The
probe here sees only trivial features, in groups; a group that separates the classes by itself is reported. *Format*
groups hold traces of how the pixels were stored and must not separate. *High-pass* groups hold the finest noise and
sharpness, which storing, resizing and denoising change, and which samplers leave in other amounts than cameras.
*Content* groups hold level statistics, which may differ honestly when a generator has not learned them yet. Each kind
is reported in its own words.

The probe finds what its groups measure and nothing else: no warning is no proof that there is no trace. It cannot see
which way round images were mirrored (photographs have no left and right on the whole), a random pattern in the lowest
bits, or anything that is in a few images of a class only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sedid.data.sources import FileFacts

VERSION = 2
"""Of the groups; 1 (results without a number) had neither the high-pass group nor parity and orientation."""

CONTENT, FORMAT, HIGH_PASS, EVERYTHING = "content statistics", "format traces", "high-pass traces", "everything"
# A group is flagged if its AUC minus three standard errors exceeds this. True format traces come close to 1; an
# undertrained generator with no trace at all was seen to reach 0.61 through its content.
FLAG_ABOVE = {CONTENT: 0.6, FORMAT: 0.65, HIGH_PASS: 0.65, EVERYTHING: 0.65}
AT_LEAST, AT_MOST = 20, 5_000  # images a class: fewer prove nothing, more add nothing
FOLDS = 5


@dataclass(frozen=True)
class Probe:
    """How well one group of features separates the classes, cross-validated."""

    group: str
    kind: str  # CONTENT, FORMAT, HIGH_PASS or, for all groups together, EVERYTHING
    auc: float  # of out-of-fold scores; about 0.5 where there is nothing to find, below it by chance only
    standard_error: float  # Hanley and McNeil 1982

    @property
    def flagged(self) -> bool:
        """The separation is beyond chance, by the rule at FLAG_ABOVE."""
        return self.auc - 3 * self.standard_error > FLAG_ABOVE[self.kind]


@dataclass(frozen=True)
class Audit:
    """The verdict of the leak audit; `warning` is a text for the user, empty where nothing was found."""

    groups: tuple[Probe, ...]
    overall: Probe  # all groups together
    real: int  # images looked at
    generated: int
    warning: str
    version: int = VERSION


def audit(
    real: np.ndarray,
    generated: np.ndarray,
    seed: int = 0,
    files: tuple[Sequence[FileFacts], Sequence[FileFacts]] | None = None,
) -> Audit:
    """Probe two sets of images for differences that have nothing to do with generation.

    Args:
        real, generated: uint8 (N, H, W, 3) of one size, at least 16x16, as the detector sees them. At most AT_MOST of
            each are used, drawn with the seed.
        seed: of that draw and of the folds.
        files: facts about the file of every real and every generated image, where they are files.

    Raises:
        ValueError: arrays of another type or of different sizes, fewer than AT_LEAST images of a class, or not one
            FileFacts an image.
    """
    for name, images in (("real", real), ("generated", generated)):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or min(images.shape[1:3]) < 16:
            raise ValueError(
                f"the {name} images must be uint8 (N, H, W, 3) of at least 16x16, got {images.dtype} {images.shape}"
            )
        if len(images) < AT_LEAST:
            raise ValueError(f"the leak audit needs at least {AT_LEAST} images of each class, got {len(images)} {name}")
    if real.shape[1:] != generated.shape[1:]:
        raise ValueError(
            f"real images are {real.shape[1:3]}, generated ones {generated.shape[1:3]}: pass both through prepare"
        )
    if files and (len(files[0]), len(files[1])) != (len(real), len(generated)):
        raise ValueError(f"{len(files[0])} and {len(files[1])} file facts for {len(real)} and {len(generated)} images")
    rng = np.random.default_rng(seed)
    chosen = [np.sort(rng.permutation(len(images))[:AT_MOST]) for images in (real, generated)]
    images = np.concatenate([real[chosen[0]], generated[chosen[1]]])
    labels = np.repeat([0, 1], [len(index) for index in chosen])
    groups = {
        ("brightness and contrast", CONTENT): level_features(images),
        ("saturated pixels", CONTENT): saturation_features(images),
        ("orientation", CONTENT): orientation_features(images),
        ("finest detail", HIGH_PASS): detail_features(images),
        ("neighbouring parity", FORMAT): parity_features(images),
        ("border", FORMAT): border_features(images),
        ("level histogram", FORMAT): histogram_features(images),
        ("JPEG blocks", FORMAT): block_features(images),
    }
    if files:
        groups["file type and size", FORMAT] = file_features(
            [part[i] for part, index in zip(files, chosen, strict=True) for i in index]
        )
    inputs = {(group, kind): _scaled(features, squares=kind == CONTENT) for (group, kind), features in groups.items()}
    probes = tuple(_probe(*name, features, labels, seed) for name, features in inputs.items())
    overall = _probe("all groups", EVERYTHING, np.hstack(list(inputs.values())), labels, seed)
    return Audit(probes, overall, len(chosen[0]), len(chosen[1]), _warning(probes))


def level_features(images: np.ndarray) -> np.ndarray:
    """Mean and spread of the gray levels and of every channel, (N, 8)."""
    channels = images.reshape(len(images), -1, 3).astype(np.float32)
    gray = channels.mean(2)
    return np.concatenate(
        [gray.mean(1, keepdims=True), gray.std(1, keepdims=True), channels.mean(1), channels.std(1)], axis=1
    )


def saturation_features(images: np.ndarray) -> np.ndarray:
    """Shares of the two lowest and two highest levels and their ratios, (N, 6), square roots.

    Truncating instead of rounding empties level 255. It is content all the same: a flatter generator does so, too.
    """
    flat = images.reshape(len(images), -1)
    lowest, low, high, highest = (np.mean(flat == level, axis=1) for level in (0, 1, 254, 255))
    tops, bottoms = highest / (high + highest + 1e-9), lowest / (low + lowest + 1e-9)
    roots: np.ndarray = np.sqrt(np.stack([lowest, low, high, highest, tops, bottoms], axis=1))
    return roots


def orientation_features(images: np.ndarray) -> np.ndarray:
    """Upper against lower half and left against right one, in brightness and detail, and detail along either axis, (N, 5).

    Skies are above and bright. Turned images differ here; mirrored ones do not.
    """
    y = _luma_and_chromas(images)[0]
    middle = (y.shape[1] // 2, y.shape[2] // 2)
    down, across = np.abs(np.diff(y, axis=1)), np.abs(np.diff(y, axis=2))
    return np.stack(
        [
            _mean(y[:, : middle[0]]) - _mean(y[:, middle[0] :]),
            _mean(y[:, :, : middle[1]]) - _mean(y[:, :, middle[1] :]),
            _log_ratio(_mean(across[:, : middle[0]]), _mean(across[:, middle[0] :])),
            _log_ratio(_mean(down[:, :, : middle[1]]), _mean(down[:, :, middle[1] :])),
            _log_ratio(_mean(across), _mean(down)),
        ],
        axis=1,
    )


def detail_features(images: np.ndarray) -> np.ndarray:
    """The finest noise and sharpness, (N, 24).

    Of luma and both chromas: diagonal detail (the Haar wavelet's) on the whole, at the median and in the smoothest
    parts, in relation to the steps between neighbours; those steps in relation to steps over two pixels; and even
    steps against odd ones along either axis, which tells a plane that was kept at half size. Of the channels: the
    shares of neighbours that are equal, or one or two levels apart.
    """
    features = []
    for plane in _luma_and_chromas(images):
        diagonal = np.abs(plane[:, :-1, :-1] - plane[:, 1:, :-1] - plane[:, :-1, 1:] + plane[:, 1:, 1:]) / 2
        rows, columns = (length // 4 for length in diagonal.shape[1:])
        parts = diagonal[:, : 4 * rows, : 4 * columns].reshape(len(plane), rows, 4, columns, 4).mean(axis=(2, 4))
        steps = [np.abs(np.diff(plane, axis=axis)) for axis in (1, 2)]
        near = _mean(steps[0]) + _mean(steps[1])
        far = _mean(np.abs(plane[:, 2:] - plane[:, :-2])) + _mean(np.abs(plane[:, :, 2:] - plane[:, :, :-2]))
        features += [
            np.log(_mean(diagonal) + 0.25),
            np.log(np.median(diagonal, axis=(1, 2)) + 0.25),
            np.log(np.quantile(parts.reshape(len(plane), -1), 0.1, axis=1) + 0.25),
            _log_ratio(2 * _mean(diagonal), near),
            _log_ratio(near, far),
            _log_ratio(_mean(steps[0][:, ::2]), _mean(steps[0][:, 1::2])),
            _log_ratio(_mean(steps[1][:, :, ::2]), _mean(steps[1][:, :, 1::2])),
        ]
    apart = np.abs(np.diff(images.astype(np.int16), axis=2))
    features += [np.sqrt(np.mean(apart <= levels, axis=(1, 2, 3))) for levels in (0, 1, 2)]
    return np.stack(features, axis=1)


def parity_features(images: np.ndarray) -> np.ndarray:
    """Whether the lowest bits of neighbours agree, and whether they follow rows, columns or a checkerboard, (N, 21).

    Neighbours are those below, beside, diagonally and in the next channel. The histogram cannot see where a level lies.
    """
    bits = (images & 1).astype(np.int8) * 2 - 1
    row, column = (np.where(np.arange(length) % 2, -1, 1).astype(np.int8) for length in images.shape[1:3])
    row, column = row[:, None, None], column[None, :, None]
    products = (
        bits[:, 1:] * bits[:, :-1],
        bits[:, :, 1:] * bits[:, :, :-1],
        bits[:, 1:, 1:] * bits[:, :-1, :-1],
        bits * np.roll(bits, 1, axis=3),
        bits * row,
        bits * column,
        bits * (row * column),
    )
    return np.concatenate([product.mean(axis=(1, 2)) for product in products], axis=1)


def border_features(images: np.ndarray) -> np.ndarray:
    """The outermost ring of pixels against the next ones and the whole image, (N, 4): frames and padding."""
    pixels = images.astype(np.float32)
    rings = [
        np.concatenate([ring[:, 0], ring[:, -1], ring[:, 1:-1, 0], ring[:, 1:-1, -1]], axis=1)
        for ring in (_inset(pixels, d) for d in range(3))
    ]
    spread = [ring.std(axis=1).mean(axis=1) for ring in rings]
    inside = pixels.reshape(len(pixels), -1, 3).std(axis=1).mean(axis=1)
    steps = [np.abs(_edge_step(pixels, d)) for d in (0, 1)]
    # The corner's own level all along the border: an image with a plain background has it inside as well.
    plain = np.mean(np.all(rings[0] == rings[0][:, :1], axis=2), axis=1) - np.mean(
        np.all(pixels == pixels[:, :1, :1], axis=3), axis=(1, 2)
    )
    return np.stack(
        [_log_ratio(spread[0], spread[1]), _log_ratio(spread[0], inside), _log_ratio(steps[0], steps[1]), plain], axis=1
    )


def histogram_features(images: np.ndarray) -> np.ndarray:
    """Parity of the levels and how each stands out from its neighbours, (N, 252): fewer bits, stretched contrast.

    A smooth histogram, whatever its shape, gives about zero (and parities of 1/2 and 1/4).
    """
    flat = images.reshape(len(images), -1)
    shares = np.stack([np.bincount(row, minlength=256) for row in flat])[:, 1:-1].astype(np.float64)  # saturation apart
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    even, fours = shares[:, 1::2].sum(axis=1), shares[:, 3::4].sum(axis=1)
    standing_out = shares[:, 3:-1] - (shares[:, 2:-2] + shares[:, 4:]) / 2
    return np.column_stack([even, fours, standing_out])


def block_features(images: np.ndarray) -> np.ndarray:
    """Traces of JPEG's 8x8 blocks in luma and the two chromas, (N, 9).

    Each compares the block grid with the grid half a block further, weighted so that both cover every part of the
    image alike; smooth and busy content cancel. Compared are the shares of vanishing DCT coefficients (quantisation
    makes them vanish on the grid only) and the steps across block edges.
    """
    from scipy.fft import dctn

    height, width = (length // 8 * 8 for length in images.shape[1:3])
    weights = np.outer(_overlaps(height // 8), _overlaps(width // 8))
    features = []
    for plane in _luma_and_chromas(images[:, :height, :width]):
        on, off = (np.abs(dctn(_blocks(plane, shift), axes=(3, 4), norm="ortho")) for shift in (0, 4))
        for bound in (0.75, 3.0):
            shares = np.mean(on < bound, axis=(3, 4)), np.mean(off < bound, axis=(3, 4))
            features.append((shares[0] * weights).sum(axis=(1, 2)) - shares[1].mean(axis=(1, 2)))
        steps = np.abs(np.diff(plane, axis=2)).mean(axis=1)
        features.append(_log_ratio(steps[:, 7::8].mean(axis=1), steps[:, 3::8] @ _overlaps(width // 8)))
    return np.stack(features, axis=1)


def file_features(files: Sequence[FileFacts]) -> np.ndarray:
    """File type (one column each), bytes, bytes a pixel and original size, (N, types + 4)."""
    kinds = sorted({facts.format for facts in files})
    columns = [[facts.format == kind for facts in files] for kind in kinds]
    columns += [
        [np.log(facts.bytes) for facts in files],
        [np.log(facts.bytes / (facts.width * facts.height)) for facts in files],
    ]
    columns += [[np.log(facts.width) for facts in files], [np.log(facts.height) for facts in files]]
    return np.array(columns, dtype=np.float64).T


def _luma_and_chromas(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Y, Cb and Cr without offset (ITU-R BT.601), float32 (N, H, W) each."""
    red, green, blue = np.moveaxis(images.astype(np.float32), 3, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma, 0.564 * (blue - luma), 0.713 * (red - luma)


def _mean(plane: np.ndarray) -> np.ndarray:
    """Of every image, (N,)."""
    means: np.ndarray = plane.mean(axis=(1, 2))
    return means


def _inset(pixels: np.ndarray, depth: int) -> np.ndarray:
    return pixels[:, depth : pixels.shape[1] - depth, depth : pixels.shape[2] - depth]


def _edge_step(pixels: np.ndarray, depth: int) -> np.ndarray:
    """Mean absolute step from ring `depth` to the next one inwards, (N,)."""
    area = _inset(pixels, depth)
    pairs = (
        area[:, 0] - area[:, 1],
        area[:, -1] - area[:, -2],
        area[:, :, 0] - area[:, :, 1],
        area[:, :, -1] - area[:, :, -2],
    )
    step: np.ndarray = np.mean([np.abs(pair).mean(axis=(1, 2)) for pair in pairs], axis=0)
    return step


def _log_ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.log((above + 0.5) / (below + 0.5))  # half a level, so that flat areas do not blow it up


def _overlaps(blocks: int) -> np.ndarray:
    """Weights of the blocks of one grid by how many of the shifted grid they overlap: 1, 2, ..., 2, 1 over the sum."""
    weights = np.r_[1.0, np.full(blocks - 2, 2.0), 1.0]
    shares: np.ndarray = weights / weights.sum()
    return shares


def _blocks(plane: np.ndarray, shift: int) -> np.ndarray:
    """(N, H, W) -> (N, rows, columns, 8, 8), the grid starting `shift` pixels in."""
    rows, columns = ((length - shift) // 8 for length in plane.shape[1:])
    cut = plane[:, shift : shift + 8 * rows, shift : shift + 8 * columns]
    return cut.reshape(len(plane), rows, 8, columns, 8).swapaxes(2, 3)


def _scaled(features: np.ndarray, squares: bool) -> np.ndarray:
    """Standardised and clipped, with the squares beside.

    Format features are signed contrasts with mean zero where there is no trace, and go without: their squares would
    measure how busy the images are. High-pass features are logarithms, and go without as well.
    """
    scaled = ((features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)).clip(-5, 5)
    return np.hstack([scaled, scaled**2]) if squares else scaled


def _probe(group: str, kind: str, features: np.ndarray, labels: np.ndarray, seed: int) -> Probe:
    """Cross-validated AUC of a logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(C=0.1, max_iter=1000, class_weight="balanced")
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    with threadpool_limits(1):  # problems this small lose a hundredfold when threads wait for each other
        scores = cross_val_predict(model, features, labels, cv=folds, method="decision_function")
    auc = float(roc_auc_score(labels, scores))
    ones, zeros = int(labels.sum()), int((1 - labels).sum())
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (ones - 1) * (one - auc**2) + (zeros - 1) * (two - auc**2)
    return Probe(group, kind, auc, float(np.sqrt(max(variance, 0) / (ones * zeros))))


def _warning(probes: Sequence[Probe]) -> str:
    meaning = {
        FORMAT: "A detector trained on these files would learn how they were stored; give both classes the same file type, size and cropping.",
        HIGH_PASS: "Either the sampler leaves more or less of the finest noise than photographs have, or one class was blurred, "
        "denoised, resized or compressed; a score on these files measures that too.",
        CONTENT: "Either the generator does not match the reals' levels yet, or one class was scaled, turned or rounded differently; "
        "a score on these files measures that too.",
    }
    sentences = []
    for kind, sentence in meaning.items():
        found = sorted(
            (probe for probe in probes if probe.flagged and probe.kind == kind), key=lambda probe: -probe.auc
        )
        if found:
            named = ", ".join(f"{probe.group} (AUC {probe.auc:.2f} ± {probe.standard_error:.2f})" for probe in found)
            sentences.append(f"{kind.capitalize()} alone tell real from generated: {named}. {sentence}")
    return " ".join(sentences)
