"""Presets, loading of pipeline folders, and the policy for device and precision."""

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from helpers.bundles import edit

from sedid.method.diffusion import NoiseSchedule
from sedid.models.folders import check_pipeline
from sedid.models.networks import (
    FOLD_FROM,
    UNETS,
    Runtime,
    eps_model,
    fold_upsampling,
    load_unet,
    make_resnet18,
    make_unet,
)
from sedid.models.schedules import load_schedule

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = Runtime(torch.device("cpu"))


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.mark.parametrize(("name", "millions"), [("tiny", 0.4), ("demo", 0.7), ("small", 9.4), ("paper", 35.7)])
def test_presets_have_the_stated_size(name: str, millions: float) -> None:
    with torch.device("meta"):
        unet = make_unet(name)
    assert sum(p.numel() for p in unet.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


def test_the_papers_network_begins_as_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ho et al. 2020 begin it; the other presets, and the other layers, begin as PyTorch has them."""
    from diffusers import UNet2DModel

    narrow = UNETS["paper"] | {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "layers_per_block": 1}
    monkeypatch.setitem(UNETS, "paper", narrow)
    for name in UNETS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            unet = make_unet(name)
            torch.manual_seed(0)
            plain = UNet2DModel(**UNETS[name]).state_dict()
        last = {key for key in plain if ".conv2." in key or ".to_out.0." in key or key.startswith("conv_out.")}
        if name != "tiny":  # which has a level less
            assert len(last) == 2 * (14 + 4 + 1)
        changed = {key for key, value in unet.state_dict().items() if not torch.equal(value, plain[key])}
        assert changed == (last if name == "paper" else set())
        assert name != "paper" or not any(unet.state_dict()[key].any() for key in last)
    unet = make_unet("paper").train()
    x, eps = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32)
    assert not unet(x, torch.tensor([5, 900])).sample.any()
    optimizer = torch.optim.Adam(unet.parameters(), 1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        (unet(x, torch.tensor([5, 900])).sample - eps).square().mean().backward()
        optimizer.step()
    assert all(value.any() for value in unet.state_dict().values())  # nothing stays where it began


def test_demo_preset_maps_images_to_noise() -> None:
    eps = eps_model(make_unet("demo").eval(), CPU)(torch.zeros(2, 3, 32, 32), 990)
    assert eps.shape == (2, 3, 32, 32)
    assert eps.dtype == torch.float32


def test_unknown_preset_lists_the_known() -> None:
    with pytest.raises(ValueError, match=f"'huge'; accepted: {', '.join(UNETS)}"):
        make_unet("huge")


def test_load_unet_restores_weights_in_float32_eval_mode(bundle: Path, tiny_unet: Callable[..., Any]) -> None:
    saved = tiny_unet(sample_size=32)
    loaded = load_unet(bundle)
    assert not loaded.training
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    saved.half().save_pretrained(bundle / "unet")  # shipped weights are half precision
    assert {value.dtype for value in load_unet(bundle).state_dict().values()} == {torch.float32}


def test_load_unet_refuses_what_it_cannot_run(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither unet/config\.json nor config\.json"):
        load_unet(tmp_path)
    weights, config = bundle / "unet/diffusion_pytorch_model.safetensors", bundle / "unet/config.json"
    good = weights.read_bytes()
    for content in (b"", b"garbage", good[:1000], good[:-100]):
        weights.write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot be loaded: .*\.safetensors is damaged or no safetensors file"):
            load_unet(bundle)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match="holds no U-Net weights in safetensors"):
        load_unet(bundle)
    weights.write_bytes(good)
    edit(config, block_out_channels=[12, 24])
    with pytest.raises(
        ValueError, match=r"does not fit its config\.json.* has the shape .*, and the configuration makes"
    ):
        load_unet(bundle)
    config.write_text("{")
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_unet(bundle)


def test_load_unet_never_reads_pickles(bundle: Path) -> None:
    weights = bundle / "unet/diffusion_pytorch_model.safetensors"
    torch.save(load_unet(bundle).state_dict(), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"its \.bin file is a pickle"):
        load_unet(bundle)


def rewrite(folder: Path, **changes: torch.Tensor | None) -> None:
    """Write a U-Net's weights anew with some of them changed, added, or (None) left out."""
    from safetensors.torch import load_file, save_file

    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    tensors = load_file(weights) | changes
    save_file({name: values for name, values in tensors.items() if values is not None}, weights)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"conv_in.bias": None}, r"lacks weights that its config\.json asks for: conv_in\.bias$"),
        (
            {f"conv_{place}.{kind}": None for place in ("in", "out") for kind in ("weight", "bias")},
            r"asks for: conv_in\.bias, conv_in\.weight, conv_out\.bias and 1 more$",
        ),
        ({"conv_mid.bias": torch.zeros(3)}, r"holds weights that its config\.json has no place for: conv_mid\.bias$"),
        (
            {"conv_in.bias": torch.zeros(3)},
            r"does not fit its config\.json, which belongs to another network: its weight conv_in\.bias has the shape "
            r"\[3\], and the configuration makes \[8\]$",
        ),
    ],
)
def test_weights_that_are_not_those_of_the_configuration_are_refused_without_a_word_of_diffusers(
    changes: dict[str, Any], said: str, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rewrite(bundle, **changes)
    with pytest.raises(ValueError, match=said):
        load_unet(bundle)
    assert capfd.readouterr() == ("", "")


def test_a_variant_alone_is_named_with_the_way_out(bundle: Path) -> None:
    weights = bundle / "unet/diffusion_pytorch_model.safetensors"
    saved = load_unet(bundle)
    weights.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"holds no U-Net weights in safetensors .*: diffusers' save_pretrained"
    ):
        load_unet(bundle)
    saved.half().save_pretrained(bundle / "unet", variant="fp16", max_shard_size="40KB")
    with pytest.raises(FileNotFoundError, match=r"but only the variant fp16 \(diffusion_pytorch_model\.fp16-00001-of-"):
        load_unet(bundle)
    for file in (bundle / "unet").glob("*.fp16*"):
        file.unlink()
    saved.save_pretrained(bundle / "unet", variant="fp16")
    with pytest.raises(
        FileNotFoundError, match=r"but only the variant fp16 \(diffusion_pytorch_model\.fp16\.safetensors"
    ):
        load_unet(bundle)
    type(saved).from_pretrained(bundle / "unet", variant="fp16").save_pretrained(bundle / "unet")  # as the text says
    assert load_unet(bundle).config.sample_size == 32


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"in_channels": 1}, "predicts 3 channels; only models that predict the 1 of the noise"),
        ({"in_channels": 4}, "is for images of 4 channels; only RGB models, of 3, and grey ones, of 1"),
        ({"out_channels": 4}, "predicts 4 channels; only models that predict the 3 of the noise, or those and as many"),
        ({"class_embed_type": "timestep"}, r"\(class_embed_type 'timestep'\); only models without classes"),
        ({"in_channels": 1, "out_channels": 1}, "is for images of 1 channel: .*only an unconditional RGB model"),
        ({"out_channels": 6}, "predicts 6 channels, the noise and its variance: it can be a detector, but"),
        ({"num_class_embeds": 10}, r"is class-conditional \(10 classes\): it can be a detector, but"),
    ],
)
def test_load_unet_refuses_other_kinds_of_model(
    tmp_path: Path, tiny_unet: Callable[..., Any], change: Any, said: str
) -> None:
    unet = tiny_unet()
    settings = {name: value for name, value in unet.config.items() if not name.startswith("_")}
    type(unet)(**settings | change).save_pretrained(tmp_path / "unet")
    with pytest.raises(ValueError, match=said):
        load_unet(tmp_path)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (None, "not for square images: its sample_size must be a whole number of pixels, not None"),
        ([32, 16], "not for square images"),
        (0, "not for square images"),
        (True, "not for square images"),
        (10**9, "is for images of 1,000,000,000 pixels a side; at most 1,024 are accepted"),
        (1026, "is for images of 1,026 pixels a side"),
        (33, "has a sample_size of 33, but halves the picture 1 times: it must be a multiple of 2"),
    ],
)
def test_load_unet_refuses_sizes_it_cannot_be_run_at(bundle: Path, size: Any, said: str) -> None:
    edit(bundle / "unet/config.json", sample_size=size)
    with pytest.raises(ValueError, match=said):
        load_unet(bundle)


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
@pytest.mark.parametrize("padding", [0, 1])
def test_the_sizes_that_are_accepted_are_those_that_run(levels: int, padding: int, tmp_path: Path) -> None:
    from diffusers.models import UNet2DModel

    blocks = {
        "down_block_types": ("DownBlock2D",) * levels,
        "up_block_types": ("UpBlock2D",) * levels,
        "block_out_channels": (8,) * levels,
    }
    for size in (6, 7, 8, 12):
        unet = UNet2DModel(
            sample_size=size, **blocks, layers_per_block=1, norm_num_groups=2, downsample_padding=padding
        )
        unet.save_pretrained(tmp_path / "unet")
        try:
            runs = unet(torch.zeros(1, 3, size, size), 0).sample.shape[-1] == size
        except RuntimeError:
            runs = False
        with nullcontext() if runs else pytest.raises(ValueError, match="it must be a multiple of"):
            check_pipeline(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(bundle: Path, tiny_unet: Callable[..., Any], value: float) -> None:
    broken = tiny_unet(sample_size=32)
    with torch.no_grad():
        broken.conv_out.bias[1] = value
    broken.save_pretrained(bundle / "unet")
    with pytest.raises(ValueError, match="has weights that are not finite numbers"):
        load_unet(bundle)


def test_check_pipeline_reads_descriptions_alone(bundle: Path) -> None:
    (bundle / "unet/diffusion_pytorch_model.safetensors").unlink()
    index = {"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"], "safety_checker": [None, None]}
    (bundle / "model_index.json").write_text(json.dumps(index))
    check_pipeline(bundle)
    edit(bundle / "model_index.json", vae=["diffusers", "AutoencoderKL"])
    with pytest.raises(ValueError, match="DDPMPipeline that also needs vae"):
        check_pipeline(bundle)
    edit(bundle / "unet/config.json", _class_name="UNet3DConditionModel")
    with pytest.raises(ValueError, match="holds a UNet3DConditionModel; only a UNet2DModel of pixels, a UNet2DCond"):
        check_pipeline(bundle)
    for text in ("[1]", "{", '"text"'):
        (bundle / "model_index.json").write_text(text)
        with pytest.raises(ValueError, match="cannot be loaded"):
            check_pipeline(bundle)


def test_a_checkpoints_own_schedule_wins(bundle: Path, tmp_path: Path) -> None:
    file = bundle / "scheduler/scheduler_config.json"
    assert load_schedule(bundle).alpha_bar == pytest.approx(NoiseSchedule.linear().alpha_bar, rel=1e-5)
    edit(file, beta_end=0.01, num_train_timesteps=500)
    assert load_schedule(bundle).alpha_bar == pytest.approx(NoiseSchedule.linear(500, 1e-4, 0.01).alpha_bar, rel=1e-5)
    for betas in ("scaled_linear", "squaredcos_cap_v2"):
        edit(file, beta_schedule=betas)
        expected = DDPMScheduler(500, 1e-4, 0.01, betas).alphas_cumprod
        assert load_schedule(bundle).alpha_bar == pytest.approx(expected.tolist(), rel=1e-4)
    before = load_schedule(bundle)
    edit(file, num_train_timesteps=500.0)
    assert load_schedule(bundle) == before
    edit(file, trained_betas=[0.1, 0.2, 0.3], num_train_timesteps=3)
    assert load_schedule(bundle).alpha_bar == pytest.approx([0.9, 0.72, 0.504])
    edit(file, trained_betas=None, beta_schedule="linear", num_train_timesteps=1000, rescale_betas_zero_snr=True)
    scheduler = DDPMScheduler(1000, 1e-4, 0.01, rescale_betas_zero_snr=True)
    assert scheduler.alphas_cumprod[-1] == 0
    found = load_schedule(bundle)  # ends where something of the image is left
    assert found.alpha_bar == pytest.approx(scheduler.alphas_cumprod[:-1].tolist(), rel=1e-3)
    assert len(found) == 999
    for text in ("{", "[1]"):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"cannot be loaded: .*(not valid JSON|must hold an object)"):
            load_schedule(bundle)
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_schedule(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prediction_type": "flow"}, "its prediction_type is 'flow'; accepted: epsilon, v_prediction, sample"),
        ({"timestep_type": "continuous"}, "not asked by timesteps, but by a continuous noise level"),
        ({"beta_schedule": "invented"}, "cannot be loaded"),
        (
            {"num_train_timesteps": 10**9},
            "num_train_timesteps must be a whole number between 2 and 100,000, not 1000000000",
        ),
        (
            {"num_train_timesteps": "many"},
            "num_train_timesteps must be a whole number between 2 and 100,000, not 'many'",
        ),
        ({"num_train_timesteps": 999.5}, "num_train_timesteps must be a whole number"),
        ({"num_train_timesteps": float("nan")}, "num_train_timesteps must be a whole number"),
        ({"trained_betas": [0.1, 1.0], "num_train_timesteps": 2}, "cannot be used: betas must be"),
        ({"trained_betas": ["x"]}, "cannot be loaded"),
    ],
)
def test_schedules_that_cannot_be_walked_are_refused(bundle: Path, change: dict[str, Any], said: str) -> None:
    edit(bundle / "scheduler/scheduler_config.json", **change)
    with pytest.raises(ValueError, match=said):
        load_schedule(bundle)


def test_betas_are_never_made_up(bundle: Path) -> None:
    file = bundle / "scheduler/scheduler_config.json"
    file.write_text(json.dumps({"_class_name": "ScoreSdeVeScheduler", "num_train_timesteps": 2000, "sigma_max": 50}))
    with pytest.raises(ValueError, match="a ScoreSdeVeScheduler has no betas"):
        load_schedule(bundle)


def test_eps_model_is_the_unet_without_gradients(tiny_unet: Callable[..., Any]) -> None:
    unet, x = tiny_unet(), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    eps = eps_model(unet, CPU)(x, 165)
    assert not eps.requires_grad
    torch.testing.assert_close(eps, unet(x, 165).sample, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(eps, eps_model(unet, CPU)(x, 990))


def test_bf16_runs_the_network_alone_in_bf16(tiny_unet: Callable[..., Any]) -> None:
    inside = []
    unet, x = tiny_unet(), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    unet.conv_in.register_forward_hook(lambda _module, _args, output: inside.append(output.dtype))
    low = eps_model(unet, Runtime(torch.device("cpu"), "bf16"))(x, 165)
    high = eps_model(unet, CPU)(x, 165)
    assert inside == [torch.bfloat16, torch.float32]
    assert low.dtype == high.dtype == torch.float32
    assert 0 < (low - high).abs().max() < 0.1


def test_runtime_chooses_what_is_present() -> None:
    assert Runtime.choose("cpu") == CPU
    chosen = Runtime.choose()
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert chosen == CPU
    with pytest.raises(ValueError, match="unknown device 'tpu'; accepted: auto, cuda, mps, cpu"):
        Runtime.choose("tpu")
    with pytest.raises(ValueError, match="unknown precision 'fp16'; accepted: fp32, bf16"):
        Runtime.choose("cpu", precision="fp16")


def test_an_absent_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="'cuda:0' is not available"):
        Runtime.choose("cuda:0")


@pytest.mark.parametrize("channels", [3, 6, 9])
def test_classifier_keeps_the_resolution_of_small_images(channels: int) -> None:
    network, sizes = make_resnet18(channels).eval(), []
    network.layer1.register_forward_hook(lambda _module, _args, output: sizes.append(output.shape))
    with torch.inference_mode():
        assert network(torch.zeros(2, channels, 32, 32)).shape == (2, 1)
    assert sizes == [(2, 64, 32, 32)]


def test_upsampling_folded_into_one_convolution_changes_nothing(tiny_unet: Callable[..., Any]) -> None:
    unet = tiny_unet().double().eval()
    x = torch.randn(FOLD_FROM, 3, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        plain = unet(x, torch.tensor(500)).sample
        fold_upsampling(unet)
        fold_upsampling(unet)  # a second time is none
        folded = unet(x, torch.tensor(500)).sample
    torch.testing.assert_close(folded, plain, rtol=1e-12, atol=1e-12)
    assert not torch.equal(folded, plain)  # another order of the same sums: the folded path was taken
    with torch.inference_mode():
        few = unet(x[: FOLD_FROM - 1], torch.tensor(500)).sample
    torch.testing.assert_close(few, plain[:-1], rtol=1e-12, atol=1e-12)
    assert unet.state_dict().keys() == tiny_unet().state_dict().keys()
