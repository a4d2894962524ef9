"""The leak audit: every planted trace is found and named, and honest data raises no alarm."""

from collections.abc import Callable
from dataclasses import asdict, replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from sedid.data.audit import CONTENT, FORMAT, HIGH_PASS, VERSION, Audit, Probe, audit
from sedid.data.sources import FileFacts
from sedid.report.markdown import leak_line
from sedid.training.checks import LeakCheck


def photographs(count: int, seed: int, contrast: float = 45) -> np.ndarray:
    """Float images (count, 32, 32, 3) with the falling spectrum of natural ones, some of them overexposed."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(32)[None])
    spectrum = np.fft.rfft2(rng.normal(size=(count, 3, 32, 32))) / (frequency + 0.02)
    gray = np.fft.irfft2(spectrum[:, :1] + 0.3 * spectrum)
    gray /= gray.std(axis=(1, 2, 3), keepdims=True)
    images = 128 + rng.normal(0, 40, (count, 1, 1, 1)) + contrast * rng.uniform(0.5, 1.5, (count, 1, 1, 1)) * gray
    return images.transpose(0, 2, 3, 1)


def rounded(images: np.ndarray) -> np.ndarray:
    return np.rint(images).clip(0, 255).astype(np.uint8)


def through_jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    out = []
    for image in images:
        buffer = BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        out.append(np.asarray(Image.open(buffer)))
    return np.stack(out)


REAL, OTHER = photographs(300, 1), photographs(300, 2)


def flagged(result: Audit, kind: str) -> set[str]:
    return {probe.group for probe in result.groups if probe.flagged and probe.kind == kind}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [20, 150])
def test_two_halves_of_one_set_raise_no_alarm(count: int, seed: int) -> None:
    images = rounded(photographs(2 * count, 10 + seed))
    result = audit(images[:count], images[count:], seed)
    assert result.warning == ""
    assert not result.overall.flagged
    assert (result.real, result.generated) == (count, count)


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("swap", [False, True])
def test_jpeg_against_lossless_is_flagged_whichever_class_it_is(quality: int, swap: bool) -> None:
    pair = through_jpeg(rounded(REAL), quality), rounded(OTHER)
    result = audit(*(pair[::-1] if swap else pair))
    assert "JPEG blocks" in flagged(result, FORMAT)
    assert "Format traces alone tell real from generated: JPEG blocks (AUC" in result.warning
    assert result.overall.flagged


def test_both_classes_through_jpeg_are_not() -> None:
    result = audit(through_jpeg(rounded(REAL), 75), through_jpeg(rounded(OTHER), 75))
    assert result.warning == ""


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("level", [0, 255])
def test_a_frame_is_flagged(width: int, level: int) -> None:
    framed = np.full((300, 32, 32, 3), level, np.uint8)
    framed[:, width:-width, width:-width] = rounded(OTHER)[:, width:-width, width:-width]
    result = audit(rounded(REAL), framed)
    assert "border" in flagged(result, FORMAT)
    assert "border" in result.warning


@pytest.mark.parametrize("fault", ["seven bits", "stretched contrast"])
def test_holes_in_the_histogram_are_flagged(fault: str) -> None:
    levels = rounded(OTHER)
    levels = levels // 2 * 2 if fault == "seven bits" else rounded((levels - 128.0) * 1.1 + 128)
    assert "level histogram" in flagged(audit(rounded(REAL), levels), FORMAT)


def test_truncating_instead_of_rounding_is_flagged_with_its_possible_reason() -> None:
    # Exposed to the limit, as many photographs are: rounding fills level 255, truncating all but empties it.
    real, generated = (images / images.max(axis=(1, 2, 3), keepdims=True) * 255 for images in (REAL, OTHER))
    assert audit(rounded(real), rounded(generated)).warning == ""
    result = audit(rounded(real), np.floor(generated.clip(0, 255) - 1e-9).clip(0).astype(np.uint8))
    assert "saturated pixels" in flagged(result, CONTENT)
    assert "rounded differently" in result.warning


def with_lowest_bits(images: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    return (images & 254) | pattern[None, :, :, None].astype(np.uint8)


PLACES = np.add.outer(np.arange(32), np.zeros(32, int)), np.add.outer(np.arange(32), np.arange(32))


@pytest.mark.parametrize("pattern", PLACES, ids=["rows", "checkerboard"])
def test_a_pattern_in_the_lowest_bits_is_format(pattern: np.ndarray) -> None:
    """Half of the levels are odd, as without it: the histogram sees nothing."""
    result = audit(rounded(REAL), with_lowest_bits(rounded(OTHER), pattern % 2))
    assert "neighbouring parity" in flagged(result, FORMAT)
    assert "level histogram" not in flagged(result, FORMAT)
    assert "Format traces alone tell real from generated: neighbouring parity (AUC 1.00" in result.warning


def halved_chroma(images: np.ndarray) -> np.ndarray:
    """Chroma kept at half size and enlarged again, without JPEG's blocks."""
    out = []
    for image in images:
        planes = [Image.fromarray(image).convert("YCbCr").getchannel(name) for name in ("Y", "Cb", "Cr")]
        small = [
            plane.resize((16, 16), Image.Resampling.BOX).resize((32, 32), Image.Resampling.BILINEAR)
            for plane in planes[1:]
        ]
        out.append(np.asarray(Image.merge("YCbCr", [planes[0], *small]).convert("RGB")))
    return np.stack(out)


def blurred(images: np.ndarray) -> np.ndarray:
    return rounded(gaussian_filter(images.astype(float), (0, 0.5, 0.5, 0)))


def noisy(deviation: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda images: rounded(images + np.random.default_rng(9).normal(0, deviation, images.shape))


def enlarged_and_back(images: np.ndarray) -> np.ndarray:
    sizes = ((64, 64), (32, 32))
    out = [Image.fromarray(image) for image in images]
    for size in sizes:
        out = [image.resize(size, Image.Resampling.BICUBIC) for image in out]
    return np.stack([np.asarray(image) for image in out])


@pytest.mark.parametrize(
    "change",
    [noisy(1), noisy(3), halved_chroma, blurred, enlarged_and_back],
    ids=["noise 1", "noise 3", "halved chroma", "blur", "64 px and back"],
)
def test_other_noise_or_sharpness_is_high_pass(change: Callable[[np.ndarray], np.ndarray]) -> None:
    real, generated = noisy(2)(REAL), noisy(2)(OTHER)  # a camera's, or rounding would be all the noise there is
    assert audit(real, generated).warning == ""
    result = audit(real, change(generated))
    assert flagged(result, HIGH_PASS) == {"finest detail"}
    assert "High-pass traces alone tell real from generated: finest detail (AUC" in result.warning
    assert "blurred, denoised, resized or compressed" in result.warning


def test_turned_images_are_content() -> None:
    sky = np.linspace(30, -30, 32)[None, :, None, None]  # brighter above
    real, generated = rounded(REAL + sky), rounded(OTHER + sky)
    assert audit(real, generated).warning == ""
    for turned in (np.rot90(generated, 1, (1, 2)), np.rot90(generated, 2, (1, 2))):
        result = audit(real, turned)
        assert flagged(result, CONTENT) == {"orientation"}
        assert "turned" in result.warning
    assert audit(real, generated[:, :, ::-1]).warning == ""  # photographs have no left and right on the whole


def test_an_audit_says_which_it_is() -> None:
    result = audit(rounded(REAL), rounded(OTHER))
    assert result.version == VERSION == 2
    found = LeakCheck(**asdict(result) | {"groups": result.groups})
    assert leak_line(found) == (
        "Leak audit: none of the 8 groups of trivial features that it looks at tells the classes apart; a trace of another "
        "kind may remain."
    )
    older = "an earlier version of the audit, without fine noise, neighbouring parity and orientation"
    assert older in leak_line(replace(found, version=1))
    assert older in leak_line(replace(found, version=1, warning="Format traces alone ..."))


def test_a_flatter_generator_is_content_and_not_format() -> None:
    result = audit(rounded(REAL), rounded(photographs(300, 3, contrast=20)))
    assert "brightness and contrast" in flagged(result, CONTENT)
    assert flagged(result, FORMAT) == set()
    assert "Content statistics alone" in result.warning
    assert "Format traces" not in result.warning


def facts(count: int, seed: int, kind: str = "PNG", scale: float = 1) -> list[FileFacts]:
    return [
        FileFacts(kind, int(scale * length), 32, 32)
        for length in np.random.default_rng(seed).integers(2000, 3000, count)
    ]


def test_files_give_the_class_away() -> None:
    images = rounded(REAL), rounded(OTHER)
    same = audit(*images, files=(facts(300, 1), facts(300, 2)))
    assert same.warning == ""
    assert len(same.groups) == len(audit(*images).groups) + 1
    for other in (facts(300, 2, kind="JPEG"), facts(300, 2, scale=1.5)):
        assert "file type and size" in flagged(audit(*images, files=(facts(300, 1), other)), FORMAT)


def test_the_same_seed_gives_the_same_audit() -> None:
    images = rounded(REAL), rounded(OTHER)
    assert audit(*images, seed=5) == audit(*images, seed=5)
    assert audit(*images, seed=5) != audit(*images, seed=6)


def test_large_sets_are_sampled_and_files_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sedid.data.audit.AT_MOST", 40)
    result = audit(rounded(REAL), rounded(OTHER), files=(facts(300, 1), facts(300, 2, kind="JPEG")))
    assert (result.real, result.generated) == (40, 40)
    assert flagged(result, FORMAT) == {"file type and size"}


def test_unequal_classes_and_sizes_other_than_32() -> None:
    images = rounded(np.tile(REAL, (1, 2, 2, 1)))[:, :50, :44]
    assert audit(images[:200], images[200:240]).warning == ""


def test_the_rule_of_flagging() -> None:
    assert not Probe("g", FORMAT, 0.67, 0.01).flagged
    assert Probe("g", FORMAT, 0.69, 0.01).flagged
    assert not Probe("g", CONTENT, 0.75, 0.06).flagged
    assert Probe("g", CONTENT, 0.67, 0.01).flagged


def test_input_that_does_not_fit() -> None:
    images = rounded(REAL)
    cases = {
        "at least 20 images": (images, images[:19]),
        "must be uint8": (images / 255, images),
        "at least 16x16": (images[:, :8, :8], images[:, :8, :8]),
        "pass both through prepare": (images, images[:, :16, :16]),
    }
    for message, pair in cases.items():
        with pytest.raises(ValueError, match=message):
            audit(*pair)
    with pytest.raises(ValueError, match="1 and 300 file facts"):
        audit(images, images, files=(facts(1, 0), facts(300, 0)))
