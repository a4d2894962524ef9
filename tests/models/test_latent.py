"""Latent diffusion through the same door: tiny pipelines of the real classes, built here, against diffusers' own words."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.bundles import edit
from helpers.latents import SIDE, pipeline, shared_flow, shared_latent

pytest.importorskip("transformers", reason="latent diffusion needs transformers: pip install -e '.[latent]'")

from sedid.data.datasets import as_model_input
from sedid.detector.bundle import load_detector
from sedid.method.diffusion import t_errors
from sedid.models import latent, memory
from sedid.models.latent import Latents
from sedid.models.memory import settle
from sedid.models.networks import PIXELS_AT_ONCE, Runtime, Told, eps_model, load_network
from sedid.progress import finish
from sedid.report.filmstrip import compared, error_maps, filmstrip, heatmap
from sedid.training.calibrate import CalibrateConfig, calibrate
from sedid.training.generate import GenerateConfig, generate
from sedid.training.train_nn import TrainNNConfig, train_nn

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 3), np.uint8).repeat(4, 1).repeat(4, 2)
"""uint8 (24, 16, 16, 3)."""
X = as_model_input(IMAGES[:2])
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(shared_latent(), tmp_path / "sd"))


def score(folder: Path, **settings: Any) -> list[float]:
    """The t-errors of a picture at every T_SEC of k = 165."""
    detector = load_detector(folder, device="cpu", **settings)
    return [float(error.score[0]) for error in t_errors(detector.eps_model, detector.encode(IMAGES[:1]), detector.schedule, 165, 990)]  # fmt: skip


@torch.inference_mode()
def told_by_diffusers(pipe: Any, prompt: str, rows: int) -> dict[str, Any]:
    """What the pipeline itself tells its U-Net of a prompt."""
    found = pipe.encode_prompt(prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    told: dict[str, Any] = {"encoder_hidden_states": found[0].expand(rows, -1, -1)}
    if len(found) > 2:
        ids = torch.tensor([[SIDE, SIDE, 0, 0, SIDE, SIDE]], dtype=torch.float32)
        told["added_cond_kwargs"] = {"text_embeds": found[2].expand(rows, -1), "time_ids": ids.expand(rows, -1)}
    return told


@pytest.mark.parametrize("sdxl", [False, True])
@pytest.mark.parametrize("prompt", ["", "a cat"])
def test_the_picture_is_encoded_and_the_network_told_as_diffusers_does(sdxl: bool, prompt: str, tmp_path: Path) -> None:
    pipe = pipeline(sdxl)
    pipe.save_pretrained(tmp_path)
    detector = load_detector(tmp_path, device="cpu", prompt=prompt or None)
    assert (detector.size, detector.space.channels) == (SIDE, 4)
    with torch.inference_mode():
        v_0 = pipe.vae.encode(X).latent_dist.mean * pipe.vae.config.scaling_factor
        expected = pipe.unet(v_0, 330, **told_by_diffusers(pipe, prompt, 2)).sample
    found = detector.encode(IMAGES[:2])
    torch.testing.assert_close(found, v_0, **CLOSE)
    torch.testing.assert_close(detector.eps_model(found, 330), expected, **CLOSE)
    assert detector.info["prompt"] == prompt
    if prompt:
        assert not torch.allclose(expected, load_detector(tmp_path, device="cpu").eps_model(found, 330), rtol=1e-3)
    assert detector.encode(IMAGES[:5])[4].equal(detector.encode(IMAGES[4:5])[0])  # whatever its company


def test_shift_and_scale_of_each_channel_are_the_vaes_own(folder: Path) -> None:
    plain = load_detector(folder, device="cpu").encode(IMAGES[:2]) / 0.3
    config = folder / "vae" / "config.json"
    edit(config, shift_factor=0.25, scaling_factor=1.5)
    shifted = load_detector(folder, device="cpu")
    torch.testing.assert_close(shifted.encode(IMAGES[:2]), (plain - 0.25) * 1.5, **CLOSE)
    edit(config, shift_factor=None, latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[1, 2, 3, 4])
    channels = load_detector(folder, device="cpu")
    mean, deviation = (torch.tensor(row).reshape(1, 4, 1, 1) for row in ([0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 4.0]))
    torch.testing.assert_close(channels.encode(IMAGES[:2]), (plain - mean) * 1.5 / deviation, **CLOSE)
    for detector in (shifted, channels):  # and the way back undoes them
        v = detector.encode(IMAGES[:1])
        vae = detector.space.vae  # type: ignore[attr-defined]
        with torch.inference_mode():
            expected = vae.decode(vae.encode(X[:1]).latent_dist.mean).sample
        torch.testing.assert_close(detector.space.decode(v), expected, **CLOSE)


def test_guidance_goes_away_from_the_empty_prompt(folder: Path) -> None:
    detectors = [load_detector(folder, device="cpu", prompt=prompt) for prompt in ("", "a cat")]
    x = detectors[0].encode(IMAGES[:2])
    empty, cat = (detector.eps_model(x, 330) for detector in detectors)
    guided = load_detector(folder, device="cpu", prompt="a cat", guidance=3.0)
    torch.testing.assert_close(guided.eps_model(x, 330), empty + 3 * (cat - empty), rtol=1e-3, atol=1e-4)


LAYOUTS = ("sharded", "variant beside", "old tokenizer", "safety checker named")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_the_same_weights_score_alike(layout: str, folder: Path) -> None:
    before = score(folder)
    assert all(np.isfinite(before))
    pipe = pipeline()
    if layout == "sharded":
        for name in ("unet", "vae", "text_encoder"):
            shutil.rmtree(folder / name)
            getattr(pipe, name).save_pretrained(folder / name, max_shard_size="20KB")
            assert len(list((folder / name).glob("*-of-*.safetensors"))) > 1
    elif layout == "variant beside":
        for name in ("unet", "vae"):
            getattr(pipe, name).half().save_pretrained(folder / name, variant="fp16")
    elif layout == "old tokenizer":
        stored = json.loads((folder / "tokenizer" / "tokenizer.json").read_text())
        (folder / "tokenizer" / "vocab.json").write_text(json.dumps(stored["model"]["vocab"]))
        (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
        (folder / "tokenizer" / "tokenizer.json").unlink()
    else:
        edit(folder / "model_index.json", safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    assert score(folder) == pytest.approx(before, rel=1e-5)  # where weights lie in memory is felt in the last digits


def test_v_prediction_is_read_from_the_scheduler(folder: Path) -> None:
    v = load_detector(folder, device="cpu")
    x = v.encode(IMAGES[:2])
    said = v.eps_model(x, 330)  # of an epsilon model: the network's own answer
    edit(folder / "scheduler" / "scheduler_config.json", prediction_type="v_prediction")
    a = v.schedule.alpha_bar[330]
    expected = a**0.5 * said + (1 - a) ** 0.5 * x
    torch.testing.assert_close(load_detector(folder, device="cpu").eps_model(x, 330), expected, **CLOSE)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_only_a_variant_or_only_a_pickle_is_refused_with_the_way_out(part: str, folder: Path) -> None:
    (weights,) = (folder / part).glob("*.safetensors")
    half = weights.with_name(weights.stem + ".fp16.safetensors")
    weights.rename(half)
    said = {"unet": "U-Net", "vae": "VAE"}.get(part, part)
    with pytest.raises(FileNotFoundError, match=rf"holds no {said} weights .* only the variant fp16 .*save_pretrained"):
        load_detector(folder, device="cpu")
    half.rename(weights.with_suffix(".bin"))
    with pytest.raises(FileNotFoundError, match=rf"holds no {said} weights .*\.bin file is a pickle"):
        load_detector(folder, device="cpu")


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("unet", {"in_channels": 9}, "takes 9 channels, and its VAE makes 4: a model that is also given a picture"),
        ("unet", {"time_cond_proj_dim": 32}, r"is told more than a text \(time_cond_proj_dim 32\)"),
        (
            "unet",
            {"addition_embed_type": "text_time"},
            "'text_time' beside 1 text encoders; accepted are none beside one",
        ),
        ("unet", {"cross_attention_dim": 24}, r"listens to 24 numbers a word .* its text encoders say 16"),
        ("unet", {"sample_size": [8, 8]}, "is not for square images"),
        ("unet", {"sample_size": 10**6}, "is for images of 2,000,000 pixels a side; at most 1,024"),
        ("unet", {"layers_per_block": 2}, r"does not fit its config\.json, which belongs to another network"),
        (
            "vae",
            {"_class_name": "AutoencoderTiny"},
            "the vae in .* is a 'AutoencoderTiny'; accepted is a AutoencoderKL",
        ),
        ("text_encoder", {"architectures": ["T5EncoderModel"]}, "is a 'T5EncoderModel'; accepted is a CLIPTextModel"),
    ],
)
def test_what_cannot_be_told_or_encoded_is_refused(part: str, change: Any, said: str, folder: Path) -> None:
    edit(folder / part / "config.json", **change)
    with pytest.raises(ValueError, match=said):
        load_detector(folder, device="cpu")


@pytest.mark.parametrize("part", ["vae", "text_encoder", "tokenizer"])
def test_a_missing_part_is_named_with_the_layout_that_is_accepted(part: str, folder: Path) -> None:
    shutil.rmtree(folder / part)
    with pytest.raises(ValueError, match=f"lacks its {part}.*: accepted are folders as StableDiffusionPipeline"):
        load_detector(folder, device="cpu")


def test_other_bad_input_is_one_sentence(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="is too long: it has 26 tokens, and the text encoder reads 10"):
        load_detector(folder, device="cpu", prompt=" ".join("abcdefghijklmnopqrstuvwxyz"))
    assert "Token indices" not in caplog.text  # ours alone
    detector = load_detector(folder, device="cpu")
    with pytest.raises(ValueError, match="pictures of 1x1 pixels do not fit the VAE, whose sides are multiples of 2"):
        detector.encode(IMAGES[:1, :1, :1])
    with pytest.raises(ValueError, match="cut them to 14x16, or let"):
        detector.encode(IMAGES[:1, :, :15])
    with torch.no_grad():
        detector.space.vae.quant_conv.bias[0] = torch.inf  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="the VAE makes NaN or infinity of a picture, so it has no score"):
        detector.inspect(IMAGES[0])
    (folder / "tokenizer" / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=r"the tokenizer in .* cannot be loaded: accepted is a CLIPTokenizer"):
        load_detector(folder, device="cpu")


class Counted:
    """How often the parts of a detector were asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import diffusers
        import transformers

        self.calls = {"unet": 0, "encode": 0, "decode": 0, "text": 0}
        kinds = (
            ("unet", diffusers.UNet2DConditionModel, "forward"),
            ("encode", diffusers.AutoencoderKL, "encode"),
            ("decode", diffusers.AutoencoderKL, "decode"),
            ("text", transformers.CLIPTextModel, "forward"),
        )
        for name, kind, method in kinds:
            monkeypatch.setattr(kind, method, self.counting(name, getattr(kind, method)))

    def counting(self, name: str, method: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            return method(*args, **kwargs)

        return counted


def test_text_is_encoded_once_a_picture_once_and_the_network_n_plus_1_times(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    detector = load_detector(shared_latent(), device="cpu")
    steps = detector.trace(IMAGES[0], 165)
    next(steps)
    assert counted.calls == {"unet": 1, "encode": 1, "decode": 0, "text": 1}  # a generator: to cancel, stop asking
    trace = finish(detector.trace(IMAGES[0], 165))
    for t_sec in trace.t_secs:
        detector.judge(trace, t_sec)
    assert counted.calls == {"unet": 1 + 7, "encode": 2, "decode": 0, "text": 1}
    long = finish(detector.trace(IMAGES[0], 45))
    assert f"{detector.space.frames} of 23 steps are shown" in filmstrip(long, 990)
    assert counted.calls["decode"] == detector.space.frames == 8
    filmstrip(long, 990)
    assert counted.calls["decode"] == 8  # remembered
    assert "amplified" in compared(long, 990)
    assert counted.calls["decode"] == 9  # x~ at 945 is on the strip, what it is compared with is not
    for n in range(3 * latent.KEPT):
        detector.space.decode(torch.full((1, 4, 8, 8), float(n)))
    assert len(detector.space._decoded) == latent.KEPT  # type: ignore[attr-defined]


def test_the_map_is_of_latents_and_lies_over_the_whole_image() -> None:
    trace = load_detector(shared_latent(), device="cpu").inspect(IMAGES[0], k=165).trace
    assert error_maps(trace, False).shape == (6, 8, 8)
    assert trace.picture(trace.points[0].x).shape == (1, 3, SIDE, SIDE)
    assert error_maps(trace, False).sum(axis=(1, 2)) == pytest.approx(trace.curve, rel=1e-4)
    drawn = heatmap(trace, 495, False, False)
    assert drawn.count("data:image/png") == 2  # the map lies over the image
    assert "t-error per cell of 2 by 2 pixels, channels summed" in drawn


def test_large_batches_are_asked_in_parts_of_bounded_size() -> None:
    sizes: list[int] = []

    class Network:
        def __call__(self, x: torch.Tensor, t: torch.Tensor, c: torch.Tensor) -> Any:
            sizes.append(len(x))
            assert len(c) == len(x)
            assert t.ndim == 0 or len(t) == len(x)
            return type("Said", (), {"sample": x * c + t.reshape(-1, *[1] * (x.ndim - 1) * bool(t.ndim))})

    x = torch.arange(5.0).reshape(5, 1, 1, 1).expand(5, 4, 8, 8)
    for rows in (1, 5):  # a condition for all, and one of each
        told = Told({"c": torch.arange(1.0, rows + 1).reshape(-1, 1, 1, 1)})
        whole, parts = (eps_model(Network(), Runtime(torch.device("cpu")), told, pixels) for pixels in (10**6, 2 * 64))
        for t in (7, torch.arange(5)):
            sizes.clear()
            assert torch.equal(parts(x, t), whole(x, t))
            assert sizes == [2, 2, 1, 5]


@pytest.mark.parametrize("pipe", [shared_latent, shared_flow])
def test_what_waits_outside_the_device_changes_no_number(
    pipe: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = score(pipe(), prompt="a cat")
    for saving, network_waits in (("offload", False), ("layers", True)):
        monkeypatch.setenv("SEDID_MEMORY", saving)
        runtime = Runtime.choose("cpu")
        network = settle(load_network(pipe()), runtime)
        assert {one.is_meta for one in network.parameters()} == {network_waits}
        detector = load_detector(pipe(), device="cpu", prompt="a cat")
        assert isinstance(detector.space, Latents)
        assert all(one.is_meta for one in detector.space.vae.parameters())  # no weights while nothing works
        assert score(pipe(), prompt="a cat") == expected
        many = detector.encode(IMAGES[:9])
        assert detector.eps_model(many, 330).isfinite().all()
        assert torch.equal(detector.space.decode(many[:1]), load_detector(pipe(), device="cpu").space.decode(many[:1]))


def test_slices_change_the_last_digits_and_tiles_are_told_and_recorded(
    calibrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = score(shared_latent())
    monkeypatch.setenv("SEDID_MEMORY", "slices")
    assert score(shared_latent()) == pytest.approx(expected, rel=1e-4)
    load_detector(calibrated, device="cpu")
    monkeypatch.setenv("SEDID_MEMORY", "tiles")
    assert score(shared_latent()) != pytest.approx(expected, rel=1e-4)
    assert "in tiles, which changes" in load_detector(shared_latent(), device="cpu").space.note
    with pytest.raises(ValueError, match="in tiles"):
        load_detector(calibrated, device="cpu")
    monkeypatch.setenv("SEDID_MEMORY", "layers")
    with pytest.raises(ValueError, match="SEDID_MEMORY"):
        Runtime.choose("cpu", compile=True)


def test_a_batch_is_as_large_as_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that tells what is free, in place of a GPU: a row takes 10 bytes, and half of what is free may be taken."""
    sizes: list[int] = []

    def network(x: torch.Tensor, t: torch.Tensor) -> Any:
        sizes.append(len(x))
        return SimpleNamespace(sample=x)

    free = [100]
    monkeypatch.setattr(memory, "free_bytes", lambda device: free[0])
    monkeypatch.setattr(memory, "bytes_taken", lambda device, call: call() is None or 10)
    eps, x = eps_model(network, Runtime(torch.device("cpu")), pixels=64), torch.zeros(12, 4, 8, 8)
    for free[0], parts in ((100, [5, 5, 2]), (50, [2] * 6), (0, [1] * 12), (10**9, [12])):
        sizes.clear()
        assert torch.equal(eps(x, 3), x)
        assert sizes == ([1] if free[0] == 100 else []) + parts  # measured once, on one row
    assert memory.rows_that_fit(PIXELS_AT_ONCE // 64, 10**18, 1) == PIXELS_AT_ONCE // 64
    assert memory.rows_that_fit(8, 1000, 0) == 8


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Fakes made with prompts of one's own, a calibration of a copy, and a classifier on latents."""
    place = tmp_path_factory.mktemp("own")
    (place / "prompts.txt").write_text("a cat\nthe dog\n")
    made = place / "made"
    prompts = {"prompts": str(place / "prompts.txt"), "guidance": 2.0}
    finish(generate(GenerateConfig(str(shared_latent()), str(made), 12, "ddim", 3, **prompts, device="cpu")))
    np.savez(place / "photos.npz", images=IMAGES)
    sets = {"real": str(place / "photos.npz"), "generated": str(made / "images.npz")}
    settings = CalibrateConfig(
        str(shared_latent()), **sets, out=str(place / "bundle"), ks=(330,), loss_ts=(100,), device="cpu"
    )
    finish(calibrate(replace(settings, prompt="a cat")))
    finish(train_nn(TrainNNConfig(detector=str(place / "bundle"), **sets, epochs=1, device="cpu")))
    return place / "bundle"


def test_ones_own_model_is_calibrated_in_three_commands(calibrated: Path) -> None:
    manifest = json.loads((calibrated.parent / "made" / "manifest.json").read_text())
    assert (manifest["prompts"], manifest["guidance"]) == (["a cat", "the dog"], 2.0)
    with np.load(calibrated.parent / "made" / "images.npz") as stored:
        assert stored["images"].shape == (12, SIDE, SIDE, 3)
        assert stored["images"].std() > 5
    detector = load_detector(calibrated, device="cpu")
    found = detector.inspect(IMAGES[0])
    assert found.judgement.stat is not None
    assert found.judgement.nn is not None
    assert detector.network.conv1.in_channels == 8  # type: ignore[union-attr]
    assert detector.info["preprocessing"]["prompt"] == "a cat"
    assert detector.info["existing"]["t"] == 100


def test_a_calibration_holds_for_its_prompt_its_vae_and_its_texts(calibrated: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the preprocessing \(prompt , was a cat\) changed since it was calibrated"):
        load_detector(calibrated, device="cpu", prompt="")
    copy = Path(shutil.copytree(calibrated, tmp_path / "copy"))
    edit(copy / "vae" / "config.json", scaling_factor=0.31)
    with pytest.raises(ValueError, match=r"the preprocessing \(vae_and_text_sha256 .* changed since"):
        load_detector(copy, device="cpu")
